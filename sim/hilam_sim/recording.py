"""Demonstrations in LIBERO's HDF5 layout, one file a task.

    data/                     attributes: env_name, problem_info, bddl_file_name, bddl_file_content, env_args,
                              macros_image_convention, num_demos, total; our own: assets ("builtin" or
                              "official"), assets_hash (of their content), collection (JSON: what all
                              demonstrations were recorded with), num_attempts, success_rate
    data/demo_i/              attributes: num_samples, init_state, model_file (XML, the fixtures where they
                              stood); our own: language, placement, seed, attempt, disturbed
    data/demo_i/actions       float64 [T, 7]
    data/demo_i/states        float64 [T, d], MuJoCo's state before each action
    data/demo_i/robot_states  float64 [T, 9]: fingers 2, position 3, quaternion xyzw 4
    data/demo_i/rewards, dones  uint8 [T]
    data/demo_i/phases        bytes [T]: the expert's phase at each action
    data/demo_i/obs/          agentview_rgb, eye_in_hand_rgb uint8 [T, H, W, 3], upside down as in OpenGL;
                              ee_pos [T, 3], ee_ori [T, 3] (rotation vector), ee_states [T, 6],
                              gripper_states [T, 2], joint_states [T, 7]

Observation t is what was seen before action t, in state t. Every finished episode is first a file of its own,
put in place in one step; `merge_episodes` builds the task's file from them, again in one step. Whatever fails
in between, what was finished stays readable. `rerender_episode` draws the images again from the states.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import mujoco
import numpy as np

from hilam_core.conventions import CAMERAS, CONTROL_HZ
from hilam_core.errors import FileError
from hilam_core.files import replacing
from hilam_sim.env import ROBOSUITE_CAMERAS, LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.experts import make_expert
from hilam_sim.tasks import Task, get_task

_ASSET_ROOTS = {
    "robosuite",
    "articulated_objects",
    "scenes",
    "stable_hope_objects",
    "stable_scanned_objects",
    "textures",
    "turbosquid_objects",
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
    """Let the expert perform the task once, within `max_steps` or its own limit; None where it failed.

    Success means that the goal holds after the object was let go and lies still. A `disturbed` recording
    begins with the empty hand closed near the object, which an expert that rarely errs would never show.
    """
    recording = Recording(placement, seed, attempt, disturbed)
    observation, _ = env.reset(seed=seed, options={"placement": placement, "init_state": init_state})
    expert = make_expert(env, seed)
    if disturbed:
        observation = expert.disturb()
    for _ in range(expert.max_steps if max_steps is None else max_steps):
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


class _Disk(io.RawIOBase):
    """A file for HDF5 that keeps the first error instead of raising it: a failing write crashes HDF5."""

    def __init__(self, file: io.FileIO) -> None:
        super().__init__()
        self._file = file
        self.error: OSError | None = None

    def _attempt(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return None if self.error else operation(*arguments)
        except OSError as error:
            self.error = error

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        while rest and not self.error:
            rest = rest[self._attempt(self._file.write, rest) or 0 :]
        return len(data)

    def readinto(self, buffer: Any) -> int:
        return self._attempt(self._file.readinto, buffer) or 0

    def truncate(self, size: int | None = None) -> int:
        return self._attempt(self._file.truncate, size) or 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)


@contextmanager
def _new_file(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file that takes its place only when complete."""
    try:
        with replacing(path) as draft, open(draft, "w+b", buffering=0) as raw:
            disk = _Disk(raw)
            with h5py.File(disk, "w") as file:
                yield file
            if disk.error:
                raise disk.error
    except RuntimeError as error:  # of HDF5
        raise FileError(f"cannot write '{path}': {error}") from error


