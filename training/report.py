"""Collect evaluations into tables and a plot with confidence intervals, and compare policies in pairs.

    python training/report.py runs/eval --out runs/report

Reads every result of evaluate.py below the given paths; suites and placements stay apart. Writes results.md
and results.png: success rates with 95% Wilson intervals, one table of tasks a suite, and a comparison of each
two evaluations that share episodes. There the difference of the rates has a 95% interval for pairs, and p is
that of the exact McNemar test: how often two equally good policies would differ as much in the episodes that
only one of them solves.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations, groupby
from pathlib import Path
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import tyro

from hilam_core.errors import DataError
from hilam_core.files import replacing, writable_folder
from hilam_core.program import run_program
from hilam_core.statistics import mcnemar_p, paired_difference_interval, wilson_interval

Result = dict[str, Any]
# What may tell evaluations of one label apart, in the order of mention: key -> how a value is written.
SETTINGS = {
    "seed": "seed {}",
    "max_steps": "{} steps",
    "assets": "{} assets",
    "quality": "{} quality",
    "exact": "exact {}",
    "plan_period": "plan period {}",
    "aggregation_decay": "decay {}",
    "checkpoint_hash": "checkpoint {:.8}",
    "assets_hash": "assets {:.8}",
    "file": "{}",
}


@dataclass
class Config:
    """Collect evaluations into tables and a plot."""

    results: Annotated[list[Path], tyro.conf.Positional] = field(default_factory=lambda: [Path("runs/eval")])
    """Files of evaluate.py, or folders of them."""
    out: Path = Path("runs/report")
    """Folder for results.md and results.png."""


def read_results(paths: list[Path]) -> list[Result]:
    """All evaluations, sorted by suite, placement and label, each with a `name` that no other of its suite
    and placement has.

    Raises:
        DataError: there are none, or a file is no result of evaluate.py.
    """
    files = sorted(file for path in paths for file in (path.rglob("*.json") if path.is_dir() else [path]))
    files = [file for file in files if not file.name.startswith(".")]  # a result about to be written
    if not files:
        raise DataError(f"no evaluations (*.json) in {', '.join(map(str, paths))}")
    results = sorted(map(_read_result, files), key=lambda r: (*protocol(r), r["label"], r["seed"]))
    for _, group in groupby(results, protocol):
        _name(list(group))
    return results


def _read_result(file: Path) -> Result:
    try:
        result = json.loads(file.read_text())
        result = {**result, "file": str(file), "episodes": {episode_key(e): e for e in result["episodes"]}}
        missing = {"label", "suite", "placement", "seed", "checkpoint_hash"} - result.keys()
        if missing:
            raise KeyError(min(missing))
        return result
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is not a result of evaluate.py: {error!r}") from None


def protocol(result: Result) -> tuple[str, str]:
    """(suite, placement): only within one are success rates comparable."""
    return result["suite"], result["placement"]


def episode_key(episode: dict[str, Any]) -> tuple[str, int, int]:
    """(task, seed, stored state): what makes two policies' episodes the same one."""
    return episode["task_name"], episode["seed"], episode["init_state"]


def _name(group: list[Result]) -> None:
    """Give each result of one protocol a name: its label and, where others have it too, the settings in which
    they differ."""
    for result in group:
        same = [other for other in group if other["label"] == result["label"]]
        differing = [key for key in SETTINGS if len({str(other.get(key)) for other in same}) > 1]
        if len(differing) > 1:
            differing.remove("file")
        parts = [SETTINGS[key].format(result.get(key)) for key in differing]
        result["name"] = result["label"] + (f" ({', '.join(parts)})" if parts else "")


def successes(episodes: list[dict[str, Any]]) -> int:
    """How many of the episodes succeeded."""
    return sum(bool(episode["success"]) for episode in episodes)


def rate(result: Result) -> tuple[float, float, float]:
    """(success rate, low and high end of its 95% Wilson interval)."""
    won, n = successes(result["episodes"].values()), len(result["episodes"])
    return won / max(1, n), *wilson_interval(won, n)


