"""Demonstrations in HDF5, one file a task: LIBERO's layout (official files and ours) and robomimic's.

What LIBERO's layout fixes (7 actions of a Panda under OSC_POSE, 7 joints, two fingers, 20 Hz) is checked here
and assumed nowhere else. Robomimic's files may be of any robot. What files record of their conventions is
read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from hilam_core.conventions import ACTION_DIM, CONTROL_HZ
from hilam_core.data.config import ReadConfig
from hilam_core.data.episode import Episode
from hilam_core.data.frames import Frames, Source, picture_hash, pieces_of, store_piece
from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing

HDF5_SUFFIXES = (".hdf5", ".h5")
WIDTHS = {"ee_pos": 3, "ee_quat": 4, "gripper_qpos": 2, "joint_pos": 7, "actions": ACTION_DIM}
CONTROL: dict[str, Any] = {
    "control_freq": CONTROL_HZ,
    "type": "OSC_POSE",
    "control_delta": True,
    "input_min": -1,
    "input_max": 1,
    "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],  # m and rad that an action of 1 asks for
}


@dataclass(frozen=True)
class Layout:
    """Where a layout keeps things in `obs`."""

    name: str
    pictures: str
    """what follows a camera's name"""
    states: Mapping[str, str]
    """our names of robot states -> the layout's; `ee_quat` of LIBERO is made of others"""
    convention: str
    """of images, where the file does not say"""


LIBERO = Layout(
    "LIBERO",
    "_rgb",
    {"ee_pos": "ee_pos", "gripper_qpos": "gripper_states", "joint_pos": "joint_states"},
    "opengl",
)
ROBOMIMIC = Layout(
    "robomimic",
    "_image",
    {
        "ee_pos": "robot0_eef_pos",
        "ee_quat": "robot0_eef_quat",
        "gripper_qpos": "robot0_gripper_qpos",
        "joint_pos": "robot0_joint_pos",
    },
    "opencv",  # its recorder turns robosuite's images upright
)


def is_demonstrations(path: Path) -> bool:
    """Whether a path is a file of demonstrations in HDF5."""
    return path.is_file() and path.suffix.lower() in HDF5_SUFFIXES and not is_store(path)


def hdf5_cameras(path: Path, config: ReadConfig) -> list[str]:
    """Names of the cameras in a file."""
    with _hdf5(path) as file:
        demo = file["data"][_demo_names(path, file["data"])[0]]
        return _cameras(demo, _layout(demo))


def read_hdf5(
    sources: Mapping[Path, str], cameras: Sequence[str] | None, config: ReadConfig
) -> list[Episode]:
    """Episodes of files, in order of demo number; sources: file -> what to call it in keys.

    Raises DataError for anything that is missing, corrupt, incomplete, or in LIBERO's layout but recorded in
    another convention than LIBERO's.
    """
    return [episode for path, name in sources.items() for episode in _read_file(path, name, cameras, config)]


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
        raise DataError(f"{path} is not in LIBERO's layout, nor in robomimic's: {error}") from None


def _layout(demo: h5py.Group) -> Layout:
    return ROBOMIMIC if any(name.startswith("robot0_eef") for name in demo["obs"]) else LIBERO


def _cameras(demo: h5py.Group, layout: Layout) -> list[str]:
    return [n.removesuffix(layout.pictures) for n in demo["obs"] if n.endswith(layout.pictures)]


