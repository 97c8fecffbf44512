"""The record of an episode: episode.mp4, episode.json and episode_actions.npy in a folder of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hilam_core.conventions import ACTION_DIM
from hilam_core.errors import FileError
from hilam_core.files import replacing, writable_folder, write_json
from hilam_core.video import write_video

SCALE = 2  # each pixel of a camera becomes a square of so many
LINE_PX = 18  # a line of text under the picture, after scaling
MOST_NAME = 50  # characters of up to four bytes; file systems take 255 bytes
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4


@dataclass(frozen=True)
class RecordedSkill:
    """A skill as the video's strip shows it: the control step it was planned from, its number, and the
    probability that a new segment begins there."""

    step: int
    number: int
    boundary_probability: float


class EpisodeRecorder:
    """Collects what the policy saw and did in one episode, in memory, and writes it at the end."""

    def __init__(self, output: Path | str, task_name: str, instruction: str, control_hz: float):
        self.output, self.name = Path(output), folder_name(task_name)
        self.instruction, self.control_hz = instruction, control_hz
        self.frames: dict[int, np.ndarray] = {}
        self.actions: list[np.ndarray] = []
        self.skills: list[RecordedSkill] = []

    def add_frame(self, step: int, images: list[np.ndarray]) -> None:
        """What the policy saw at a step: images uint8[H, W, 3] of equal height, shown side by side."""
        self.frames[step] = np.concatenate(images, axis=1)

    def write(self, content: Mapping[str, Any]) -> Path:
        """Write the three files, each whole or not at all, into a new folder; returns that.

        Raises:
            FileError: the folder cannot be written, or the disk is full.
        """
        folder = own_folder(self.output, self.name)
        if self.frames:
            write_video(folder / "episode.mp4", self.pictures(), self.control_hz)
        with replacing(folder / "episode_actions.npy") as draft:
            np.save(draft, np.asarray(self.actions, np.float32).reshape(-1, ACTION_DIM))
        write_json(folder / "episode.json", content)
        return folder

    def pictures(self) -> Iterator[np.ndarray]:
        """Every frame, enlarged, with the instruction and the skill of that step in a strip under it."""
        skills = sorted(self.skills, key=lambda skill: skill.step)
        for step, frame in sorted(self.frames.items()):
            due = [skill for skill in skills if skill.step <= step]
            large = frame.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
            yield np.concatenate([large, strip(large.shape[1], self.instruction, due[-1] if due else None)])


def strip(width: int, instruction: str, skill: RecordedSkill | None) -> np.ndarray:
    """Two lines of text, uint8[2 * LINE_PX, width, 3]; the second has a bar as long as the boundary is
    probable."""
    picture = np.full((2 * LINE_PX, width, 3), 24, np.uint8)
    while instruction and cv2.getTextSize(instruction, FONT, FONT_SCALE, 1)[0][0] > width - 8:
        instruction = f"{instruction[:-4]}..." if len(instruction) > 4 else ""
    _write(picture, instruction, 0)
    if skill is not None:
        bar = round(width * min(max(skill.boundary_probability, 0.0), 1.0))
        picture[LINE_PX:, :bar] = (120, 60, 20)
        _write(picture, f"skill {skill.number}, boundary {skill.boundary_probability:.2f}", 1)
    return picture


def _write(picture: np.ndarray, text: str, line: int) -> None:
    place = (4, LINE_PX * (line + 1) - 6)
    cv2.putText(picture, text, place, FONT, FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)


def summary_lines(content: Mapping[str, Any]) -> list[str]:
    """What is printed at the end of an episode."""
    cadence = content["cadence"]
    lines = [
        f"{content['name']}: {content['outcome']} after {content['steps']} steps at "
        f"{content['rate_hz']:.1f} Hz ({content['mode']}): {content['reason']}",
        f"cadence: {content['rate_hz']:.1f} of {content['control_hz']:g} Hz, {cadence['over_budget']} of "
        f"{cadence['cycles']} cycles over {cadence['budget_ms']:g} ms, headroom {cadence['headroom']:.0%}",
        f"{'latency [ms]':24}{'p50':>8}{'p99':>8}{'count':>8}",
    ]
    for stage, values in content["latency_ms"].items():
        if values["count"]:
            name = stage.replace("_", " ")
            lines.append(f"  {name:22}{values['p50']:8.2f}{values['p99']:8.2f}{values['count']:8d}")
    return lines


def folder_name(task_name: str) -> str:
    """The name of an episode's folder: when, and as much of the task's name (any text) as a name can have."""
    name = re.sub(r"[^\w.-]+", "_", task_name)[:MOST_NAME]
    return f"{time.strftime('%Y%m%d-%H%M%S')}_{name}"


def own_folder(parent: Path, name: str) -> Path:
    """A new folder parent/name, with a number behind it where that is taken, also by another process.

    Raises:
        FileError: it cannot be made.
    """
    folder, number = writable_folder(parent) / name, 1
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = parent / f"{name}_{number}"
        except OSError as error:
            raise FileError(f"cannot make the folder '{folder}': {error.strerror}") from None
