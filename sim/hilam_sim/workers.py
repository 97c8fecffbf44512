"""Spawned worker processes that survive a crash.

Processes are spawned, never forked: a GL context must not be inherited. Each holds one environment at a time,
and one that has grown beyond a bound is replaced between jobs, which bounds memory. A worker that dies is
replaced and its job is tried again; the others notice nothing.

A job may ask the parent questions while it runs: one network in the parent serves many simulations at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from hilam_core.errors import HilamError
from hilam_sim.errors import SimError

TRIES = 3  # a worker may die of what others use up (memory); a job that kills three is itself the cause
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
                reply = ("result", _perform(handler, job, connection))
            except HilamError as error:
                reply = ("user error", error)
            except Exception:
                reply = ("error", traceback.format_exc())
            connection.send(reply)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone or closed the pool
    except HilamError as error:
        connection.send(("user error", error))


def _perform(handler: Callable[[Any], Any], job: Any, connection: Connection) -> Any:
    """The result of a job; each question that the handler yields goes to the parent, which answers it."""
    result = handler(job)
    if not isinstance(result, Generator):
        return result
    try:
        question = next(result)
        while True:
            connection.send(("question", question))
            question = result.send(connection.recv())
    except StopIteration as end:
        return end.value


@dataclass(frozen=True, eq=False)
class _Job:
    key: Hashable
    content: Any
    group: Hashable


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
        self.job: _Job | None = None
        self.group: Hashable = None  # of its last job
        self.asking = False
        self.question: Any = None

    def give(self, job: _Job) -> None:
        self.job, self.group = job, job.group
        self._send(job.content)

    def ask(self, question: Any) -> None:
        self.asking, self.question = True, question

    def answer(self, answer: Any) -> None:
        self.asking, self.question = False, None
        self._send(answer)

    def _send(self, value: Any) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the death shows in collect()
            self.connection.send(value)

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
            Where that is a generator function, it yields questions, receives their answers and returns the
            result.
        arguments: Passed to `make_handler`.
        memory_mb: Resident memory beyond which a worker is replaced when its job is done.
        answer: Called in this process, within `collect`: questions by the number of the worker that asks (0
            to workers - 1) -> answers by the same numbers.
        gather: Questions to wait for before answering; fewer where no worker is left that could ask.
    """

    def __init__(
        self,
        workers: int,
        make_handler: Callable[..., Any],
        arguments: tuple = (),
        memory_mb: float = float("inf"),
        answer: Callable[[dict[int, Any]], Mapping[int, Any]] | None = None,
        gather: int = 1,
    ) -> None:
        if workers < 1:
            raise SimError(f"workers must be at least 1, not {workers}")
        self._memory_mb = memory_mb
        self._answer, self._gather = answer, gather
        self._make = lambda: _Worker(make_handler, arguments)
        self._workers = [self._make() for _ in range(workers)]
        self._waiting: deque[_Job] = deque()
        self._tries: Counter[Any] = Counter()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Jobs submitted and not yet collected."""
        return len(self._waiting) + len(self._busy())

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is not None]

    def submit(self, key: Hashable, job: Any, group: Hashable = None) -> None:
        """Queue a picklable job under a key of its own. Jobs of one group go to the same workers where
        possible: what those have built serves again."""
        self._waiting.append(_Job(key, job, group))
        self._feed()

    def _feed(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.job is None:
                job = self._next_job(worker)
                self._waiting.remove(job)
                worker.give(job)

    def _next_job(self, worker: _Worker) -> _Job:
        """Of the worker's own group, else of one that no other worker is at, else the first."""
        taken = {other.group for other in self._workers if other is not worker}
        return min(self._waiting, key=lambda job: (job.group != worker.group, job.group in taken))

    def collect(self) -> tuple[Any, Any]:
        """Key and result of the next job to finish; waits for it. After an error the others go on.

        Raises:
            HilamError: the job raised it.
            WorkerError: the job raised something else, or killed its worker three times.
        """
        while True:
            self._answer_questions()
            ready = wait([worker.connection for worker in self._busy()])
            worker = next(worker for worker in self._busy() if worker.connection in ready)
            try:
                kind, value = worker.connection.recv()
            except (EOFError, ConnectionResetError):
                self._replace(worker)
                continue
            if kind == "question":
                worker.ask(value)
                continue
            job, worker.job = worker.job, None
            assert job is not None  # a worker speaks of the job that it was given
            if worker.resident_mb() > self._memory_mb:
                worker.stop()
                self._workers[self._workers.index(worker)] = self._make()
            self._feed()
            if kind == "user error":
                raise value
            if kind == "error":
                raise WorkerError(f"{job.content} failed in its worker:\n{value}")
            return job.key, value

    def _answer_questions(self) -> None:
        """Answer the questions of all who ask, where they are enough or nobody else could ask."""
        asking = {i: worker for i, worker in enumerate(self._workers) if worker.asking}
        if not asking or (len(asking) < self._gather and len(asking) < len(self._busy())):
            return
        assert self._answer is not None, "a handler that asks needs somebody who answers"
        answers = self._answer({i: worker.question for i, worker in asking.items()})
        for i, worker in asking.items():
            worker.answer(answers[i])

    def _replace(self, dead: _Worker) -> None:
        """A new process for a dead one, and another try for its job."""
        dead.stop()
        self._workers[self._workers.index(dead)] = self._make()
        job = dead.job
        assert job is not None  # only workers at a job are listened to
        self._tries[job.key] += 1
        if self._tries[job.key] >= TRIES:
            raise WorkerError(
                f"{job.content} killed its worker {TRIES} times (exit code {dead.process.exitcode})"
            )
        self._waiting.appendleft(job)
        self._feed()

    def close(self) -> None:
        """End all workers; jobs under way are lost."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            worker.stop()
