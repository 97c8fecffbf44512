"""The frame cache: images are decoded once, into one memory-mapped array a file and camera.

The first reader of a file fills a folder in `.frames` beside the data; every later program maps the array,
starts in seconds and shares the page cache with the others. Entries are named by the hash of the file's
content, so that a file put in the place of another is never taken for it; its content is read again only
where size, times or inode changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from tqdm import tqdm

from hilam_core.data.episode import picture_hash
from hilam_core.errors import DataError
from hilam_core.files import cache_folder, file_hash, replacing, writable_folder, write_json

CACHE_VERSION = 2


@dataclass(frozen=True)
class MappedFrames:
    """Frames of one file and camera."""

    frames: np.ndarray
    """uint8 [N, H, W, 3], memory-mapped."""
    hashes: list[str]
    """`picture_hash` of each batch that was decoded."""
    file_hash: str
    """Hash of the file's content."""


def map_frames(path: Path, camera: str, decode: Callable[[], Iterable[np.ndarray]]) -> MappedFrames:
    """The batches of `decode` one after the other; decoded on first use or when `path` has changed."""
    folder = _cache_folder(path)
    source = _file_hash(path, folder)
    camera_name = quote(camera, safe="")
    entry = f"{camera_name}.{hashlib.sha256(f'{CACHE_VERSION} {source}'.encode()).hexdigest()[:16]}"
    array, hashes = folder / f"{entry}.npy", folder / f"{entry}.json"
    try:
        return MappedFrames(_map(array), json.loads(hashes.read_text()), source)
    except (OSError, ValueError):  # not there yet, or damaged
        write_json(hashes, _fill_cache(array, decode(), f"{path.name} {camera}"))
    for stale in folder.glob("*.*"):
        if stale.name.rpartition(".")[0].rpartition(".")[0] == camera_name and stale not in (array, hashes):
            stale.unlink(missing_ok=True)
    return MappedFrames(_map(array), json.loads(hashes.read_text()), source)


def _map(path: Path) -> np.ndarray:
    """The array in a .npy file of the cache, mapped and read-only.

    torch maps it: its mappings keep no file open. Those of numpy do, and a process may open about a thousand.
    """
    import torch

    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
    size = _HEADER + math.prod(shape)
    if path.stat().st_size != size:
        raise ValueError(f"{path} is cut off")
    bytes_ = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy()
    frames: np.ndarray = bytes_[_HEADER:].reshape(shape)
    frames.flags.writeable = False
    return frames


def _file_hash(path: Path, folder: Path) -> str:
    """SHA-256 of a file, remembered in `folder` until its size, times or inode change."""
    stat = path.stat()
    state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    memory = folder / "source.json"
    try:
        known = json.loads(memory.read_text())
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    digest = file_hash(path)
    write_json(memory, {"state": state, "sha256": digest})
    return digest


def _fill_cache(cached: Path, batches: Iterable[np.ndarray], name: str) -> list[str]:
    """Write batches [n, H, W, 3] as they come, then the header before them; returns their hashes."""
    count, shape, hashes = 0, None, []
    with replacing(cached) as draft, open(draft, "wb") as out:
        out.write(bytes(_HEADER))
        for batch in tqdm(batches, desc=f"decoding {name}", leave=False, delay=1):
            if batch.ndim != 4 or batch.shape[-1] != 3 or batch.dtype != np.uint8:
                raise DataError(f"{name}: images are {batch.dtype} {list(batch.shape)}, not uint8 [T,H,W,3]")
            if shape not in (None, batch.shape[1:]):
                raise DataError(f"{name}: images of different sizes, {shape} and {batch.shape[1:]}")
            shape = batch.shape[1:]
            count += len(batch)
            hashes.append(picture_hash(batch))
            out.write(np.ascontiguousarray(batch).data)
        out.seek(0)
        out.write(_npy_header((count, *(shape or (0, 0, 3)))))
    return hashes


_HEADER = 128


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A version 1.0 .npy header of fixed length, so that it can be written once the data are counted."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


def _cache_folder(path: Path) -> Path:
    """A folder of the file's own in `.frames` beside the data, or in the user's cache folder where the data
    are read-only."""
    beside = path.parent / ".frames"
    if os.access(beside if beside.exists() else path.parent, os.W_OK):
        return writable_folder(beside / path.name)
    place = hashlib.sha256(str(path.parent.resolve()).encode()).hexdigest()[:12]
    return writable_folder(cache_folder("frames", place, path.name))