@contextmanager
def _existing_file(path: Path) -> Iterator[h5py.Group]:
    """The group `data` of recorded demonstrations."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise SimError(f"cannot read {path} as recorded demonstrations: {error}; move it away") from error
    with file:
        if "data" not in file:
            raise SimError(f"cannot read {path} as recorded demonstrations: no group 'data'; move it away")
        yield file["data"]


def write_episode(
    path: Path,
    env: LiberoEnv,
    recording: Recording,
    compression: str | None = "lzf",
    collection: Mapping[str, Any] | None = None,
) -> None:
    """Write one finished episode as a file of its own, in the layout of the whole.

    `collection` is what must be the same in all episodes of a task's file: seed, image size, ...

    Raises:
        FileError: the file cannot be written (disk full, no permission).
    """
    seen = {key: np.stack([o[key] for o in recording.observations]) for key in recording.observations[0]}
    with _new_file(path) as file:
        data = file.create_group("data")
        data.attrs.update(_task_attributes(env))
        data.attrs["collection"] = json.dumps(dict(collection or {}))
        data.attrs["num_demos"], data.attrs["total"] = 1, len(recording.actions)
        demo = data.create_group("demo_0")
        demo.attrs["num_samples"] = len(recording.actions)
        demo.attrs["init_state"] = recording.states[0]
        demo.attrs["model_file"] = _model_xml(env)
        demo.attrs["language"] = env.instruction
        demo.attrs["placement"] = recording.placement
        demo.attrs["seed"] = recording.seed
        demo.attrs["attempt"] = recording.attempt
        demo.attrs["disturbed"] = recording.disturbed
        _write_arrays(demo, recording, seen)
        _write_images(demo["obs"], {camera: seen[camera] for camera in CAMERAS}, compression)


def _write_images(obs: h5py.Group, images: dict[str, np.ndarray], compression: str | None) -> None:
    """Upright uint8 [T, H, W, 3] of each camera, stored upside down."""
    for camera, frames in images.items():
        obs.create_dataset(
            f"{camera}_rgb", data=frames[:, ::-1], chunks=(1, *frames.shape[1:]), compression=compression
        )


def _write_arrays(demo: h5py.Group, recording: Recording, seen: dict[str, np.ndarray]) -> None:
    orientation = _rotation_vectors(seen["ee_quat"])
    obs = demo.create_group("obs")
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
            "camera_names": list(ROBOSUITE_CAMERAS.values()),
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
        "assets_hash": env.assets_hash,
    }


def _model_xml(env: LiberoEnv) -> str:
    """The scene's XML with the fixtures where they stand, and without this machine's folders."""
    root = ElementTree.fromstring(env.problem.model.get_xml())
    for name, body in _fixture_bodies(env, root):
        body.set("pos", " ".join(map(repr, env.model.body(name).pos.tolist())))
        body.set("quat", " ".join(map(repr, env.model.body(name).quat.tolist())))
    for element in root.iter():
        if "file" in element.attrib:
            element.set("file", _without_machine(element.attrib["file"]))
    return ElementTree.tostring(root, encoding="unicode")


def _without_machine(path: str) -> str:
    """The part of an asset's path that is the same everywhere."""
    parts = Path(path).parts
    start = next((i for i, part in enumerate(parts) if part in _ASSET_ROOTS), len(parts) - 1)
    return "/".join(parts[start:])


def _fixture_bodies(env: LiberoEnv, root: ElementTree.Element) -> list[tuple[str, ElementTree.Element]]:
    """Names and elements of the fixtures' bodies: they are drawn at a reset and part of no state."""
    bodies = {body.get("name"): body for body in root.iter("body")}
    names = [fixture.root_body for fixture in env.problem.fixtures_dict.values()]
    return [(name, bodies[name]) for name in names]


def demo_path(folder: Path, task: Task) -> Path:
    """The file of a task, named as LIBERO's are."""
    return folder / task.suite / f"{task.name}_demo.hdf5"


def recorded_attempts(path: Path) -> dict[str, int]:
    """Names and attempt numbers of the demonstrations in a task's file; empty where there is no file.

    Raises:
        SimError: the file is corrupt or not of this layout.
    """
    if not path.exists():
        return {}
    with _existing_file(path) as data:
        return {name: _attribute(demo, "attempt") for name, demo in data.items()}


def _attribute(item: h5py.Group, name: str) -> Any:
    if name not in item.attrs:
        raise SimError(f"{item.file.filename}: {item.name} has no {name!r}: not by collect_demos.py")
    value = item.attrs[name]
    return value.item() if isinstance(value, np.generic) else value


def recorded_collection(path: Path) -> dict[str, Any]:
    """What the demonstrations of a file have in common: seed, image size, ...; empty without a file."""
    if not path.exists():
        return {}
    with _existing_file(path) as data:
        return json.loads(_attribute(data, "collection"))


def check_collection(path: Path, collection: Mapping[str, Any]) -> None:
    """Refuse to add what was recorded otherwise to a file.

    Raises:
        SimError: the file was recorded with another seed, image size, ...; names the first difference.
    """
    there = recorded_collection(path) if path.exists() else collection
    for key in sorted(there.keys() | collection.keys()):
        if there.get(key) != collection.get(key):
            raise SimError(
                f"{path} was recorded with {key} {there.get(key)}, not {collection.get(key)}: "
                "choose the same, or another --out"
            )


