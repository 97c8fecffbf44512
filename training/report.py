"""Collect evaluations into tables, a plot and a page with videos, and compare policies in pairs.

    python training/report.py runs/eval --out runs/report

Reads every result of evaluate.py below the given paths; suites and placements stay apart. Writes results.md,
results.png and results.html, one file with everything that also shows the first videos of each task.

Success rates have 95% Wilson intervals. Two evaluations that share episodes are compared on those: the
difference of the rates has a 95% interval for pairs, and p is that of the exact McNemar test: how often two
equally good policies would differ as much in the episodes that only one of them solves.
"""

import base64
import json
from collections import defaultdict
from dataclasses import dataclass, field
from html import escape
from itertools import combinations, groupby
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import tyro

from hilam_core.errors import ConfigError, DataError
from hilam_core.files import replacing, writable_folder
from hilam_core.program import run_program
from hilam_core.statistics import mcnemar_p, paired_difference_interval, wilson_interval

Result = dict[str, Any]
# What may tell evaluations of one label apart, in the order of mention: key -> how a value is written.
SETTINGS = {
    "seed": "seed {}",
    "instruction": "told {!r}",
    "max_steps": "{} steps",
    "assets": "{} assets",
    "quality": "{} quality",
    "exact": "exact {}",
    "batch": "batch {}",
    "device": "on {}",
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
    """Folder for results.md, results.png and results.html."""
    videos: int = 1
    """Videos of failures, and as many of successes, that the page shows for each task (about 0.1 MB each)."""

    def __post_init__(self) -> None:
        if self.videos < 0:
            raise ConfigError(f"videos must not be negative, got {self.videos}")


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
    results = sorted(
        _join_shards([_read_result(file) for file in files]),
        key=lambda r: (*protocol(r), r["label"], r["seed"]),
    )
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


def _join_shards(results: list[Result]) -> list[Result]:
    """Results with the shards of one evaluation, however many, made one; all others as they are."""
    joined: dict[str, Result] = {}
    for result in results:
        settings = {"label": result["label"], **{k: str(v) for k, v in result.items() if k in SETTINGS}}
        whole = result.get("shard", "0/1") == "0/1"
        key = result["file"] if whole else json.dumps([protocol(result), {**settings, "file": ""}])
        if key in joined:
            joined[key]["episodes"].update(result["episodes"])
        else:
            joined[key] = result
    return list(joined.values())


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


class Count(NamedTuple):
    """Episodes that succeeded, of all: a cell of a table, on the page with a bar."""

    won: int
    n: int

    def __str__(self) -> str:
        return f"{self.won}/{self.n}"


@dataclass(frozen=True)
class Table:
    """A table for the text and the page."""

    title: str
    heads: list[str]
    rows: list[list[Any]]

    def markdown(self) -> str:
        """The table, under its title."""
        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        return f"## {self.title}\n\n" + "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def overall_table(results: list[Result]) -> Table:
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
    return Table("Success rates", [*heads, "seed", "assets", "step limit", "checkpoint"], rows)


def by_task(result: Result) -> dict[str, list[dict[str, Any]]]:
    """The episodes of each task."""
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for episode in result["episodes"].values():
        tasks[episode["task_name"]].append(episode)
    return tasks


def task_table(results: list[Result]) -> Table:
    """One row a task, one column an evaluation of one suite."""
    columns = [by_task(result) for result in results]
    rows = [
        [
            task.replace("_", " "),
            *(
                Count(successes(column[task]), len(column[task])) if task in column else ""
                for column in columns
            ),
        ]
        for task in sorted({task for column in columns for task in column})
    ]
    heads = ["task", *(f"{r['name']}, {r['placement']}" for r in results)]
    return Table(f"Tasks of {results[0]['suite']}: episodes that succeeded", heads, rows)


def comparison_table(results: list[Result]) -> Table:
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
    title = "Paired comparisons on the same episodes"
    return Table(title, [*heads, "difference", "95% interval", "p"], rows)


def make_tables(results: list[Result]) -> list[Table]:
    """All tables that have rows."""
    suites = [list(group) for _, group in groupby(results, lambda result: result["suite"])]
    tables = [overall_table(results), *map(task_table, suites), comparison_table(results)]
    return [table for table in tables if table.rows]


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


STYLE = """body { font: 15px sans-serif; margin: 2em } td, th { padding: 3px 10px; text-align: left }
tr { border-bottom: 1px solid #ddd } table { border-collapse: collapse } figure { display: inline-block }
.failure { color: #b00 } .success { color: #070 } figcaption { font-size: 13px }"""


def make_page(tables: list[Table], results: list[Result], videos: int) -> str:
    """The page: the tables with bars, then of each task the first `videos` failures and successes."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><title>Evaluations</title>',
        f"<style>{STYLE}</style></head><body><h1>Evaluations</h1>",
        *map(_page_table, tables),
        *(_page_videos(result, videos) for result in results),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _page_table(table: Table) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    rows = ["".join(f"<td>{_page_cell(cell)}</td>" for cell in row) for row in table.rows]
    body = "\n".join(f"<tr>{row}</tr>" for row in (heads, *rows))
    return f"<h2>{escape(table.title)}</h2>\n<table>\n{body}\n</table>"


def _page_cell(cell: Any) -> str:
    if not isinstance(cell, Count):
        return escape(str(cell).strip("`"))
    low, high = wilson_interval(cell.won, cell.n)
    return (
        f'<svg width="120" height="14"><title>95% interval {low:.1%} to {high:.1%}</title>'
        '<rect width="120" height="14" fill="#eee"/>'
        f'<rect width="{120 * cell.won / cell.n:.1f}" height="14" fill="#6a9fd4"/>'
        f'<path d="M{120 * low:.1f} 7H{120 * high:.1f}M{120 * low:.1f} 3v8M{120 * high:.1f} 3v8" '
        f'stroke="black"/></svg> {cell}'
    )


def _page_videos(result: Result, count: int) -> str:
    parts = []
    for task, episodes in by_task(result).items():
        filmed = [episode for episode in episodes if "video" in episode]
        failed = [episode for episode in filmed if not episode["success"]][:count]
        won = [episode for episode in filmed if episode["success"]][:count]
        if shown := failed + won:
            figures = "".join(_page_video(Path(result["file"]).parent, episode) for episode in shown)
            parts.append(f"<h3>{escape(task.replace('_', ' '))}</h3>\n{figures}")
    title = f"<h2>Videos of {escape(result['name'])}, {result['suite']}, {result['placement']}</h2>"
    return "\n".join([title, *parts]) if parts else ""


def _page_video(folder: Path, episode: dict[str, Any]) -> str:
    outcome = "success" if episode["success"] else "failure"
    caption = f"state {episode['init_state']}, seed {episode['seed']}, {episode['steps']} steps: {outcome}"
    try:
        data = base64.b64encode((folder / episode["video"]).read_bytes()).decode()
        video = f'<video controls loop width="384" src="data:video/mp4;base64,{data}"></video>'
    except FileNotFoundError:  # removed to save space; the rest of the page is worth having
        video = f"<p>{escape(episode['video'])} is no longer there</p>"
    return f'<figure>{video}<figcaption class="{outcome}">{caption}</figcaption></figure>\n'


def main(config: Config) -> None:
    results = read_results(config.results)
    tables = make_tables(results)
    text = "\n\n".join(table.markdown() for table in tables) + "\n"
    print(text)
    writable_folder(config.out)
    with replacing(config.out / "results.md") as draft:
        draft.write_text(text)
    with replacing(config.out / "results.html") as draft:
        draft.write_text(make_page(tables, results, config.videos))
    draw(results, config.out / "results.png")


if __name__ == "__main__":
    run_program(main, Config)