def table(heads: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def overall_table(results: list[Result]) -> str:
    """One row an evaluation."""
    heads = ["suite", "placement", "policy", "success", "95% interval", "n"]
    rows = []
    for result in results:
        success, low, high = rate(result)
        limit = result.get("max_steps") or "the suite's"
        rows.append(
            [
                *protocol(result),
                result["name"],
                f"{success:.1%}",
                f"{low:.1%} to {high:.1%}",
                len(result["episodes"]),
                result["seed"],
                result.get("assets", ""),
                f"{limit}, exact" if result.get("exact") else limit,
                f"`{result['checkpoint_hash'][:12]}`",
            ]
        )
    return table([*heads, "seed", "assets", "step limit", "checkpoint"], rows)


def task_table(results: list[Result]) -> str:
    """One row a task, one column an evaluation of one suite."""
    cells: dict[str, dict[int, list]] = defaultdict(lambda: defaultdict(list))
    for column, result in enumerate(results):
        for episode in result["episodes"].values():
            cells[episode["task_name"]][column].append(episode)
    rows = []
    for task in sorted(cells):
        runs = [cells[task][column] for column in range(len(results))]
        rows.append(
            [task.replace("_", " "), *(f"{successes(run)}/{len(run)}" if run else "" for run in runs)]
        )
    return table(["task", *(f"{r['name']}, {r['placement']}" for r in results)], rows)


def comparison_table(results: list[Result]) -> str:
    """One row for each two evaluations of one protocol and step limit that have episodes in common."""
    heads = ["suite", "placement", "first", "second", "n", "only first", "only second"]
    rows = []
    for first, second in combinations(results, 2):
        common = first["episodes"].keys() & second["episodes"].keys()
        same_limit = first.get("max_steps") == second.get("max_steps")
        if protocol(first) != protocol(second) or not common or not same_limit:
            continue
        pairs = [(first["episodes"][k]["success"], second["episodes"][k]["success"]) for k in common]
        only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
        low, high = paired_difference_interval(only_first, only_second, len(pairs))
        rows.append(
            [
                *protocol(first),
                first["name"],
                second["name"],
                len(pairs),
                only_first,
                only_second,
                f"{(only_first - only_second) / len(pairs):+.1%}",
                f"{low:+.1%} to {high:+.1%}",
                f"{mcnemar_p(only_first, only_second):.2g}",
            ]
        )
    return table([*heads, "difference", "95% interval", "p"], rows) if rows else ""


def make_report(results: list[Result]) -> str:
    """The text of results.md."""
    parts = ["## Success rates", overall_table(results)]
    for suite, group in groupby(results, lambda result: result["suite"]):
        parts += [f"## Tasks of {suite}: episodes that succeeded", task_table(list(group))]
    if comparison := comparison_table(results):
        parts += ["## Paired comparisons on the same episodes", comparison]
    return "\n\n".join(parts) + "\n"


def draw(results: list[Result], path: Path) -> None:
    """Success rates as bars with their intervals, a panel for each suite and placement."""
    panels = [(key, list(group)) for key, group in groupby(results, protocol)]
    labels = list(dict.fromkeys(result["label"] for result in results))
    widths = [0.6 + len(group) for _, group in panels]
    figure, row = plt.subplots(
        1, len(panels), figsize=(1 + sum(widths), 4.2), sharey=True, squeeze=False, width_ratios=widths
    )
    for axes, ((suite, placement), group) in zip(row[0], panels, strict=True):
        for at, result in enumerate(group):
            value, low, high = rate(result)
            axes.bar(at, value, 0.8, color=f"C{labels.index(result['label'])}")
            axes.errorbar(at, value, [[value - low], [high - value]], color="black", capsize=3)
            axes.text(at, high + 0.015, f"{value:.1%}", ha="center", fontsize=8)
        names = [f"{r['name'].replace(' (', chr(10) + '(')}\nn = {len(r['episodes'])}" for r in group]
        axes.set_xticks(range(len(group)), names, fontsize=8)
        axes.set_title(f"{suite}\n{placement} placements", fontsize=9)
        axes.set_ylim(0, 1.08)
        axes.spines[["top", "right"]].set_visible(False)
    row[0][0].set_ylabel("success rate (95% interval)")
    figure.tight_layout()
    with replacing(path) as draft:
        figure.savefig(draft, dpi=150)
    plt.close(figure)


def main(config: Config) -> None:
    results = read_results(config.results)
    text = make_report(results)
    print(text)
    writable_folder(config.out)
    with replacing(config.out / "results.md") as draft:
        draft.write_text(text)
    draw(results, config.out / "results.png")


if __name__ == "__main__":
    run_program(main, Config)