def merge_episodes(path: Path, parts: Iterable[Path], num_attempts: int | None = None) -> int:
    """Add episode files to a task's file, ordered by attempt, and remove them; returns the new total.

    Raises:
        SimError: a part cannot be read or was recorded otherwise than the rest.
        FileError: the disk is full, or the folder read-only.
    """
    parts = sorted(parts)
    if not parts:
        return len(recorded_attempts(path))
    sources = [source for source in (path, *parts) if source.exists()]
    found: dict[int, tuple[Path, str]] = {}
    for source in sources:
        check_collection(source, recorded_collection(sources[0]))
        for name, attempt in recorded_attempts(source).items():
            found.setdefault(attempt, (source, name))
    with _new_file(path) as file:
        merged = file.create_group("data")
        with _existing_file(sources[-1]) as data:
            merged.attrs.update(data.attrs)
        for index, attempt in enumerate(sorted(found)):
            source, name = found[attempt]
            with _existing_file(source) as data:
                data.copy(name, merged, name=f"demo_{index}")
        merged.attrs["num_demos"] = len(found)
        merged.attrs["total"] = sum(int(demo.attrs["num_samples"]) for demo in merged.values())
        if num_attempts:
            merged.attrs["num_attempts"], merged.attrs["success_rate"] = (
                num_attempts,
                len(found) / num_attempts,
            )
    for part in parts:
        part.unlink()
    return len(found)


def recorded_task(path: Path) -> Task:
    """The task of a file of demonstrations.

    Raises:
        SimError: the file is corrupt, not of this layout, or of an unknown task.
    """
    with _existing_file(path) as data:
        bddl = Path(_attribute(data, "bddl_file_name"))
    return get_task(bddl.parent.name, bddl.stem)


def rerender_episode(
    part: Path,
    env: LiberoEnv,
    source: Path,
    name: str,
    compression: str | None,
    drawing: Mapping[str, Any],
) -> None:
    """Write demonstration `name` of `source` as an episode file, its images drawn by `env` from the states.

    `drawing` is what the images are drawn with, and replaces its like in the file's collection.

    Raises:
        SimError: the demonstration is not one of ours or of another task.
        FileError: the file cannot be written.
    """
    with _existing_file(source) as old:
        images = _draw(env, old[name])
    with _existing_file(source) as old, _new_file(part) as file:
        data, demo = file.create_group("data"), old[name]
        data.attrs.update({**old.attrs, **_task_attributes(env)})
        data.attrs["collection"] = json.dumps({**recorded_collection(source), **drawing})
        data.attrs["num_demos"], data.attrs["total"] = 1, _attribute(demo, "num_samples")
        new = data.create_group("demo_0")
        new.attrs.update(demo.attrs)
        for key in demo.keys() - {"obs"}:
            demo.copy(key, new)
        obs = new.create_group("obs")
        for key in demo["obs"].keys() - {f"{camera}_rgb" for camera in CAMERAS}:
            demo["obs"].copy(key, obs)
        _write_images(obs, images, compression)


def _draw(env: LiberoEnv, demo: h5py.Group) -> dict[str, np.ndarray]:
    """Upright images [T, H, W, 3] of each camera, from the states of a demonstration."""
    _attribute(demo, "attempt")
    env.reset(seed=0, options={"placement": "fresh"})
    root = ElementTree.fromstring(_attribute(demo, "model_file"))
    for name, body in _fixture_bodies(env, root):
        env.model.body(name).pos = [float(value) for value in body.attrib["pos"].split()]
        env.model.body(name).quat = [float(value) for value in body.attrib["quat"].split()]
    observations = [_observation_in(env, state) for state in demo["states"]]
    return {camera: np.stack([observation[camera] for observation in observations]) for camera in CAMERAS}


def _observation_in(env: LiberoEnv, state: np.ndarray) -> dict[str, np.ndarray]:
    """What was seen when `state` was recorded: the positions of the last substep's beginning."""
    env._write_state(state)
    mujoco.mj_integratePos(env.model, env.data.qpos, -env.data.qvel, env.model.opt.timestep)
    mujoco.mj_fwdPosition(env.model, env.data)
    return env._observe()


def part_attempt(part: Path) -> int:
    """Attempt number in the name of an episode file."""
    match = re.search(r"(\d+)", part.stem)
    if match is None:
        raise SimError(f"{part} is no episode file")
    return int(match.group(1))
