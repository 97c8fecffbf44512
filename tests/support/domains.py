"""ROS domain ids for tests: those that run at the same time do not hear each other."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

BLOCK = 10
LAST = 100  # above it, DDS ports reach the kernel's ephemeral ones
_locks = []


@functools.cache
def _own() -> Iterator[int]:
    """Every second id of a block of ten that this process keeps locked until it ends."""
    folder = Path(tempfile.gettempdir()) / f"ros-test-domains-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for first in range(1, LAST, BLOCK):
        lock = (folder / str(first)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _locks.append(lock)
        return itertools.cycle(range(first, first + BLOCK, 2))
    raise RuntimeError(f"{LAST // BLOCK} test processes hold the locks in {folder} already")


def next_domain() -> int:
    """A domain id; the one after it is free for the same test."""
    return next(_own())


def own_domain(environment: dict[str, str]) -> dict[str, str]:
    """The environment with a ROS domain of its own."""
    return {**environment, "ROS_DOMAIN_ID": str(next_domain())}
