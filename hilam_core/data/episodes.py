"""Demonstrations in LIBERO's HDF5 layout, and action-less clips, with their frames decoded once.

The first reader of a file decodes its images into one memory-mapped array per camera (folder `.frames` beside
the data); every later program maps that array, starts in seconds and shares the page cache with the others.
Files store images as OpenGL renders them, upside down; the flip happens once, when the cache is filled.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from hilam_core.data.video import VIDEO_SUFFIXES, read_video
from hilam_core.errors import ConfigError, DataError

CAMERAS = ("agentview", "eye_in_hand")
CACHE_VERSION = 1
DEMO_SUFFIXES = (".hdf5",)
Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Episode:
    """One demonstration of T steps; row t holds the observation at t and the action taken from it."""

    key: str
    """`<file stem>/demo_i`, the name under which latents and skills are stored."""
    instruction: str
    frames: dict[str, np.ndarray]
    """camera -> uint8 [T, H, W, 3], RGB, upright, memory-mapped."""
    ee_pos: np.ndarray
    """float64 [T, 3], metres, world frame."""
    ee_quat: np.ndarray
    """float64 [T, 4], xyzw, world frame."""
    gripper_qpos: np.ndarray
    """float64 [T, 2], metres."""
    joint_pos: np.ndarray
    """float64 [T, 7], radians."""
    actions: np.ndarray
    """float32 [T, 7] in [-1, 1]."""
    phases: list[str] | None = None
    """The expert's phase at each step, where recorded: ground truth for skill boundaries."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """What the collector noted: seed, placement, ..."""

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class Clip:
    """Frames without actions: what latent actions are learned from."""

    key: str
    frames: np.ndarray
    """uint8 [T, H, W, 3], RGB, upright."""

    def __len__(self) -> int:
        return len(self.frames)


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
    files = _find_files(paths, DEMO_SUFFIXES)
    if tasks is not None:
        known = {f.stem.removesuffix("_demo"): f for f in files}
        unknown = [t for t in tasks if t.removesuffix("_demo") not in known]
        if unknown:
            raise DataError(
                f"no demonstrations of task {unknown[0]!r} in {_names(paths)}; there are: {', '.join(known)}"
            )
        files = [known[t.removesuffix("_demo")] for t in tasks]
    if not files:
        raise DataError(f"no demonstrations (*.hdf5) in {_names(paths)}")
    return [episode for f in files for episode in _read_file(f, limit, cameras)]


def read_clips(paths: Paths, cameras: Sequence[str] = ("agentview",), limit: int | None = None) -> list[Clip]:
    """Clips from demonstrations (one per camera, key `<episode>/<camera>`) and from video files."""
    demonstrations = _find_files(paths, DEMO_SUFFIXES)
    clips = [
        Clip(f"{episode.key}/{camera}", episode.frames[camera])
        for episode in (read_demonstrations(demonstrations, None, limit, cameras) if demonstrations else [])
        for camera in cameras
    ]
    for video in _find_files(paths, VIDEO_SUFFIXES):
        # Numbered videos of one name are a series, of which some are held out like episodes of a file.
        name = re.sub(r"_(\d+)$", r"/\1", video.stem)
        clips.append(Clip(f"{name}/video", _map_cached(video, "video", partial(_decode_video, video))))
    if not clips:
        raise DataError(
            f"neither demonstrations (*.hdf5) nor videos ({', '.join(VIDEO_SUFFIXES)}) in {_names(paths)}"
        )
    return clips


