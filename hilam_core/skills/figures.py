"""The skill strip: frames with the segment number beneath each, boundaries marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hilam_core.files import replacing
from hilam_core.skills.evaluate import Segment, nearest_segments


def draw_strip(
    path: str | Path,
    frames: np.ndarray,
    skills: dict[str, np.ndarray],
    phases: Sequence[str] | None = None,
    title: str = "",
    columns: int = 16,
) -> None:
    """Evenly spaced frames (uint8 [T, H, W, 3]), numbered by the last stage; below, stage 1's boundary
    probabilities and coloured segments of every stage on the time axis, with the recorded phases where there
    are any."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    stages = sum(name.startswith("segment") for name in skills)
    length, colours = len(frames), colormaps["tab10"].colors  # type: ignore[attr-defined]
    figure = Figure(figsize=(columns, 3 + 0.6 * stages))
    grid = figure.add_gridspec(2, columns, height_ratios=[1, 2], hspace=0.25, wspace=0.04)
    for c, t in enumerate(np.linspace(0, length - 1, columns).round().astype(int)):
        axes, number = figure.add_subplot(grid[0, c]), int(skills[f"segment{stages}"][t])
        axes.imshow(frames[t])
        axes.set(xticks=[], yticks=[])
        axes.set_xlabel(f"{number}", color=colours[number % 10], fontsize=13, labelpad=2)
        for spine in axes.spines.values():
            spine.set(color=colours[number % 10], linewidth=3)
    axes = figure.add_subplot(grid[1, :])
    rows: list[tuple[str, Any]] = [(rf"$\bar z^{s}$", skills[f"segment{s}"]) for s in range(stages, 0, -1)]
    if phases is not None:
        rows.insert(0, ("phases", list(phases)))
    for y, (_, labels) in enumerate(rows):
        for i, (start, stop) in enumerate(_runs(labels)):
            axes.barh(
                y, stop - start, left=start, height=0.8, color=colours[i % 10], alpha=0.8, edgecolor="white"
            )
            if isinstance(labels[start], str):
                axes.text((start + stop) / 2, y, labels[start], ha="center", va="center", fontsize=9)
    axes.plot(np.arange(length), len(rows) - 0.4 + skills["p1"], color="black", linewidth=0.9)
    axes.axhline(len(rows) - 0.4 + 0.5, color="grey", linewidth=0.5, linestyle=":")
    axes.set(xlim=(0, length), xlabel="frame", title=title)
    axes.set_yticks([*range(len(rows)), len(rows) + 0.1], [*(name for name, _ in rows), "$p^1$"])
    with replacing(path) as draft:
        figure.savefig(draft, dpi=90, bbox_inches="tight")


def draw_neighbours(
    path: str | Path, frames: Mapping[str, np.ndarray], segments: Sequence[Segment], count: int = 5
) -> None:
    """One row for each phase: the segment in the middle of its list, and its `count` nearest in other
    episodes, each as its first, middle and last frame; the phase of most of its frames beneath.

    frames: uint8 [T, H, W, 3] of each key.
    """
    from matplotlib.figure import Figure

    by_phase: dict[str, list[int]] = {}
    for i, segment in enumerate(segments):
        by_phase.setdefault(segment.phase, []).append(i)
    near = nearest_segments(segments, count)
    rows = [[group[len(group) // 2], *near[group[len(group) // 2]]] for group in by_phase.values()]
    figure = Figure(figsize=(3 * (count + 1), 1.3 * len(rows)))
    grid = figure.add_gridspec(len(rows), count + 1, hspace=0.35, wspace=0.04)
    for r, row in enumerate(rows):
        for c, i in enumerate(row):
            segment, axes = segments[i], figure.add_subplot(grid[r, c])
            times = (segment.start, (segment.start + segment.stop) // 2, segment.stop - 1)
            axes.imshow(np.hstack([np.asarray(frames[segment.key][t]) for t in times]))
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(segment.phase, labelpad=2, color=_colour(segment, segments[row[0]]))
    figure.axes[0].set_title("segment")
    with replacing(path) as draft:
        figure.savefig(draft, dpi=80, bbox_inches="tight")


def _colour(segment: Segment, asked: Segment) -> str:
    if segment is asked:
        return "black"
    return "green" if segment.phase == asked.phase else "red"


def _runs(labels: Any) -> list[tuple[int, int]]:
    starts = [0, *(t for t in range(1, len(labels)) if labels[t] != labels[t - 1])]
    return list(zip(starts, [*starts[1:], len(labels)], strict=True))
