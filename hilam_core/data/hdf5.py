"""Demonstrations in LIBERO's HDF5 layout, one file a task.

What the layout fixes (7 actions of a Panda under OSC_POSE, 7 joints, two fingers, 20 Hz) is checked here and
assumed nowhere else; what files record of their conventions is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hilam_core.conventions import ACTION_DIM, CAMERAS, CONTROL_HZ
from hilam_core.data.episode import Episode
from hilam_core.data.frames import map_frames
from hilam_core.data.paths import Paths, find_files, names_of, source_names
from hilam_core.errors import ConfigError, DataError

DEMO_SUFFIXES = (".hdf5", ".h5")
WIDTHS = {"ee_pos": 3, "ee_quat": 4, "gripper_qpos": 2, "joint_pos": 7, "actions": ACTION_DIM}
CONTROL: dict[str, Any] = {
    "control_freq": CONTROL_HZ,
    "type": "OSC_POSE",
    "control_delta": True,
    "input_min": -1,
    "input_max": 1,
    "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],  # m and rad that an action of 1 asks for
}


def read_demonstrations(
    paths: Paths,
    tasks: Sequence[str] | None = None,
    limit: int | None = None,
    cameras: Sequence[str] = CAMERAS,
) -> list[Episode]:
    """Episodes of the HDF5 files in `paths` (a file, a folder, or several), in order of file name and demo
    number.

    tasks: keep files whose stem, with or without `_demo`, is among these. limit: at most this many episodes
    of each file. cameras: whose frames to map (an empty sequence reads none). Raises DataError for anything
    that is missing, corrupt, incomplete, or recorded in another convention than LIBERO's.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit of episodes must be at least 1, got {limit}")
    files = [file for file in find_files(paths, DEMO_SUFFIXES) if not is_store(file)]
    if tasks is not None:
        wanted = {task.removesuffix("_demo") for task in tasks}
        unknown = wanted - {_task_of(file) for file in files}
        if unknown:
            there = ", ".join(sorted({_task_of(file) for file in files}))
            raise DataError(f"no task {min(unknown)!r} in {names_of(paths)}; there are: {there}")
        files = [file for file in files if _task_of(file) in wanted]
    if not files:
        raise DataError(f"no demonstrations (*.hdf5) in {names_of(paths)}")
    sources = source_names({file: file.stem for file in files})
    return [
        episode for file, source in sources.items() for episode in _read_file(file, source, limit, cameras)
    ]


def _task_of(path: Path) -> str:
    return path.stem.removesuffix("_demo")


def is_store(path: Path) -> bool:
    """Whether this is a file of latents or skills, which lie beside the demonstrations."""
    if path.suffix.lower() != ".h5":
        return False
    with _hdf5(path) as file:
        return "kind" in file.attrs


