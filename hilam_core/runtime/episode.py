"""What an episode leaves behind: episode.mp4, episode.json and episode_actions.npy."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np

from hilam_core.runtime.timing import summarize_ms

STAGES = ("simulate", "ingest", "plan", "act", "command", "topics", "observation_to_command")


class EpisodeRecorder:
    """Collects frames, actions and latencies of one episode in memory and writes them at its end."""

    def __init__(self, output: Path | str, task_name: str, cameras: list[str], control_hz: float):
        self.folder = unused_folder(Path(output), f"{time.strftime('%Y%m%d-%H%M%S')}_{task_name}")
        self.cameras, self.control_hz = cameras, control_hz
        self.frames: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self.durations_s: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def add_frame(self, images: dict[str, np.ndarray]) -> None:
        """Cameras side by side; images uint8[H, W, 3] of equal height."""
        self.frames.append(np.concatenate([images[camera] for camera in self.cameras], axis=1))

    def write(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write the three files, each whole or not at all; returns the content of episode.json."""
        self.folder.mkdir(parents=True, exist_ok=True)
        latency_ms = {stage: summarize_ms(values) for stage, values in self.durations_s.items()}
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
