"""The owner of an episode, and the record it writes: episode.mp4, episode.json and episode_actions.npy.

Times (`now_s`) are seconds of a steady clock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hilam_core.conventions import ACTION_DIM
from hilam_core.errors import HilamError
from hilam_core.files import replacing, writable_folder, write_json
from hilam_core.runtime.timing import TimeAccount, summarize_ms
from hilam_core.video import write_video


class EpisodeError(HilamError):
    """An episode that cannot begin or go on. The message is one line."""


class Episode:
    """Begins when everyone is prepared, watches over every step, and writes the record at the end.

    It knows no topics and no arm: a node tells it what happened, and asks what is due.
    """

    def __init__(
        self,
        recorder: EpisodeRecorder,
        facts: Mapping[str, Any],
        peers: Sequence[str],
        now_s: float,
        start_timeout_s: float = 60.0,
        step_timeout_s: float = 10.0,
    ):
        self.recorder, self.facts = recorder, dict(facts)
        self.start_timeout_s, self.step_timeout_s = start_timeout_s, step_timeout_s
        self.account = TimeAccount()
        self.success = False
        self.peers = tuple(peers)  # the nodes to wait for
        self._heard = dict.fromkeys(peers, "not heard of")  # what each said last
        self._prepared: set[str] = set()  # those that said that the first observation may come
        self._created_s = now_s
        self._began_s: float | None = None
        self._ended_s: float | None = None
        self._observed_s = now_s

    @property
    def began(self) -> bool:
        """Whether the first observation was due."""
        return self._began_s is not None

    @property
    def ended(self) -> bool:
        """Whether the last step was taken."""
        return self._ended_s is not None

    @property
    def steps(self) -> int:
        """Steps taken; the observation after so many is the last one published."""
        return len(self.recorder.actions)

    def hear(self, node: str, message: str, prepared: bool) -> None:
        """Take in what a node says about its health; prepared: the first observation may come."""
        if node in self._heard:
            self._heard[node] = message
            self._prepared = self._prepared | {node} if prepared else self._prepared - {node}

    def unprepared(self) -> list[str]:
        """The nodes that are not prepared, each with what it said last."""
        return [f"{node}: {message}" for node, message in self._heard.items() if node not in self._prepared]

    def begin(self, now_s: float) -> None:
        """The first observation is about to be published."""
        self._began_s = self._observed_s = now_s

    def observed(self, images: Mapping[str, np.ndarray], now_s: float) -> None:
        """The arm published an observation; images uint8[H, W, 3] by camera."""
        self.recorder.add_frame(images)
        self._observed_s = now_s

    def stepped(self, action: np.ndarray, step_s: float) -> None:
        """The arm applied an action float32[7], which took `step_s`."""
        self.recorder.actions.append(action)
        self.account.add_step(step_s)

    def end(self, images: Mapping[str, np.ndarray], success: bool, now_s: float) -> None:
        """The arm took its last step: what it saw then, and the judge's verdict."""
        self.recorder.add_frame(images)
        self.success, self._ended_s = success, now_s

    def over_for_s(self, now_s: float) -> float:
        """How long ago the episode ended; 0 before."""
        return now_s - self._ended_s if self._ended_s is not None else 0.0

    def check_start(self, now_s: float, lacking: Sequence[str]) -> None:
        """Refuse to wait for ever for the start; `lacking`: what the arm itself waits for.

        Raises:
            EpisodeError: the start is overdue.
        """
        if not self.began and now_s - self._created_s > self.start_timeout_s:
            reasons = "; ".join([*self.unprepared(), *lacking])
            raise EpisodeError(f"not ready after {self.start_timeout_s:g} s: {reasons}")

    def check_step(self, now_s: float, missing: Sequence[str]) -> None:
        """Refuse to wait for ever for a command; `missing`: the parts of it that have not come.

        Raises:
            EpisodeError: the command for the last observation is overdue.
        """
        if self.began and not self.ended and now_s - self._observed_s > self.step_timeout_s:
            last_heard = "; ".join(f"{node}: {message}" for node, message in self._heard.items())
            raise EpisodeError(
                f"no {' and no '.join(missing)} command for observation {self.steps} "
                f"within {self.step_timeout_s:g} s; last heard: {last_heard}"
            )

    def result(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The content of episode.json: outcome, setting, the arm's `facts`, and where the time went."""
        assert self._began_s is not None and self._ended_s is not None
        rate_hz = round(self.steps / (self._ended_s - self._began_s), 2)
        outcome = {"success": self.success, "steps": self.steps, "rate_hz": rate_hz}
        latency_ms = {stage: summarize_ms(s) for stage, s in self.account.durations_s().items()}
        return {**outcome, **self.facts, **facts, "latency_ms": latency_ms}


class EpisodeRecorder:
    """Collects frames and actions of one episode in memory and writes them at its end."""

    def __init__(self, output: Path | str, task_name: str, cameras: list[str], control_hz: float):
        self.output, self.name = Path(output), f"{time.strftime('%Y%m%d-%H%M%S')}_{task_name}"
        self.cameras, self.control_hz = cameras, control_hz
        self.frames: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []

    def add_frame(self, images: Mapping[str, np.ndarray]) -> None:
        """Cameras side by side; images uint8[H, W, 3] of equal height."""
        self.frames.append(np.concatenate([images[camera] for camera in self.cameras], axis=1))

    def write(self, content: Mapping[str, Any]) -> Path:
        """Write the three files, each whole or not at all, into a new folder; returns that.

        Raises:
            FileError: the folder cannot be written, or the disk is full.
        """
        folder = own_folder(self.output, self.name)
        if self.frames:
            write_video(folder / "episode.mp4", self.frames, self.control_hz, scale=2)
        with replacing(folder / "episode_actions.npy") as draft:
            np.save(draft, np.asarray(self.actions, np.float32).reshape(-1, ACTION_DIM))
        write_json(folder / "episode.json", content)
        return folder


def summary_lines(content: dict[str, Any]) -> list[str]:
    """What the launch prints at the end of an episode."""
    outcome = "success" if content["success"] else "no success"
    lines = [
        f"{content['task']}, initial state {content['init_state']}: {outcome} "
        f"after {content['steps']} steps at {content['rate_hz']:.1f} Hz ({content['mode']})",
        f"{'latency [ms]':24}{'p50':>8}{'p99':>8}{'count':>8}",
    ]
    for stage, values in content["latency_ms"].items():
        if values["count"]:
            name = stage.replace("_", " ")
            lines.append(f"  {name:22}{values['p50']:8.2f}{values['p99']:8.2f}{values['count']:8d}")
    return lines


def own_folder(parent: Path, name: str) -> Path:
    """A new folder parent/name, with a number behind it where that is taken, also by another process."""
    folder, number = writable_folder(parent) / name, 1
    while True:
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = parent / f"{name}_{number}"