@contextmanager
def _hdf5(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KeyError as error:
        raise DataError(f"{path} is incomplete: {error.args[0]!s}") from None
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as HDF5: {error}") from None
    except (ValueError, TypeError, AttributeError) as error:  # an array where a group should be, or so
        raise DataError(f"{path} is not in LIBERO's layout: {error}") from None


def _read_file(path: Path, source: str, limit: int | None, cameras: Sequence[str]) -> list[Episode]:
    with _hdf5(path) as file:
        data = file["data"]
        _check_control(path, data)
        instruction, upside_down = _instruction(path, data), _is_upside_down(path, data)
        names = _demo_names(path, data)
        lengths = [_length(path, data[name], cameras) for name in names]
        mapped = {c: map_frames(path, c, partial(_decode, data, names, c, upside_down)) for c in cameras}
        ends = np.cumsum(lengths)
        episodes = [
            Episode(
                key=f"{source}/{names[i]}",
                frames={c: m.frames[ends[i] - lengths[i] : ends[i]] for c, m in mapped.items()},
                picture_hashes={c: m.hashes[i] for c, m in mapped.items()},
                instruction=instruction,
                attrs=_attributes(data[names[i]]),
                phases=_phases(path, data[names[i]], lengths[i]),
                **_numbers(path, data[names[i]], lengths[i]),
            )
            for i in range(len(names[:limit]))
        ]
    _check_gripper(path, episodes)
    return episodes


def _numbers(path: Path, demo: h5py.Group, length: int) -> dict[str, np.ndarray]:
    """States float64 and actions float32, each of `length` finite rows as wide as LIBERO's."""
    obs = demo["obs"]
    numbers = {
        "ee_pos": obs["ee_pos"][:].astype(np.float64),
        "ee_quat": _quaternions(demo),
        "gripper_qpos": obs["gripper_states"][:].astype(np.float64),
        "joint_pos": obs["joint_states"][:].astype(np.float64),
        "actions": demo["actions"][:].astype(np.float32),
    }
    for name, values in numbers.items():
        if values.shape != (length, WIDTHS[name]):
            raise DataError(
                f"{path}: {_name(demo)} has {name} of shape {list(values.shape)}, "
                f"LIBERO's layout needs {[length, WIDTHS[name]]}"
            )
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(1)))
            raise DataError(f"{path}: {_name(demo)} has {name} that are not finite at step {row}")
    if not np.linalg.norm(numbers["ee_quat"], axis=1).all():
        raise DataError(f"{path}: {_name(demo)} has ee_quat [0, 0, 0, 0], which is no rotation")
    largest = float(np.abs(numbers["actions"]).max())
    if largest > 1.001:  # float32 may round what was within
        raise DataError(
            f"{path}: {_name(demo)} has actions up to {largest:g}, LIBERO's lie in [-1, 1]: scale them first"
        )
    return numbers


def _phases(path: Path, demo: h5py.Group, length: int) -> list[str] | None:
    if "phases" not in demo:
        return None
    phases = [p.decode() if isinstance(p, bytes) else str(p) for p in demo["phases"][:]]
    if len(phases) != length:
        raise DataError(f"{path}: {_name(demo)} has {len(phases)} phases, {length} actions")
    return phases


def _attributes(demo: h5py.Group) -> dict[str, Any]:
    """What was noted of the episode, without its bulk, and which assets the simulator drew it from."""
    attrs = {
        k: v.item() if isinstance(v, np.generic) else v
        for k, v in demo.attrs.items()
        if k not in ("model_file", "init_state")
    }
    of_all = demo.parent.attrs
    return {**attrs, **{name: str(of_all[name]) for name in ("assets", "assets_hash") if name in of_all}}


def _quaternions(demo: h5py.Group) -> np.ndarray:
    """xyzw [T, 4], from `robot_states` (fingers 2, position 3, quaternion 4) or from rotation vectors."""
    if "robot_states" in demo and demo["robot_states"].shape[1:] == (9,):
        return demo["robot_states"][:, 5:9].astype(np.float64)
    rotvec = demo["obs"]["ee_ori"][:].astype(np.float64)
    angle = np.linalg.norm(rotvec, axis=1, keepdims=True)
    axis = rotvec / np.maximum(angle, 1e-12)
    return np.concatenate([axis * np.sin(angle / 2), np.cos(angle / 2)], axis=1)


def _instruction(path: Path, data: h5py.Group) -> str:
    """From `problem_info` as LIBERO writes it, else from the file name, without its scene."""
    try:
        instruction = json.loads(data.attrs["problem_info"])["language_instruction"]
    except (KeyError, ValueError):
        return re.sub(r"^[A-Z_]+_SCENE\d+_", "", _task_of(path)).replace("_", " ").lower()
    return "".join(instruction) if isinstance(instruction, list) else str(instruction).strip('"')


