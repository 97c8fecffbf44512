"""Collect evaluations into tables, a plot and a page with videos, and compare policies in pairs.

    python training/report.py runs/eval --out runs/report
    python training/report.py --runs runs/policy runs/flat           # learning curves side by side
    python training/report.py runs/eval --skills data/libero_object/skills.h5 --lam runs/lam

Reads every result of evaluate.py below the given paths; suites and placements stay apart. Writes results.md,
results.png and results.html, one file with everything that also shows the first videos of each task. The
paper's four figures: suites.png (success per suite), shares.png (success against the share of demonstrations,
where results differ in it) and, of held-out clips, strips/ with --skills and predictions.png with --lam.

Success rates have 95% Wilson intervals. Two evaluations that share episodes are compared on those: the
difference of the rates has a 95% interval for pairs, and p is that of the exact McNemar test: how often two
equally good policies would differ as much in the episodes that only one of them solves.
"""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Mapping
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
from hilam_core.runs import Rows, describe_run, draw_curves, read_runs
from hilam_core.statistics import mcnemar_p, paired_difference_interval, wilson_interval

Result = dict[str, Any]
# Success of BAKU and HiLAM with 50 demonstrations a task (arXiv 2603.05815).
PUBLISHED = {
    "libero_spatial": (0.89, 0.97),
    "libero_object": (0.99, 1.00),
    "libero_goal": (0.95, 0.97),
    "libero_10": (0.86, 0.94),
}
# What may tell evaluations of one label apart, in the order of mention: key -> how a value is written.
SETTINGS = {
    "seed": "seed {}",
    "instruction": "told {!r}",
    "wording": "wording {}",
    "states_of": "states of {}",
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
    """Folder for tables and pictures."""
    runs: tuple[Path, ...] = ()
    """Folders of training programs whose learning curves to compare."""
    skills: Path | None = None
    """Skills of extract_skills, of which to draw strips."""
    lam: Path | None = None
    """Latent action model whose predictions to draw beside the true frames."""
    data: tuple[Path, ...] = ()
    """Clips for strips and predictions; by default those that skills or model were made of."""
    strips: int = 3
    """Number of strips to draw."""
    videos: int = 1
    """Videos of failures, and as many of successes, that the page shows for each task (about 0.1 MB each)."""

    def __post_init__(self) -> None:
        for name in ("videos", "strips"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")


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


def run_table(runs: Mapping[str, Rows]) -> Table:
    """One row a training run."""
    described = {name: describe_run(rows) for name, rows in runs.items()}
    heads = ["run", *next(iter(described.values()))]
    rows = [
        [name, *("" if value is None else value for value in row.values())] for name, row in described.items()
    ]
    return Table("Training runs", heads, rows)


def draw_suites(results: list[Result], path: Path) -> None:
    """The paper's first figure: success per suite on stored placements, beside the published numbers."""
    shown = [result for result in results if result["placement"] == "stored" and result.get("share", 1) == 1]
    suites = [suite for suite in PUBLISHED if any(result["suite"] == suite for result in shown)]
    names = list(dict.fromkeys(result["name"] for result in shown))
    if not suites:
        return
    figure, axes = plt.subplots(figsize=(2 + 2 * len(suites), 4))
    width = 0.8 / len(names)
    for result in shown:
        if result["suite"] not in suites:
            continue
        at = suites.index(result["suite"]) + width * (names.index(result["name"]) - (len(names) - 1) / 2)
        value, low, high = rate(result)
        axes.bar(at, value, 0.9 * width, color=f"C{names.index(result['name'])}")
        axes.errorbar(at, value, [[value - low], [high - value]], color="black", capsize=3)
    for number, (policy, marker) in enumerate((("BAKU", "s"), ("HiLAM", "o"))):
        published = [PUBLISHED[suite][number] for suite in suites]
        axes.scatter(
            range(len(suites)), published, marker=marker, facecolors="none", edgecolors="grey", zorder=3,
            label=f"{policy}, published",
        )  # fmt: skip
    handles = [plt.Rectangle((0, 0), 1, 1, color=f"C{i}") for i in range(len(names))]
    rings, published_names = axes.get_legend_handles_labels()
    axes.legend([*handles, *rings], [*names, *published_names], fontsize=8, loc="lower right")
    axes.set_xticks(range(len(suites)), [suite.removeprefix("libero_") for suite in suites])
    axes.set(ylim=(0, 1.05), ylabel="success rate (95% interval)")
    _save(figure, path)


def draw_shares(results: list[Result], path: Path) -> None:
    """The paper's second figure: success against the share of demonstrations, a line a policy and suite."""
    lines: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        if "share" in result:
            lines[f"{policy_of(result)}, {result['suite']}, {result['placement']}"].append(result)
    lines = {name: line for name, line in lines.items() if len({result["share"] for result in line}) > 1}
    if not lines:
        return
    figure, axes = plt.subplots(figsize=(6, 4))
    for name, line in lines.items():
        line.sort(key=lambda result: result["share"])
        rates = [rate(result) for result in line]
        below, above = [v - low for v, low, _ in rates], [high - v for v, _, high in rates]
        shares = [100 * result["share"] for result in line]
        axes.errorbar(shares, [v for v, _, _ in rates], [below, above], capsize=3, marker="o", label=name)
    axes.set(
        xlabel="share of demonstrations in fine-tuning [%]",
        ylabel="success rate (95% interval)",
        ylim=(0, 1.05),
    )
    axes.legend(fontsize=8)
    _save(figure, path)


def policy_of(result: Result) -> str:
    """The label without its share, so that runs of one policy make one line: `flat_10` is `flat`, and
    run_study's `flat 10%, seed 0` is `flat, seed 0`."""
    share = r"[ _-]?(share)?[ _-]?\d+(\.\d+)?%?(?=$|, seed \d+$)"
    return re.sub(share, "", result["label"], count=1) or result["label"]


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    with replacing(path) as draft:
        figure.savefig(draft, dpi=150)
    plt.close(figure)


def draw_strips(config: Config) -> None:
    """The paper's third figure: held-out clips with the segments of stored skills."""
    from hilam_core.data import ReadConfig, SkillStore, read_clips, split_held_out
    from hilam_core.skills.figures import draw_strip

    assert config.skills is not None
    store = SkillStore.read(config.skills)
    data = list(config.data) or [Path(path) for path in store.attrs["data"]]
    found = read_clips(data, store.lineage.cameras, ReadConfig.reading(store.attrs))
    clips = [clip for clip in found if clip.key in store]
    store.require_clips(clips)
    held_out = split_held_out(clips)[1] or clips
    for clip in held_out[:: max(1, len(held_out) // max(1, config.strips))][: config.strips]:
        picture = config.out / "strips" / f"{clip.key}.png"
        frames, phases = clip.frames[store.lineage.cameras[0]], getattr(clip, "phases", None)
        draw_strip(picture, frames, store[clip.key], phases, clip.instruction)
        print(f"wrote {picture}")


def draw_frames(config: Config) -> None:
    """The paper's fourth figure: true and predicted future frames of held-out clips."""
    import numpy as np

    from hilam_core.cards import load_card
    from hilam_core.data import ReadConfig, read_clips, split_held_out
    from hilam_core.lam import FramePairs, load_lam
    from hilam_core.lam.figures import draw_predictions

    assert config.lam is not None
    card, model = load_card(config.lam, "lam"), load_lam(config.lam)
    data = list(config.data) or [Path(path) for path in card["data"]["paths"]]
    cameras = tuple(card["data"].get("cameras", ("agentview",))[:1])
    clips = read_clips(data, cameras, ReadConfig.reading(card["program"].get("read", {})))
    pairs = FramePairs(split_held_out(clips)[1] or clips, model.gap, model.gap)
    chosen = np.linspace(0, len(pairs) - 1, 8).astype(int)
    batch = pairs.pairs(chosen, np.full(len(chosen), model.gap))
    draw_predictions(config.out / "predictions.png", model, batch["now"], batch["future"])
    print(f"wrote {config.out / 'predictions.png'}")


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
    _save(figure, path)


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


def has_results(config: Config) -> bool:
    """Whether to report evaluations: not where only other things were asked for, and there are none."""
    asked_else = bool(config.runs or config.skills or config.lam)
    return not asked_else or any(path.exists() for path in config.results)


def main(config: Config) -> None:
    results = read_results(config.results) if has_results(config) else []
    runs = read_runs(config.runs)
    tables = (make_tables(results) if results else []) + ([run_table(runs)] if runs else [])
    text = "\n\n".join(table.markdown() for table in tables) + "\n"
    print(text)
    writable_folder(config.out)
    with replacing(config.out / "results.md") as draft:
        draft.write_text(text)
    with replacing(config.out / "results.html") as draft:
        draft.write_text(make_page(tables, results, config.videos))
    if results:
        draw(results, config.out / "results.png")
        draw_suites(results, config.out / "suites.png")
        draw_shares(results, config.out / "shares.png")
    if runs:
        draw_curves(config.out / "curves.png", runs)
    if config.skills:
        draw_strips(config)
    if config.lam:
        draw_frames(config)


if __name__ == "__main__":
    run_program(main, Config)
