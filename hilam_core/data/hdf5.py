"""Demonstrations in LIBERO's HDF5 layout, one file a task.

Files store images as OpenGL renders them, upside down; the flip happens once, when the frame cache is filled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from hilam_core.data.episode import Episode
from hilam_core.data.frames import map_frames
from hilam_core.data.paths import Paths, find_files, names_of
from hilam_core.errors import ConfigError, DataError

CAMERAS = ("agentview", "eye_in_hand")
DEMO_SUFFIXES = (".hdf5",)


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
    that is missing, corrupt or incomplete.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit of episodes must be at least 1, got {limit}")
    files = find_files(paths, DEMO_SUFFIXES)
    if tasks is not None:
        known = {f.stem.removesuffix("_demo"): f for f in files}
        unknown = [t for t in tasks if t.removesuffix("_demo") not in known]
        if unknown:
            there = ", ".join(known)
            raise DataError(f"no task {unknown[0]!r} in {names_of(paths)}; there are: {there}")
        files = [known[t.removesuffix("_demo")] for t in tasks]
    if not files:
        raise DataError(f"no demonstrations (*.hdf5) in {names_of(paths)}")
    return [episode for f in files for episode in _read_file(f, limit, cameras)]


def _read_file(path: Path, limit: int | None, cameras: Sequence[str]) -> list[Episode]:
    try:
        with h5py.File(path, "r") as file:
            instruction = _instruction(file["data"], path)
            names = _demo_names(file["data"], path)
            lengths = [len(file["data"][n]["actions"]) for n in names]
            frames = {c: map_frames(path, c, partial(_decode, file["data"], names, c)) for c in cameras}
            for camera, mapped in frames.items():
                if len(mapped) != sum(lengths):
                    raise DataError(f"{path}: {len(mapped)} {camera} images for {sum(lengths)} actions")
            ends = np.cumsum(lengths)
            return [
                _read_demo(
                    file["data"][name],
                    f"{path.stem}/{name}",
                    instruction,
                    {c: f[b - n : b] for c, f in frames.items()},
                )
                for name, n, b in list(zip(names, lengths, ends, strict=True))[:limit]
            ]
    except KeyError as error:
        raise DataError(f"{path} is incomplete: {error.args[0]!s}") from None
    except (OSError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as HDF5: {error}") from None


def _read_demo(demo: h5py.Group, key: str, instruction: str, frames: dict[str, np.ndarray]) -> Episode:
    obs = demo["obs"]
    attrs = {
        k: v.item() if isinstance(v, np.generic) else v for k, v in demo.attrs.items() if k not in _BULKY
    }
    if "assets" in demo.parent.attrs:  # which pictures the simulator drew
        attrs["assets"] = str(demo.parent.attrs["assets"])
    phases = None
    if "phases" in demo:
        phases = [p.decode() if isinstance(p, bytes) else str(p) for p in demo["phases"][:]]
    episode = Episode(
        key=key,
        instruction=instruction,
        frames=frames,
        ee_pos=obs["ee_pos"][:].astype(np.float64),
        ee_quat=_quaternions(demo),
        gripper_qpos=obs["gripper_states"][:].astype(np.float64),
        joint_pos=obs["joint_states"][:].astype(np.float64),
        actions=demo["actions"][:].astype(np.float32),
        phases=phases,
        attrs=attrs,
    )
    for name in ("ee_pos", "ee_quat", "gripper_qpos", "joint_pos", "phases"):
        values = getattr(episode, name)
        if values is not None and len(values) != len(episode):
            raise DataError(
                f"{demo.file.filename}: {demo.name} has {len(values)} {name}, {len(episode)} actions"
            )
    if not np.isfinite(episode.actions).all():
        raise DataError(f"{demo.file.filename}: {demo.name} has actions that are not finite")
    return episode


_BULKY = ("model_file", "init_state")


def _quaternions(demo: h5py.Group) -> np.ndarray:
    """xyzw [T, 4], from `robot_states` (fingers 2, position 3, quaternion 4) or from rotation vectors."""
    if "robot_states" in demo and demo["robot_states"].shape[1] == 9:
        return demo["robot_states"][:, 5:9].astype(np.float64)
    rotvec = demo["obs"]["ee_ori"][:].astype(np.float64)
    angle = np.linalg.norm(rotvec, axis=1, keepdims=True)
    axis = rotvec / np.maximum(angle, 1e-12)
    return np.concatenate([axis * np.sin(angle / 2), np.cos(angle / 2)], axis=1)


def _instruction(data: h5py.Group, path: Path) -> str:
    """From `problem_info` as LIBERO writes it, else from the file name."""
    try:
        instruction = json.loads(data.attrs["problem_info"])["language_instruction"]
    except (KeyError, ValueError):
        return path.stem.removesuffix("_demo").replace("_", " ").lower()
    return "".join(instruction) if isinstance(instruction, list) else str(instruction).strip('"')


def _demo_names(data: h5py.Group, path: Path) -> list[str]:
    names = sorted((n for n in data if n.startswith("demo_")), key=lambda n: int(n.removeprefix("demo_")))
    if not names:
        raise DataError(f"{path} holds no demonstrations (data/demo_0, ...)")
    return names


def _decode(data: h5py.Group, names: list[str], camera: str) -> Iterable[np.ndarray]:
    for name in names:
        obs = data[name]["obs"]
        if f"{camera}_rgb" not in obs:
            there = [n.removesuffix("_rgb") for n in obs if n.endswith("_rgb")]
            raise DataError(
                f"{data.file.filename}: no camera {camera!r} in {name}; there are: {', '.join(there)}"
            )
        yield obs[f"{camera}_rgb"][:][:, ::-1]
