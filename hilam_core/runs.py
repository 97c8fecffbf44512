"""Training runs: log.jsonl, one object a logged step with the numbers of TensorBoard; runs side by side."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing

LOG = "log.jsonl"
Rows = Sequence[Mapping[str, Any]]


class NoLog:
    """Of processes that write nothing."""

    def write(self, step: int, prefix: str, scalars: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Log(NoLog):
    """Scalars to TensorBoard and to log.jsonl, one object a logged step. What a run that continues at `step`
    will do again is forgotten."""

    def __init__(self, run_dir: Path, step: int, seconds_before: float) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step)
        self._path = run_dir / LOG
        before = [row for row in read_log(self._path) if row["step"] <= step]
        with replacing(self._path) as draft:
            draft.write_text("".join(json.dumps(row) + "\n" for row in before))
        self._written = {(row["step"], name.partition("/")[0]) for row in before for name in row}
        self._since, self._last = time.monotonic() - seconds_before, (step, time.monotonic())

    def write(self, step: int, prefix: str, scalars: Mapping[str, float]) -> None:
        if (step, prefix) in self._written or not scalars:  # of a finished run that was started again
            return
        row: dict[str, Any] = {"step": step, **{f"{prefix}/{name}": value for name, value in scalars.items()}}
        for name, value in list(row.items())[1:]:
            self._board.add_scalar(name, value, step)
        now = time.monotonic()
        row["seconds"] = round(now - self._since, 3)
        if prefix == "train":
            (before, then), self._last = self._last, (step, now)
            row["steps_per_s"] = round((step - before) / max(now - then, 1e-9), 4)
        try:
            with open(self._path, "a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise FileError(f"cannot write '{self._path}': {error.strerror}") from None

    def close(self) -> None:
        self._board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The objects of a run's log.jsonl; empty where there is none. A line that a killed process left half
    written is not one."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
            rows += [row] if isinstance(row, dict) and "step" in row else []
        except ValueError:
            continue
    return rows


def read_runs(folders: Sequence[Path]) -> dict[str, Rows]:
    """The logged steps of each run, by the part of its folder's name that tells it from the others.

    Raises:
        DataError: a folder without log.jsonl, or with an empty one.
    """
    runs: dict[str, Rows] = {}
    for folder in folders:
        rows = read_log(folder / LOG)
        if not rows:
            raise DataError(
                f"'{folder}' has no {LOG} with logged steps: it is no folder of a training program"
            )
        same_name = sum(other.name == folder.name for other in folders) > 1
        runs[str(folder) if same_name else folder.name] = rows
    return runs


def describe_run(rows: Rows) -> dict[str, float | None]:
    """Steps, minutes, median steps a second, and the last training and held-out loss of a run."""
    speeds = [row["steps_per_s"] for row in rows if "steps_per_s" in row]
    return {
        "steps": rows[-1]["step"],
        "minutes": round(rows[-1].get("seconds", 0) / 60, 1),
        "steps a second": round(statistics.median(speeds), 2) if speeds else None,
        "loss": _last(rows, "train/loss"),
        "held-out loss": _last(rows, "held_out/loss"),
    }


def _last(rows: Rows, name: str) -> float | None:
    values = [row[name] for row in rows if name in row]
    return round(values[-1], 4) if values else None


def draw_curves(path: Path, runs: Mapping[str, Rows]) -> None:
    """A panel for each logged term that two runs share, or that one has: lines over the steps."""
    from matplotlib.figure import Figure

    terms = [
        name
        for name in ("train/loss", "held_out/loss")
        if any(name in row for r in runs.values() for row in r)
    ]
    figure = Figure(figsize=(1 + 5 * max(1, len(terms)), 4))
    for panel, term in enumerate(terms, 1):
        axes = figure.add_subplot(1, len(terms), panel)
        for name, rows in runs.items():
            points = [(row["step"], row[term]) for row in rows if term in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axes.set(xlabel="step", title=term.replace("/", " ").replace("_", " "), yscale="log")
        axes.legend(fontsize=8)
    figure.tight_layout()
    with replacing(path) as draft:
        figure.savefig(draft, dpi=120)
