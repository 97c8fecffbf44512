"""Demonstrations in LIBERO's HDF5 layout, one file a task.

    data/                     attributes: problem_info, bddl_file_name, bddl_file_content, env_args, assets,
                              num_demos, total
    data/demo_i/              attributes: num_samples, init_state, language, placement, seed, attempt,
                              disturbed
    data/demo_i/actions       float64 [T, 7]
    data/demo_i/states        float64 [T, d], MuJoCo's state before each action
    data/demo_i/robot_states  float64 [T, 9]: fingers 2, position 3, quaternion xyzw 4
    data/demo_i/rewards, dones  uint8 [T]
    data/demo_i/phases        bytes [T]: the expert's phase at each action
    data/demo_i/obs/          agentview_rgb, eye_in_hand_rgb uint8 [T, H, W, 3], upside down as in OpenGL;
                              ee_pos [T, 3], ee_ori [T, 3] (rotation vector), ee_states [T, 6],
                              gripper_states [T, 2], joint_states [T, 7]

Observation t is what was seen before action t. Every finished episode is first a file of its own, put in
place in one step; `merge_episodes` builds the task's file from them, again in one step. Whatever fails in
between, what was finished stays readable.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hilam_sim.env import CAMERAS, CONTROL_HZ, LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.experts import make_expert
from hilam_sim.tasks import Task

_MAX_STEPS = {
    "libero_spatial": 400,
    "libero_object": 300,
    "libero_goal": 600,
    "libero_10": 1000,
    "libero_90": 900,
}


@dataclass
class Recording:
    """One episode under way."""

    placement: str
    seed: int
    attempt: int
    disturbed: bool = False
    observations: list[dict[str, np.ndarray]] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    actions: list[np.ndarray] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)


def record_expert(
    env: LiberoEnv,
    placement: str,
    seed: int,
    attempt: int = 0,
    disturbed: bool = False,
    init_state: int = 0,
    max_steps: int | None = None,
) -> Recording | None:
    """Let the expert perform the task once; None where it did not succeed.

    Success means that the goal holds after the object was let go and lies still. A `disturbed` recording
    begins with the empty hand closed near the object, which an expert that rarely errs would never show.
    `max_steps` is the expert's own limit where None.
    """
    recording = Recording(placement, seed, attempt, disturbed)
    observation, _ = env.reset(seed=seed, options={"placement": placement, "init_state": init_state})
    expert = make_expert(env, seed)
    if disturbed:
        observation = expert.disturb()
    if max_steps is None:
        max_steps = getattr(expert, "max_steps", _MAX_STEPS[env.task.suite])
    for _ in range(max_steps):
        action, phase = expert.act()
        if expert.done:
            return recording if env.success() else None
        recording.observations.append(observation)
        recording.states.append(env.get_state())
        recording.actions.append(action)
        recording.phases.append(phase)
        observation, *_ = env.step(action)
    return None


def _rotation_vectors(quaternions: np.ndarray) -> np.ndarray:
    """Rotation vectors [T, 3] as robosuite's quat2axisangle gives them, from xyzw [T, 4]."""
    w = np.clip(quaternions[:, 3:], -1.0, 1.0)
    length = np.sqrt(1.0 - w * w)
    return np.where(length < 1e-10, 0.0, quaternions[:, :3] * 2.0 * np.arccos(w) / np.maximum(length, 1e-10))