def content_hash(items: Iterable[Episode] | Iterable[Clip]) -> str:
    """Hash of keys, lengths, instructions and actions (of clips: first frames), wherever the files lie."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.key} {len(item)}".encode())
        if isinstance(item, Episode):
            digest.update(item.instruction.encode())
            digest.update(np.ascontiguousarray(item.actions).tobytes())
        else:
            digest.update(np.ascontiguousarray(item.frames[0]).tobytes())
    return digest.hexdigest()[:16]


def split_held_out(items: Sequence, every: int = 10) -> tuple[list, list]:
    """(training, held out): of each file every `every`-th episode is held out, at least one of several.

    A function of the keys alone, so that every stage with the same `every` holds out the same episodes; where
    there are enough, those of a multiple of `every` are among them.
    """
    if every < 2:
        raise ConfigError(f"one in how many episodes is held out must be at least 2, got {every}")
    groups: dict[str, dict[str, list]] = {}
    for item in items:
        source, name = item.key.split("/")[:2]
        groups.setdefault(source, {}).setdefault(name, []).append(item)
    train: list = []
    held_out: list = []
    for episodes in groups.values():
        last = len(episodes) - 1
        for i, views in enumerate(episodes.values()):
            is_held_out = i % every == every - 1 or (0 < last < every - 1 and i == last)
            (held_out if is_held_out else train).extend(views)
    return train, held_out


# --- one HDF5 file ---


def _read_file(path: Path, limit: int | None, cameras: Sequence[str]) -> list[Episode]:
    try:
        with h5py.File(path, "r") as file:
            instruction = _instruction(file["data"], path)
            names = _demo_names(file["data"], path)
            lengths = [len(file["data"][n]["actions"]) for n in names]
            frames = {c: _map_cached(path, c, partial(_decode, file["data"], names, c)) for c in cameras}
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


def _decode_video(path: Path) -> Iterable[np.ndarray]:
    yield read_video(path)


# --- files and the frame cache ---


def _as_list(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]


def _find_files(paths: Paths, suffixes: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for path in _as_list(paths):
        if not path.exists():
            raise DataError(f"{path} does not exist")
        found += sorted(p for p in path.iterdir() if p.suffix in suffixes) if path.is_dir() else [path]
    return [p for p in found if p.suffix in suffixes and not p.name.startswith(".")]


def _names(paths: Paths) -> str:
    return ", ".join(f"'{path}'" for path in _as_list(paths))


def _map_cached(path: Path, camera: str, decode: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
    """The frames of `path` as one mapped uint8 [N, H, W, 3]; decoded on first use or after a change."""
    stat = path.stat()
    stamp = hashlib.sha256(f"{CACHE_VERSION} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = _cache_folder(path)
    cached = folder / f"{path.name}.{camera}.{stamp}.npy"
    if not cached.exists():
        _fill_cache(cached, decode())
        for stale in folder.glob(f"{_glob_escape(path.name)}.{camera}.*.npy"):
            if stale != cached:
                stale.unlink(missing_ok=True)
    return np.load(cached, mmap_mode="r")


def _fill_cache(cached: Path, batches: Iterable[np.ndarray]) -> None:
    """Append batches [n, H, W, 3] to a raw file as they come, then put the header before them atomically."""
    temporary = cached.with_name(f".{cached.name}.{os.getpid()}")
    count, shape = 0, None
    try:
        with open(temporary, "wb") as out:
            out.write(bytes(_HEADER))
            for batch in tqdm(batches, desc=f"decoding {cached.name.rsplit('.', 2)[0]}", leave=False):
                if batch.ndim != 4 or batch.shape[-1] != 3 or batch.dtype != np.uint8:
                    raise DataError(
                        f"{cached.name}: images are {batch.dtype} {list(batch.shape)}, not uint8 [T,H,W,3]"
                    )
                if shape not in (None, batch.shape[1:]):
                    raise DataError(
                        f"{cached.name}: images of different sizes, {shape} and {batch.shape[1:]}"
                    )
                shape = batch.shape[1:]
                count += len(batch)
                out.write(np.ascontiguousarray(batch).data)
            out.seek(0)
            out.write(_npy_header((count, *(shape or (0, 0, 3)))))
        os.replace(temporary, cached)
    finally:
        temporary.unlink(missing_ok=True)


_HEADER = 128


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A version 1.0 .npy header of fixed length, so that it can be written once the data are counted."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


def _cache_folder(path: Path) -> Path:
    """`.frames` beside the data, or in the user's cache folder where the data are read-only."""
    beside = path.parent / ".frames"
    if os.access(beside if beside.exists() else path.parent, os.W_OK):
        beside.mkdir(exist_ok=True)
        return beside
    home = (
        os.environ.get("HILAM_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "hilam"
    )
    place = hashlib.sha256(str(path.parent.resolve()).encode()).hexdigest()[:12]
    folder = Path(home) / "frames" / place
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _glob_escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