def _read_file(path: Path, name: str, cameras: Sequence[str] | None, config: ReadConfig) -> list[Episode]:
    with _hdf5(path) as file:
        data = file["data"]
        numbers = {int(demo.removeprefix("demo_")): demo for demo in _demo_names(path, data)}
        demos = [data[numbers[n]] for n in config.chosen(sorted(numbers))]
        if not demos:
            raise DataError(f"{path} has none of the episodes {', '.join(map(str, config.episodes))}")
        layout, said = _layout(demos[0]), _environment(path, data)
        if layout is LIBERO:
            _check_control(path, said)
        cameras = _cameras(demos[0], layout) if cameras is None else cameras
        lengths = [_length(path, demo, cameras, layout) for demo in demos]
        file_of = Source(path, config.cache_bound_gb)
        upside_down = _is_upside_down(path, {**said, **data.attrs}, layout)
        fps = float(said.get("control_freq", CONTROL_HZ))
        pictures = {
            camera: _find_pictures(file_of, demos, f"{camera}{layout.pictures}", upside_down)
            for camera in cameras
        }
        episodes = []
        for i, (demo, length) in enumerate(zip(demos, lengths, strict=True)):
            rows = config.rows(length, fps)
            at = "" if len(rows) == length else f"@{config.fps:g}"
            states, actions = _numbers(path, demo, length, layout)
            phases = _phases(path, demo, length)
            episodes.append(
                Episode(
                    key=f"{name}/{_name(demo)}",
                    frames={
                        camera: Frames(
                            file_of,
                            f"{camera}/{_name(demo)}{at}",
                            (len(rows), *found[i]["shape"][1:]),
                            partial(_decode, path, _pictures(demo, camera, layout), upside_down, rows),
                        )
                        for camera, found in pictures.items()
                    },
                    fps=config.fps or fps,
                    picture_hashes={camera: found[i]["hash"] + at for camera, found in pictures.items()},
                    instruction=_instruction(path, demo, said, layout),
                    attrs=_attributes(demo),
                    phases=phases and [phases[row] for row in rows],
                    states={state: values[rows] for state, values in states.items()},
                    actions=actions[rows],
                )
            )
    if layout is LIBERO:
        _check_gripper(path, episodes)
    return episodes


def _find_pictures(
    source: Source, demos: Sequence[h5py.Group], dataset: str, upside_down: bool
) -> list[dict[str, Any]]:
    """Shape and hash of one camera's pictures in each demonstration; decoded once, then remembered."""

    def find(demo: h5py.Group) -> dict[str, Any]:
        images = demo["obs"][dataset][:]
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise DataError(
                f"{source.path}: {_name(demo)}/{dataset}: images are {images.dtype} {list(images.shape)}, "
                "not uint8 [T,H,W,3]"
            )
        images = np.ascontiguousarray(images[:, ::-1] if upside_down else images)
        name, size = f"{dataset.rpartition('_')[0]}/{_name(demo)}", pieces_of(images.shape)
        for start in range(0, len(images), size):
            store_piece(source, name, start // size, images[start : start + size], evict=False)
        return {"shape": list(images.shape), "hash": picture_hash(images)}

    bar = tqdm(demos, desc=f"decoding {source.path.name} {dataset}", leave=False, delay=1)
    found = [source.fact(f"{dataset}/{_name(demo)}", partial(find, demo)) for demo in bar]
    sizes = {tuple(pictures["shape"][1:]) for pictures in found}
    if len(sizes) > 1:
        raise DataError(f"{source.path}: {dataset} has images of different sizes, {sorted(sizes)}")
    return found


def _pictures(demo: h5py.Group, camera: str, layout: Layout) -> str:
    """The name of a camera's dataset in the file."""
    return f"{demo.name}/obs/{camera}{layout.pictures}"


def _decode(
    path: Path, dataset: str, upside_down: bool, rows: np.ndarray, start: int, stop: int
) -> Iterable[np.ndarray]:
    wanted = rows[start:stop]
    with _hdf5(path) as file:
        images = file[dataset][wanted[0] : wanted[-1] + 1][wanted - wanted[0]]
    yield images[:, ::-1] if upside_down else images


def _numbers(
    path: Path, demo: h5py.Group, length: int, layout: Layout
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """States float64 and actions float32, each of `length` finite rows; LIBERO's as wide as they must be."""
    obs = demo["obs"]
    states = {
        ours: obs[theirs][:].astype(np.float64)
        for ours, theirs in layout.states.items()
        if layout is LIBERO or theirs in obs
    }
    if layout is LIBERO:
        states["ee_quat"] = _quaternions(demo)
    actions = demo["actions"][:].astype(np.float32)
    for name, values in {**states, "actions": actions}.items():
        width = WIDTHS[name] if layout is LIBERO or name == "ee_quat" else values[0].size
        if values.shape != (length, width):
            raise DataError(
                f"{path}: {_name(demo)} has {name} of shape {list(values.shape)}, "
                f"{layout.name}'s layout needs {[length, width]}"
            )
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(1)))
            raise DataError(f"{path}: {_name(demo)} has {name} that are not finite at step {row}")
    if "ee_quat" in states and not np.linalg.norm(states["ee_quat"], axis=1).all():
        raise DataError(f"{path}: {_name(demo)} has ee_quat [0, 0, 0, 0], which is no rotation")
    largest = float(np.abs(actions).max())
    if layout is LIBERO and largest > 1.001:  # float32 may round what was within
        raise DataError(
            f"{path}: {_name(demo)} has actions up to {largest:g}, LIBERO's lie in [-1, 1]: scale them first"
        )
    return states, actions


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


