"""Spawned worker processes that survive a crash.

Processes are spawned, never forked: a GL context must not be inherited. Each holds one environment at a time,
and one that has grown beyond a bound is replaced between jobs, which bounds memory. A worker that dies is
replaced and its job is tried again; the others notice nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from hilam_core.errors import HilamError
from hilam_sim.errors import SimError

_TRIES = 3  # a worker may die of what others use up (memory); a job that kills three is itself the cause
_SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerError(HilamError):
    """A job failed in its worker; carries the worker's traceback, or says that it died."""


def _work(connection: Connection, make_handler: Callable[..., Any], arguments: tuple) -> None:
    """Loop of a worker: jobs in, (kind, value) out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    try:
        handler = make_handler(*arguments)
        while True:
            job = connection.recv()
            try:
                reply = ("result", handler(job))
            except HilamError as error:
                reply = ("user error", error)
            except Exception:
                reply = ("error", traceback.format_exc())
            connection.send(reply)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone or closed the pool
    except HilamError as error:
        connection.send(("user error", error))


class _Worker:
    def __init__(self, make_handler: Callable[..., Any], arguments: tuple) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        # Several workers share few cores: a numerics library must not open a thread a core in each.
        unset = [name for name in _SINGLE_THREADED if name not in os.environ]
        os.environ.update(dict.fromkeys(unset, "1"))
        self.process = context.Process(target=_work, args=(theirs, make_handler, arguments), daemon=True)
        try:
            self.process.start()
        finally:
            for name in unset:
                del os.environ[name]
        theirs.close()
        self.key: Any = None
        self.job: Any = None
        self.busy = False

    def give(self, key: Hashable, job: Any) -> None:
        self.key, self.job, self.busy = key, job, True
        with suppress(BrokenPipeError, ConnectionResetError):  # the death shows in collect()
            self.connection.send(job)

    def resident_mb(self) -> float:
        """Memory that the process holds; 0 where the system does not tell."""
        with suppress(OSError):
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return 0.0

    def stop(self) -> None:
        self.connection.close()
        self.process.join(timeout=1.0)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(timeout=2.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(timeout=2.0)


class WorkerPool:
    """Runs jobs in `workers` processes: `submit` any number, `collect` their results in order of completion.

    Args:
        workers: Number of processes.
        make_handler: Importable function called once in each process; returns the function job -> result.
        arguments: Passed to `make_handler`.
        memory_mb: Resident memory beyond which a worker is replaced when its job is done.
    """

    def __init__(
        self,
        workers: int,
        make_handler: Callable[..., Any],
        arguments: tuple = (),
        memory_mb: float = float("inf"),
    ) -> None:
        if workers < 1:
            raise SimError(f"workers must be at least 1, not {workers}")
        self._memory_mb = memory_mb
        self._make = lambda: _Worker(make_handler, arguments)
        self._workers = [self._make() for _ in range(workers)]
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._tries: Counter[Any] = Counter()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Jobs submitted and not yet collected."""
        return len(self._waiting) + sum(worker.busy for worker in self._workers)

    def submit(self, key: Hashable, job: Any) -> None:
        """Queue a picklable job under a key of its own."""
        self._waiting.append((key, job))
        self._feed()

    def _feed(self) -> None:
        for worker in self._workers:
            if self._waiting and not worker.busy:
                worker.give(*self._waiting.popleft())

    def collect(self) -> tuple[Any, Any]:
        """Key and result of the next job to finish; waits for it. After an error the others go on.

        Raises:
            HilamError: the job raised it.
            WorkerError: the job raised something else, or killed its worker three times.
        """
        while True:
            ready = wait([worker.connection for worker in self._workers if worker.busy])
            worker = next(worker for worker in self._workers if worker.connection in ready)
            try:
                kind, value = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                self._replace(worker)
                continue
            key, job, worker.busy = worker.key, worker.job, False
            if worker.resident_mb() > self._memory_mb:
                worker.stop()
                self._workers[self._workers.index(worker)] = self._make()
            self._feed()
            if kind == "user error":
                raise value
            if kind == "error":
                raise WorkerError(f"{job} failed in its worker:\n{value}")
            return key, value

    def _replace(self, dead: _Worker) -> None:
        """A new process for a dead one, and another try for its job."""
        dead.stop()
        self._workers[self._workers.index(dead)] = self._make()
        self._tries[dead.key] += 1
        if self._tries[dead.key] >= _TRIES:
            raise WorkerError(
                f"{dead.job} killed its worker {_TRIES} times (exit code {dead.process.exitcode})"
            )
        self._waiting.appendleft((dead.key, dead.job))
        self._feed()

    def close(self) -> None:
        """End all workers; jobs under way are lost."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.stop()