@contextmanager
def _replacing(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file that takes its place only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise SimError(f"cannot write {path}: {error}; finished episodes are kept") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_episode(path: Path, env: LiberoEnv, recording: Recording, compression: str | None = "lzf") -> None:
    """Write one finished episode as a file of its own, in the layout of the whole.

    Raises:
        SimError: the file cannot be written (disk full, no permission).
    """
    with _replacing(path) as file:
        data = file.create_group("data")
        data.attrs.update(_task_attributes(env))
        demo = data.create_group("demo_0")
        _write_arrays(demo, recording, compression)
        demo.attrs["num_samples"] = len(recording.actions)
        demo.attrs["init_state"] = recording.states[0]
        demo.attrs["language"] = env.instruction
        demo.attrs["placement"] = recording.placement
        demo.attrs["seed"] = recording.seed
        demo.attrs["attempt"] = recording.attempt
        demo.attrs["disturbed"] = recording.disturbed
        data.attrs["num_demos"], data.attrs["total"] = 1, len(recording.actions)


def _write_arrays(demo: h5py.Group, recording: Recording, compression: str | None) -> None:
    seen = {key: np.stack([o[key] for o in recording.observations]) for key in recording.observations[0]}
    orientation = _rotation_vectors(seen["ee_quat"])
    obs = demo.create_group("obs")
    for camera in CAMERAS:
        frames = seen[camera][:, ::-1]
        obs.create_dataset(
            f"{camera}_rgb", data=frames, chunks=(1, *frames.shape[1:]), compression=compression
        )
    obs["ee_pos"], obs["ee_ori"] = seen["ee_pos"], orientation
    obs["ee_states"] = np.concatenate([seen["ee_pos"], orientation], axis=1)
    obs["gripper_states"], obs["joint_states"] = seen["gripper_qpos"], seen["joint_pos"]
    last = np.zeros(len(recording.actions), dtype=np.uint8)
    last[-1] = 1
    demo["actions"] = np.stack(recording.actions).astype(np.float64)
    demo["states"] = np.stack(recording.states)
    demo["robot_states"] = np.concatenate([seen["gripper_qpos"], seen["ee_pos"], seen["ee_quat"]], axis=1)
    demo["rewards"], demo["dones"] = last, last
    demo["phases"] = np.array(recording.phases, dtype="S")


def _task_attributes(env: LiberoEnv) -> dict[str, Any]:
    """The attributes official files carry on `data`, and which assets were drawn."""
    problem_name = env.problem.parsed_problem["problem_name"]
    bddl_name = f"bddl_files/{env.task.suite}/{env.task.bddl_path.name}"
    env_args = {
        "type": 1,
        "env_name": type(env.problem).__name__,
        "problem_name": problem_name,
        "bddl_file": bddl_name,
        "env_kwargs": {
            "robots": ["Panda"],
            "controller_configs": {"type": "OSC_POSE"},
            "control_freq": CONTROL_HZ,
            "camera_heights": env.image_size,
            "camera_widths": env.image_size,
            "camera_names": list(CAMERAS.values()),
        },
    }
    problem = {
        "problem_name": problem_name,
        "domain_name": "robosuite",
        "language_instruction": env.instruction,
    }
    return {
        "env_name": type(env.problem).__name__,
        "problem_info": json.dumps(problem),
        "macros_image_convention": "opengl",
        "bddl_file_name": bddl_name,
        "bddl_file_content": env.task.bddl_path.read_text(),
        "env_args": json.dumps(env_args),
        "assets": env.assets,
    }


def demo_path(folder: Path, task: Task) -> Path:
    """The file of a task, named as LIBERO's are."""
    return folder / task.suite / f"{task.name}_demo.hdf5"


def recorded_attempts(path: Path) -> list[int]:
    """Attempt numbers of the demonstrations in a task's file; empty where there is no file.

    Raises:
        SimError: the file is corrupt or not of this layout.
    """
    if not path.exists():
        return []
    try:
        with h5py.File(path, "r") as file:
            return [int(demo.attrs["attempt"]) for demo in file["data"].values()]
    except (OSError, KeyError) as error:
        raise SimError(
            f"cannot read {path} as recorded demonstrations: {error}; move it away to start over"
        ) from error


def merge_episodes(path: Path, parts: Iterable[Path]) -> int:
    """Add episode files to a task's file, ordered by attempt, and remove them; returns the new total."""
    parts = sorted(parts)
    if not parts:
        return len(recorded_attempts(path))
    sources = [source for source in (path, *parts) if source.exists()]
    with _replacing(path) as file:
        data = file.create_group("data")
        found = []
        for source in sources:
            with h5py.File(source, "r") as other:
                data.attrs.update(dict(other["data"].attrs))
                found += [(int(demo.attrs["attempt"]), source, name) for name, demo in other["data"].items()]
        found = list({attempt: (attempt, source, name) for attempt, source, name in reversed(found)}.values())
        for index, (_, source, name) in enumerate(sorted(found, key=lambda item: item[0])):
            with h5py.File(source, "r") as other:
                other.copy(other["data"][name], data, name=f"demo_{index}")
        data.attrs["num_demos"] = len(found)
        data.attrs["total"] = sum(int(demo.attrs["num_samples"]) for demo in data.values())
    for part in parts:
        part.unlink()
    return len(found)


def part_attempt(part: Path) -> int:
    """Attempt number in the name of an episode file."""
    match = re.search(r"(\d+)", part.stem)
    if match is None:
        raise SimError(f"{part} is no episode file")
    return int(match.group(1))