def _instruction(path: Path, demo: h5py.Group, said: Mapping[str, Any], layout: Layout) -> str:
    """LIBERO's: from `problem_info`, else from the file name without its scene. Robomimic's: from `lang` of
    the demonstration's `ep_meta`, as its successors write it, else the environment's name in words."""
    if layout is ROBOMIMIC:
        try:
            return str(json.loads(demo.attrs["ep_meta"])["lang"])
        except (KeyError, ValueError, TypeError):
            return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(said.get("env_name", ""))).lower()
    try:
        instruction = json.loads(demo.parent.attrs["problem_info"])["language_instruction"]
    except (KeyError, ValueError):
        task = path.stem.removesuffix("_demo")
        return re.sub(r"^[A-Z_]+_SCENE\d+_", "", task).replace("_", " ").lower()
    return "".join(instruction) if isinstance(instruction, list) else str(instruction).strip('"')


def _is_upside_down(path: Path, said: Mapping[str, Any], layout: Layout) -> bool:
    """Whether images are as OpenGL renders them."""
    convention = _text(said.get("macros_image_convention", layout.convention))
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


def _check_control(path: Path, said: Mapping[str, Any]) -> None:
    """Refuse actions that mean something else than LIBERO's, as far as the file says what they mean."""
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
    opening = [np.diff(e.states["gripper_qpos"] @ [1.0, -1.0], append=np.nan) for e in episodes]
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


def _length(path: Path, demo: h5py.Group, cameras: Sequence[str], layout: Layout) -> int:
    """Actions of a demonstration that is long enough and has an image of each camera for each."""
    length = len(demo["actions"])
    if length < 2:
        raise DataError(f"{path}: {_name(demo)} is too short, it has {length} actions: remove it")
    for camera in cameras:
        if f"{camera}{layout.pictures}" not in demo["obs"]:
            there = ", ".join(_cameras(demo, layout))
            raise DataError(f"{path}: no camera {camera!r} in {_name(demo)}; there are: {there}")
        images = len(demo["obs"][f"{camera}{layout.pictures}"])
        if images != length:
            raise DataError(f"{path}: {_name(demo)} has {images} images of {camera}, {length} actions")
    return length


def _name(demo: h5py.Group) -> str:
    return str(demo.name.rpartition("/")[2])


def write_hdf5(path: Path, episodes: Iterable[Episode]) -> int:
    """Write demonstrations in robomimic's layout, whole or not at all; how many. Their frames are read one
    episode after the other.

    Raises:
        FileError: the file cannot be written.
    """
    count = 0
    with replacing(path) as draft:
        try:
            with h5py.File(draft, "w") as file:
                data = file.create_group("data")
                for count, episode in enumerate(episodes, start=1):
                    data.attrs["env_args"] = json.dumps({"env_kwargs": {"control_freq": episode.fps}})
                    _write_demo(data.create_group(f"demo_{count - 1}"), episode)
        except (OSError, RuntimeError) as error:  # HDF5 raises either on a full disk
            raise FileError(f"cannot write '{path}': {error}") from None
    return count


def _write_demo(demo: h5py.Group, episode: Episode) -> None:
    demo.attrs.update({"num_samples": len(episode), "ep_meta": json.dumps({"lang": episode.instruction})})
    demo.attrs.update(episode.attrs)
    demo["actions"] = episode.actions
    if episode.phases is not None:
        demo["phases"] = np.array(episode.phases, dtype="S")
    obs = demo.create_group("obs")
    for name, values in episode.states.items():
        obs[ROBOMIMIC.states[name]] = values
    for camera, frames in episode.frames.items():
        frames, name = np.asarray(frames), f"{camera}{ROBOMIMIC.pictures}"
        obs.create_dataset(name, data=frames, chunks=(1, *frames.shape[1:]), compression="lzf")
