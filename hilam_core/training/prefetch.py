"""Batches of the coming steps, made in threads while the device computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Prefetcher(Generic[Batch]):
    """What `make` gives for step after step, made ahead by `workers` threads; 0: when it is asked for.

    Decoding, reading and resizing leave Python's lock to others, so that threads are enough. A batch depends
    on its step alone: it is the same for any number of workers.
    """

    def __init__(self, make: Callable[[int], Batch], workers: int, stop: int):
        """stop: the first step that is not asked for."""
        self.make, self.workers, self.stop = make, workers, stop
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._coming: deque[tuple[int, Future[Batch]]] = deque()

    def __call__(self, step: int) -> Batch:
        """The batch of a step. Steps are asked for in order."""
        if self._pool is None:
            return self.make(step)
        first = self._coming[-1][0] + 1 if self._coming else step
        for ahead in range(first, min(step + self.workers + 1, self.stop)):
            self._coming.append((ahead, self._pool.submit(self.make, ahead)))
        return self._coming.popleft()[1].result()

    def __enter__(self) -> Prefetcher[Batch]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