def _is_upside_down(path: Path, data: h5py.Group) -> bool:
    """Whether images are as OpenGL renders them: robosuite's default, also where a file says nothing."""
    said = {**_environment(path, data), **data.attrs}
    convention = _text(said.get("macros_image_convention", "opengl"))
    if convention not in ("opengl", "opencv"):
        raise DataError(
            f"{path}: macros_image_convention is {convention!r}, neither 'opengl' (upside down) nor 'opencv'"
        )
    return bool(convention == "opengl")


def _environment(path: Path, data: h5py.Group) -> dict[str, Any]:
    """What `env_args` says of the environment, its arguments and its controller, in one dictionary."""
    try:
        said = json.loads(data.attrs.get("env_args", "{}"))
        said.pop("type", None)  # of the environment; a controller has a type too
        said.update(said.get("env_kwargs", {}))
        return {**said, **(said.get("controller_configs") or {})}
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"{path}: the attribute env_args of 'data' is not JSON as robosuite writes it"
        ) from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_control(path: Path, data: h5py.Group) -> None:
    """Refuse actions that mean something else than LIBERO's, as far as the file says what they mean."""
    said = _environment(path, data)
    for name, needed in CONTROL.items():
        if name in said and not np.array_equal(said[name], needed):
            raise DataError(
                f"{path} was recorded with {name} {said[name]!r}, LIBERO's demonstrations with {needed!r}"
            )


def _check_gripper(path: Path, episodes: Sequence[Episode]) -> None:
    """Refuse gripper commands of another range or sign than -1 to open and 1 to close."""
    commands = np.concatenate([episode.actions[:, -1] for episode in episodes])
    if commands.min() >= 0 and (commands < 0.5).any() and (commands > 0.5).any():
        raise DataError(f"{path} has gripper commands in [0, 1], LIBERO's are -1 to open and 1 to close")
    opening = [np.diff(e.gripper_qpos[:, 0] - e.gripper_qpos[:, 1], append=np.nan) for e in episodes]
    change = np.concatenate(opening)
    moving = (np.abs(change) > 0.002) & (np.abs(commands) > 0.5)  # m; what the fingers do while commanded to
    if moving.sum() >= 5 and (change * commands > 0)[moving].mean() > 0.9:
        raise DataError(
            f"{path}: the fingers open where the gripper command is positive, LIBERO's close: change its sign"
        )


def _demo_names(path: Path, data: h5py.Group) -> list[str]:
    names = [name for name in data if name.startswith("demo_")]
    if not names:
        raise DataError(f"{path} holds no demonstrations (data/demo_0, ...)")
    for name in names:
        if not re.fullmatch(r"demo_\d+", name):
            raise DataError(f"{path}: 'data/{name}' has no number: call it demo_0, demo_1, ...")
    return sorted(names, key=lambda name: int(name.removeprefix("demo_")))


def _length(path: Path, demo: h5py.Group, cameras: Sequence[str]) -> int:
    """Actions of a demonstration that is long enough and has an image of each camera for each."""
    length = len(demo["actions"])
    if length < 2:
        raise DataError(f"{path}: {_name(demo)} is too short, it has {length} actions: remove it")
    for camera in cameras:
        if f"{camera}_rgb" not in demo["obs"]:
            there = ", ".join(n.removesuffix("_rgb") for n in demo["obs"] if n.endswith("_rgb"))
            raise DataError(f"{path}: no camera {camera!r} in {_name(demo)}; there are: {there}")
        images = len(demo["obs"][f"{camera}_rgb"])
        if images != length:
            raise DataError(f"{path}: {_name(demo)} has {images} images of {camera}, {length} actions")
    return length


def _decode(data: h5py.Group, names: list[str], camera: str, upside_down: bool) -> Iterable[np.ndarray]:
    for name in names:
        images = data[name]["obs"][f"{camera}_rgb"][:]
        yield images[:, ::-1] if upside_down else images


def _name(demo: h5py.Group) -> str:
    return str(demo.name.rpartition("/")[2])
