"""Who owns an episode, and what it leaves behind: episode.mp4, episode.json and episode_actions.npy.

Times (`now_s`) are seconds of a steady clock.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from hilam_core.errors import HilamError
from hilam_core.runtime.timing import TimeAccount, summarize_ms

READY = "ready"


class EpisodeError(HilamError):
    """An episode that cannot begin or go on. The message is one line."""


class Episode:
    """Begins when everyone is ready, watches over every step, and writes the record at the end.

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

    def hear(self, node: str, message: str) -> None:
        """Take in what a node says about its health."""
        if node in self._heard:
            self._heard[node] = message

    def unready(self) -> list[str]:
        """The nodes that are not ready, each with what it said last."""
        return [f"{node}: {message}" for node, message in self._heard.items() if message != READY]

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
            reasons = "; ".join([*self.unready(), *lacking])
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

    def write(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the record, `facts` of the arm with it; returns the content of episode.json."""
        assert self._began_s is not None and self._ended_s is not None
        rate_hz = round(self.steps / (self._ended_s - self._began_s), 2)
        outcome = {"success": self.success, "steps": self.steps, "rate_hz": rate_hz}
        return self.recorder.write({**outcome, **self.facts, **facts}, self.account.durations_s())


class EpisodeRecorder:
    """Collects frames and actions of one episode in memory and writes them at its end."""

    def __init__(self, output: Path | str, task_name: str, cameras: list[str], control_hz: float):
        self.folder = unused_folder(Path(output), f"{time.strftime('%Y%m%d-%H%M%S')}_{task_name}")
        self.cameras, self.control_hz = cameras, control_hz
        self.frames: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []

    def add_frame(self, images: Mapping[str, np.ndarray]) -> None:
        """Cameras side by side; images uint8[H, W, 3] of equal height."""
        self.frames.append(np.concatenate([images[camera] for camera in self.cameras], axis=1))

    def write(self, facts: Mapping[str, Any], durations_s: Mapping[str, Sequence[float]]) -> dict[str, Any]:
        """Write the three files, each whole or not at all; returns the content of episode.json.

        durations_s: of each stage, in seconds; the file has their statistics in milliseconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        latency_ms = {stage: summarize_ms(values) for stage, values in durations_s.items()}
        content = {**facts, "latency_ms": latency_ms}
        if self.frames:
            write_atomically(
                self.folder / "episode.mp4", lambda path: write_video(path, self.frames, self.control_hz)
            )
        actions = np.asarray(self.actions, np.float32).reshape(-1, 7)
        write_atomically(self.folder / "episode_actions.npy", lambda path: save_array(path, actions))
        text = json.dumps(content, indent=2) + "\n"
        write_atomically(self.folder / "episode.json", lambda path: path.write_text(text))
        return content


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


def unused_folder(parent: Path, name: str) -> Path:
    """parent/name, with a number behind it where that is taken."""
    folder, number = parent / name, 2
    while folder.exists():
        folder, number = parent / f"{name}_{number}", number + 1
    return folder


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call write(temporary path), then rename; the suffix stays, as some writers choose a format by it."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save_array(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array)


def write_video(path: Path, frames: list[np.ndarray], rate_hz: float, scale: int = 2) -> None:
    """H.264 from uint8[H, W, 3] RGB frames, enlarged `scale` times (that also makes the sides even)."""
    height, width = (scale * side for side in frames[0].shape[:2])
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=round(rate_hz), options={"crf": "20", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            enlarged = np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1)
            for packet in stream.encode(av.VideoFrame.from_ndarray(enlarged, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
