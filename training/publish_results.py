"""Keep evaluations as small files below docs/results, and make the tables and figures of the docs from those.

    python training/publish_results.py runs/study/results     # adds evaluations, then draws everything
    python training/publish_results.py                        # draws everything again

A file of docs/results is one evaluation of one policy: `method`, `suite`, `placement`, `share` of labelled
demonstrations, `train_seed`, `checkpoint_hash`, `command`, and of each episode `task`, `index`, `success` and
`steps`. Tables stand in docs/benchmarks.md between `<!-- results: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from report import Result, Table, comparison_table, draw, overall_table, rate, read_results, task_table

from hilam_core.cards import load_card
from hilam_core.errors import DataError
from hilam_core.files import replacing, writable_folder
from hilam_core.program import run_program
from hilam_sim.tasks import choose_tasks

DOCS = Path(__file__).parents[1] / "docs"
# What a file takes over from a result of evaluate.py as it is.
KEPT = ("suite", "placement", "seed", "max_steps", "assets", "exact", "checkpoint_hash", "command", "commit")


@dataclass
class Config:
    results: Annotated[list[Path], tyro.conf.Positional] = field(default_factory=list)
    """Files of evaluate.py to add, or folders of them; their policies' folders must still be there."""
    docs: Path = DOCS
    """Folder with benchmarks.md, results/ and images/."""


def method_of(card: dict[str, Any]) -> str:
    """What a policy was made of, in run_study's names."""
    if not card["config"]["low"]["cameras"]:
        return "blind"
    if card["config"]["high"]:
        method = "hilam"
    else:
        method = "flat_latent" if card["program"].get("pretrained") else "flat"
    return method + ("_decoded" if "decoded" in card else "")


def reduced(result: Result) -> dict[str, Any]:
    """What is kept of a result of evaluate.py.

    Raises:
        DataError: its policy is no longer where it was, or another by now.
    """
    card = load_card(result["policy"], "policy")
    if card["weights_sha256"] != result["checkpoint_hash"]:
        raise DataError(f"{result['file']} is of another policy than {result['policy']} holds by now")
    seen: dict[int, int] = defaultdict(int)
    episodes = []
    for episode in sorted(result["episodes"].values(), key=lambda e: (e["task"], e["seed"], e["init_state"])):
        index = seen[episode["task"]]
        seen[episode["task"]] += 1
        episodes.append({"task": episode["task"], "index": index, "success": bool(episode["success"])})
        episodes[-1].update({name: episode[name] for name in ("steps", "progress") if name in episode})
    return {
        "method": method_of(card),
        "share": card["program"]["share"],
        "train_seed": card["seed"],
        "train_steps": card["steps"],
        **{name: result[name] for name in KEPT},
        "episodes": episodes,
    }


def publish(results: list[Result], folder: Path) -> None:
    """Write each result to a file whose name says what it is."""
    writable_folder(folder)
    for result in results:
        kept = reduced(result)
        parts = (kept["suite"], kept["method"], f"{kept['share']:g}", kept["train_seed"], kept["placement"])
        with replacing(folder / f"{'_'.join(map(str, parts))}.json") as draft:
            draft.write_text(_json(kept))


def _json(kept: dict[str, Any]) -> str:
    """JSON with an episode a line, so that changes can be read."""
    head = json.dumps({name: value for name, value in kept.items() if name != "episodes"}, indent=2)
    episodes = ",\n    ".join(map(json.dumps, kept["episodes"]))
    return f'{head[:-2]},\n  "episodes": [\n    {episodes}\n  ]\n}}\n'


def read_published(folder: Path) -> list[Result]:
    """The files of a folder as report.py's functions take results."""
    results = []
    for file in sorted(folder.glob("*.json")):
        kept = json.loads(file.read_text())
        names = {task.index: task.name for task in choose_tasks((kept["suite"],), ())}
        episodes = {
            (names[e["task"]], kept["seed"], e["index"]): {**e, "task_name": names[e["task"]]}
            for e in kept["episodes"]
        }
        share = "" if kept["share"] == 1 else f" {kept['share']:.0%}"
        name = f"{kept['method']}{share}" + (f", seed {kept['train_seed']}" if kept["train_seed"] else "")
        results.append({**kept, "episodes": episodes, "file": str(file), "name": name, "label": name})
    return sorted(results, key=lambda r: (r["suite"], r["placement"], r["share"], r["name"]))


def progress(episodes: Iterable[dict[str, Any]]) -> float:
    """The mean share of the goal's conditions that held at once."""
    return float(np.mean([episode["progress"] for episode in episodes]))


def few_labels_table(results: list[Result]) -> Table:
    """One row a method and share, both placements beside each other, all seeds of training together."""
    heads = ["method", "share", "seeds", "placement", "success", "95% interval", "n", "by seed", "progress"]
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in results:
        groups[result["placement"], result["share"], result["method"]].append(result)
    rows = []
    for (placement, share, method), group in sorted(groups.items()):
        together = {(i, *key): e for i, r in enumerate(group) for key, e in r["episodes"].items()}
        value, low, high = rate({"episodes": together})
        seeds = ", ".join(str(result["train_seed"]) for result in group)
        alone = ", ".join(f"{rate(result)[0]:.0%}" for result in group)
        rows.append([method, f"{share:.0%}", seeds, placement, f"{value:.1%}"])
        rows[-1] += [f"{low:.1%} to {high:.1%}", len(together), alone, f"{progress(together.values()):.0%}"]
    return Table("Few labels", heads, rows)


def pairs_table(results: list[Result]) -> Table:
    """Paired comparisons within one share and seed."""
    table = comparison_table([])
    for first, second in combinations(results, 2):
        if all(first[name] == second[name] for name in ("share", "train_seed")):
            table.rows.extend(comparison_table([first, second]).rows)
    return table


TABLES: dict[str, tuple[Callable[[list[Result]], Table], Callable[[Result], bool]]] = {
    "object": (overall_table, lambda r: r["suite"] == "libero_object"),
    "object tasks": (task_table, lambda r: r["suite"] == "libero_object"),
    "long": (few_labels_table, lambda r: r["suite"] == "libero_10"),
    "long tasks": (task_table, lambda r: r["suite"] == "libero_10"),
    "long pairs": (pairs_table, lambda r: r["suite"] == "libero_10"),
}
"""The tables by their names in the docs: how to make them, and of which results."""
MARKED = re.compile(r"(<!-- results: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(text: str, results: list[Result]) -> str:
    """`text` with its marked tables made of `results`.

    Raises:
        DataError: a mark that names no table, or one without results.
    """

    def fill(match: re.Match) -> str:
        if match[2] not in TABLES:
            raise DataError(f"no table {match[2]!r}; there are {', '.join(TABLES)}")
        make, belongs = TABLES[match[2]]
        if not (chosen := [result for result in results if belongs(result)]):
            raise DataError(f"no results for the table {match[2]!r}")
        return match[1] + make(chosen).markdown().partition("\n\n")[2] + "\n" + match[3]

    return MARKED.sub(fill, text)


def main(config: Config) -> None:
    folder, page = config.docs / "results", config.docs / "benchmarks.md"
    if config.results:
        publish(read_results(config.results), folder)
    results = read_published(folder)
    text = with_tables(page.read_text(), results)
    with replacing(page) as draft:
        draft.write_text(text)
    for picture, suite in (("success", "libero_object"), ("success_long", "libero_10")):
        if chosen := [result for result in results if result["suite"] == suite]:
            draw(chosen, config.docs / f"images/{picture}.png")
    print(f"{page}: the tables of {len(results)} results")


if __name__ == "__main__":
    run_program(main, Config)
