"""Collect evaluations into a table and a plot with confidence intervals.

    python training/report.py runs/eval --out runs/report

Reads every result of evaluate.py below the given paths; writes results.md (one row a policy and protocol, and
one table a task) and results.png.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import tyro

from hilam_core.errors import DataError
from hilam_core.files import replacing
from hilam_core.program import run_program
from hilam_core.statistics import wilson_interval


@dataclass
class Config:
    """Collect evaluations into a table and a plot."""

    results: Annotated[list[Path], tyro.conf.Positional] = field(default_factory=lambda: [Path("runs/eval")])
    """Files of evaluate.py, or folders of them."""
    out: Path = Path("runs/report")
    """Folder for results.md and results.png."""


def read_results(paths: list[Path]) -> list[dict[str, Any]]:
    """All evaluations, sorted by placement and policy; DataError for files that are none."""
    files = sorted(file for path in paths for file in (path.rglob("*.json") if path.is_dir() else [path]))
    if not files:
        raise DataError(f"no evaluations (*.json) in {', '.join(map(str, paths))}")
    results = []
    for file in files:
        try:
            result = json.loads(file.read_text())
            results.append({"name": file.stem, **result, "episodes": list(result["episodes"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} is not a result of evaluate.py: {error!r}") from None
    return sorted(results, key=lambda r: (r["placement"], r["name"]))


def rate(episodes: list[dict[str, Any]]) -> tuple[float, float, float, int]:
    """(success rate, low and high end of its 95% Wilson interval, n)."""
    successes = sum(episode["success"] for episode in episodes)
    return (successes / max(1, len(episodes)), *wilson_interval(successes, len(episodes)), len(episodes))


def overall_table(results: list[dict[str, Any]]) -> str:
    """One row a policy and protocol."""
    lines = [
        "| policy | placement | success | 95% interval | n | seed | checkpoint |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        success, low, high, n = rate(result["episodes"])
        lines.append(
            f"| {result['label']} | {result['placement']} | {success:.1%} | {low:.1%} to {high:.1%} | {n} "
            f"| {result['seed']} | `{result['checkpoint_hash'][:12]}` |"
        )
    return "\n".join(lines)


def task_table(results: list[dict[str, Any]]) -> str:
    """One row a task, one column a policy and protocol."""
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    heads = [f"{result['label']}, {result['placement']}" for result in results]
    for head, result in zip(heads, results, strict=True):
        by_task: dict[str, list] = defaultdict(list)
        for episode in result["episodes"]:
            by_task[episode["task_name"]].append(episode)
        for name, episodes in by_task.items():
            cells[name][head] = f"{sum(e['success'] for e in episodes)}/{len(episodes)}"
    lines = ["| task | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in sorted(cells):
        lines.append(
            f"| {name.replace('_', ' ')} | " + " | ".join(cells[name].get(h, "") for h in heads) + " |"
        )
    return "\n".join(lines)


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """Success rates as bars with their intervals, grouped by placement."""
    placements = sorted({result["placement"] for result in results}, reverse=True)
    labels = list(dict.fromkeys(result["label"] for result in results))
    figure, axes = plt.subplots(figsize=(1.5 + 1.1 * len(placements) * len(labels), 3.6))
    width = 0.8 / len(labels)
    for i, label in enumerate(labels):
        for j, placement in enumerate(placements):
            episodes = [
                e
                for r in results
                if (r["label"], r["placement"]) == (label, placement)
                for e in r["episodes"]
            ]
            if episodes:
                value, low, high, _ = rate(episodes)
                at = j + (i - (len(labels) - 1) / 2) * width
                axes.bar(at, value, width * 0.9, color=f"C{i}", label=label if j == 0 else None)
                axes.errorbar(at, value, [[value - low], [high - value]], color="black", capsize=3)
                axes.text(at, high + 0.015, f"{value:.1%}", ha="center", fontsize=8)
    axes.set_xticks(range(len(placements)), [f"{p} placements" for p in placements])
    axes.set_ylim(0, 1.08)
    axes.set_ylabel("success rate (95% interval)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=len(labels), fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with replacing(path) as draft:
        figure.savefig(draft, dpi=150)
    plt.close(figure)


def main(config: Config) -> None:
    results = read_results(config.results)
    text = f"{overall_table(results)}\n\n{task_table(results)}\n"
    print(text)
    with replacing(config.out / "results.md") as draft:
        draft.write_text(text)
    draw(results, config.out / "results.png")


if __name__ == "__main__":
    run_program(main, Config)
