"""Pictures that are decoded when they are read, through a cache of bounded size.

Decoded pictures lie in `.frames` beside the data, in pieces of some hundred frames a file. A piece is decoded
when a frame of it is first read, and removed when the cache is full and it has not been read for the longest
time; so neither memory nor disk need hold a data set. Pieces are named by the hash of the file's content: a
file put in the place of another is never taken for it; its content is read again only where size, times or
inode changed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import operator
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from hilam_core.errors import DataError
from hilam_core.files import cache_folder, file_hash, replacing, writable_folder, write_json

CACHE_VERSION = 3
PIECE_FRAMES = 256
PIECE_BYTES = 64 << 20  # of large pictures fewer: reading one frame may decode a whole piece
MIN_PIECE_FRAMES = 16
_HEADER = 128

Decode = Callable[[int, int], Iterable[np.ndarray]]
"""(start, stop) -> those frames in order, as blocks uint8 [n, H, W, 3]."""


class Source:
    """A data file: the hash of its content, and facts that are found once and kept beside its pictures."""

    def __init__(self, path: Path, cache_gb: float, root: Path | None = None):
        """cache_gb: how large the cache that holds its pictures may grow; root: the folder that has the
        cache, by default the file's own."""
        root = root or path.parent
        self.path, self.cache, self.cache_bytes = path, _cache_of(root), int(cache_gb * 1e9)
        self.folder = writable_folder(self.cache / path.relative_to(root))
        self.sha256, self._facts = self._recall()

    def _recall(self) -> tuple[str, dict[str, Any]]:
        stat = self.path.stat()
        state = [CACHE_VERSION, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        known = _read_json(self.folder / "source.json")
        if known.get("state") == state:
            return str(known["sha256"]), known["facts"]
        digest = file_hash(self.path)
        same = known.get("sha256") == digest and known.get("state", [None])[0] == CACHE_VERSION
        facts = known["facts"] if same else {}
        if not same:
            for stale in self.folder.glob("*.npy"):
                stale.unlink(missing_ok=True)
        self._write(state, digest, facts)
        return digest, facts

    def _write(self, state: list[int], digest: str, facts: dict[str, Any]) -> None:
        write_json(self.folder / "source.json", {"state": state, "sha256": digest, "facts": facts})

    def fact(self, name: str, find: Callable[[], Any]) -> Any:
        """What `find` gave (JSON) when it was first asked for `name` of this content."""
        if name not in self._facts:
            self._facts[name] = find()
            state = _read_json(self.folder / "source.json").get("state", [])
            self._write(state, self.sha256, self._facts)
        return self._facts[name]

    def piece(self, name: str, number: int) -> Path:
        """The file of the cache that holds a piece of the pictures called `name`."""
        return self.folder / f"{quote(name, safe='')}.{self.sha256[:12]}.{number}.npy"


class Frames:
    """The pictures of one clip and camera, uint8 [T, H, W, 3], RGB, upright: read like an array, decoded when
    they are read."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, source: Source, name: str, shape: Sequence[int], decode: Decode):
        self.source, self.name, self.decode = source, name, decode
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]), 3)
        self.piece_frames = pieces_of(self.shape)
        self._paths: dict[int, Path] = {}  # of pieces: names are made once, frames are read millions of times

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        """One frame by its number, several by a slice or an array of numbers; the rest selects pixels."""
        if isinstance(key, tuple):
            block, pixels = self[key[0]], key[1:]
            return block[pixels if block.ndim == 3 else (slice(None), *pixels)]
        if isinstance(key, slice):
            return self._read(range(*key.indices(len(self))))
        if np.ndim(key):
            return self._read([self._row(row) for row in np.asarray(key).tolist()])
        return self._read([self._row(key)])[0]

    def _row(self, key: Any) -> int:
        row = operator.index(key)
        if not -len(self) <= row < len(self):
            raise IndexError(f"frame {row} of {len(self)}")
        return row % len(self)

    def _read(self, rows: Sequence[int]) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), np.uint8)
        size, at = self.piece_frames, 0
        for number, group in itertools.groupby(rows, lambda row: row // size):
            offsets = [row - number * size for row in group]
            self._copy(number, offsets, out[at : at + len(offsets)])
            at += len(offsets)
        return out

    def _copy(self, number: int, offsets: list[int], out: np.ndarray) -> None:
        """Frames of a piece, from the cache where it is there and whole."""
        start = number * self.piece_frames
        count, bytes_ = min(self.piece_frames, len(self) - start), out.nbytes // len(out)
        path = self._path(number)
        try:
            with open(path, "rb", buffering=0) as file:
                stat = os.fstat(file.fileno())
                if stat.st_size != _HEADER + count * bytes_:
                    raise FileNotFoundError(path)  # cut off
                if offsets == list(range(offsets[0], offsets[0] + len(offsets))):
                    os.preadv(file.fileno(), [out.data], _HEADER + offsets[0] * bytes_)
                else:
                    for row, offset in zip(out, offsets, strict=True):
                        os.preadv(file.fileno(), [row.data], _HEADER + offset * bytes_)
                if time.time() - stat.st_mtime > 1:  # when it was last read; once a second is often enough
                    os.utime(file.fileno())
        except FileNotFoundError:
            block = self._decoded(start, start + count)
            store_piece(self.source, self.name, number, block)
            out[:] = block[offsets]

    def _path(self, number: int) -> Path:
        if number not in self._paths:
            self._paths[number] = self.source.piece(self.name, number)
        return self._paths[number]

    def _decoded(self, start: int, stop: int) -> np.ndarray:
        """Frames from the file itself; DataError where it does not hold what it held."""
        block = np.concatenate([np.empty((0, *self.shape[1:]), np.uint8), *self.decode(start, stop)])
        if block.shape != (stop - start, *self.shape[1:]) or block.dtype != np.uint8:
            raise DataError(
                f"{self.source.path}: {self.name} gives frames {block.dtype} {list(block.shape)} from "
                f"{start} on, not uint8 {[stop - start, *self.shape[1:]]}: the file is damaged or has changed"
            )
        return block


def pieces_of(shape: Sequence[int]) -> int:
    """Frames of a piece of pictures [T, H, W, 3]."""
    fitting = PIECE_BYTES // max(1, int(np.prod(shape[1:])))
    return min(PIECE_FRAMES, max(MIN_PIECE_FRAMES, fitting))


def picture_hash(frames: np.ndarray) -> str:
    """Hash of the shape and the pixels of frames uint8 [T, H, W, 3]."""
    digest = hashlib.sha256(str(frames.shape).encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def store_piece(source: Source, name: str, number: int, block: np.ndarray, evict: bool = True) -> None:
    """Keep a decoded piece; without `evict` only where there is room."""
    block = np.ascontiguousarray(block)
    if not _make_room(source.cache, _HEADER + block.nbytes, source.cache_bytes, evict):
        return
    with replacing(source.piece(name, number)) as draft, open(draft, "wb") as out:
        out.write(_npy_header(block.shape))
        out.write(block.data)


# Bytes that this process may still store in a cache before it sums the sizes up again, which takes seconds
# where a cache has many folders: after 2% of the bound, so that processes that fill one cache together
# exceed the bound by 2% each at most. By cache and its bound.
_before_count: dict[tuple[Path, int], int] = {}
_COUNTS = 50
_DRAFT_S = 3600.0  # an older draft is one that a killed process left
_found_full: set[tuple[Path, int]] = set()
_lock = threading.Lock()


def _make_room(cache: Path, size: int, limit: int, evict: bool) -> bool:
    """Whether there is room for `size` bytes more, if need be after removing what was not read for longest.

    Readers keep a file that they have open.
    """
    bounded = cache, limit
    with _lock:
        if not evict and bounded in _found_full:
            return False
        if _before_count.get(bounded, 0) < size:
            pieces = sorted(_pieces(cache))
            used = sum(bytes_ for _, bytes_, _ in pieces)
            if used + size > limit:
                _found_full.add(bounded)
                if not evict:
                    return False
                # A tenth more than needed, so that the next pieces find room.
                for _, bytes_, path in pieces:
                    if used + size <= 0.9 * limit:
                        break
                    path.unlink(missing_ok=True)
                    used -= bytes_
            _before_count[bounded] = max(size, min(limit // _COUNTS, limit - used))
        _before_count[bounded] -= size
        return True


def _pieces(cache: Path) -> Iterable[tuple[int, int, Path]]:
    """(time of the last reading, bytes, path) of every piece in a cache but those that are being written."""
    for path in cache.rglob("*.npy"):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        if path.name.startswith(".") and time.time() - stat.st_mtime < _DRAFT_S:
            continue
        yield stat.st_mtime_ns, stat.st_size, path


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A version 1.0 .npy header of fixed length, so that frames begin at the same place in every file."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and "facts" in content else {}


def _cache_of(folder: Path) -> Path:
    """`.frames` in a folder of data, or below the user's cache folder where the data are read-only."""
    beside = folder / ".frames"
    if os.access(beside if beside.exists() else folder, os.W_OK):
        return beside
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return cache_folder("frames", place)
