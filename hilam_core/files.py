"""Files that appear whole or not at all, their hashes, and where caches lie."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hilam_core.errors import FileError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A draft beside `path`, of the same suffix, that takes its place when the block ends without an error.

    Makes the folder where it is missing. The draft is empty at first; readers of `path` see the old file or
    the new one, never a part of it.

    Raises:
        FileError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    except OSError as error:
        raise FileError(f"cannot write '{path}': {error.strerror}") from None
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o644)  # mkstemp and some libraries write for the owner alone
        os.replace(draft, path)
    except OSError as error:
        if error.errno in _FULL or error.filename in (None, name):
            raise FileError(f"cannot write '{path}': {error.strerror or error}") from None
        raise
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(path: Path | str) -> None:
    """Remove what processes that were killed within `replacing` left beside `path`: for its sole writer."""
    path = Path(path)
    for draft in path.parent.glob(f".{path.stem}.????????{path.suffix}"):  # eight letters of mkstemp
        draft.unlink(missing_ok=True)


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON, indented. Raises FileError as `replacing` does."""
    text = json.dumps(content, indent=2) + "\n"
    with replacing(path) as draft:
        draft.write_text(text)


def writable_folder(path: Path | str) -> Path:
    """`path` as a folder that can be written to, made where it is missing: asked before the work, not after.

    Raises:
        FileError: it cannot be made, is a file, or is read-only.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise FileError(f"cannot write to the folder '{path}': {error.strerror}") from None


@contextmanager
def sole_writer(path: Path | str) -> Iterator[None]:
    """Keep every other process that asks out of `path` until the block ends.

    The system holds the lock for this process and drops it when the process ends, in whatever way: a killed
    one leaves nothing that must be cleared away.

    Raises:
        FileError: another process is writing `path`, or its folder cannot be made or written.
    """
    path = Path(path)
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _take(lock)
    except BlockingIOError:
        raise FileError(f"another process is writing '{path}': wait for it, or write another file") from None
    except OSError as error:
        raise FileError(f"cannot write '{path}': {error.strerror}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _take(lock: Path) -> int:
    """The open, locked file `lock`; BlockingIOError when another process has it."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before removes its file: what was opened just before that is no longer `lock`.
            if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's content, as 64 hex digits."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def state_folder(*names: str) -> Path:
    """What must outlive a process and is no cache: below $XDG_STATE_HOME/hilam, else ~/.local/state/hilam."""
    return _below_home("XDG_STATE_HOME", Path(".local", "state"), "states: set XDG_STATE_HOME").joinpath(
        *names
    )


def cache_folder(*names: str) -> Path:
    """The folder of a cache below $HILAM_CACHE, else $XDG_CACHE_HOME/hilam, else ~/.cache/hilam; not made.

    Apart from the official assets, the project writes nothing elsewhere but its data and results.
    """
    if chosen := os.environ.get("HILAM_CACHE"):
        return Path(chosen).expanduser().absolute().joinpath(*names)
    return _below_home("XDG_CACHE_HOME", Path(".cache"), "caches: set HILAM_CACHE").joinpath(*names)


def _below_home(variable: str, folder: Path, advice: str) -> Path:
    try:
        home = Path(os.environ.get(variable) or Path.home() / folder)
    except RuntimeError:  # a container's user without a name
        raise FileError(f"this user has no home folder for {advice} to a folder") from None
    return home.absolute() / "hilam"
