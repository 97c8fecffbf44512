"""The frame cache: images are decoded once, into one memory-mapped array a file and camera.

The first reader of a file fills the folder `.frames` beside the data; every later program maps that array,
starts in seconds and shares the page cache with the others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hilam_core.errors import DataError
from hilam_core.files import cache_folder, replacing, writable_folder

CACHE_VERSION = 1


def map_frames(path: Path, camera: str, decode: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
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
    """Append batches [n, H, W, 3] to a raw file as they come, then put the header before them."""
    count, shape = 0, None
    with replacing(cached) as draft, open(draft, "wb") as out:
        out.write(bytes(_HEADER))
        for batch in tqdm(batches, desc=f"decoding {cached.name.rsplit('.', 2)[0]}", leave=False):
            if batch.ndim != 4 or batch.shape[-1] != 3 or batch.dtype != np.uint8:
                raise DataError(
                    f"{cached.name}: images are {batch.dtype} {list(batch.shape)}, not uint8 [T,H,W,3]"
                )
            if shape not in (None, batch.shape[1:]):
                raise DataError(f"{cached.name}: images of different sizes, {shape} and {batch.shape[1:]}")
            shape = batch.shape[1:]
            count += len(batch)
            out.write(np.ascontiguousarray(batch).data)
        out.seek(0)
        out.write(_npy_header((count, *(shape or (0, 0, 3)))))


_HEADER = 128


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A version 1.0 .npy header of fixed length, so that it can be written once the data are counted."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


def _cache_folder(path: Path) -> Path:
    """`.frames` beside the data, or in the user's cache folder where the data are read-only."""
    beside = path.parent / ".frames"
    if os.access(beside if beside.exists() else path.parent, os.W_OK):
        return writable_folder(beside)
    place = hashlib.sha256(str(path.parent.resolve()).encode()).hexdigest()[:12]
    return writable_folder(cache_folder("frames", place))


def _glob_escape(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
