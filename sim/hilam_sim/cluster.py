"""Jobs on the machines of a Ray cluster, with the interface of `WorkerPool`; `open_pool` opens either.

All machines need the same folders: this checkout, the data and the results, on a disk that they share. A job
whose worker or machine is lost runs again elsewhere. What a job gives does not depend on where it ran.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import traceback
from collections import Counter, deque
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from hilam_core.errors import HilamError
from hilam_sim.errors import SimError
from hilam_sim.workers import TRIES, WorkerError, WorkerPool


class Pool(Protocol):
    """What programs use of a pool: `submit` any number of jobs, `collect` results in order of completion."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def pending(self) -> int: ...

    def submit(self, key: Hashable, job: Any, group: Hashable = None) -> None: ...

    def collect(self) -> tuple[Any, Any]: ...


def open_pool(
    workers: int,
    make_handler: Callable[..., Any],
    arguments: tuple = (),
    ray: str | None = None,
    cpus: int = 1,
) -> Pool:
    """`workers` processes of this machine or, where `ray` is the address of a cluster ("auto", HOST:PORT), of
    its machines, each with `cpus` processors. See `WorkerPool` for make_handler and arguments.

    Raises:
        SimError: Ray is not installed, or there is no cluster at the address.
    """
    if ray is None:
        return WorkerPool(workers, make_handler, arguments)
    return RayPool(workers, make_handler, arguments, ray, cpus)


class _Worker:
    """On a machine of the cluster: unpickles the handler after it can import what the driver can."""

    def __init__(self, folder: str, path: list[str], pickled: bytes) -> None:
        self._folder, self._path, self._pickled = folder, path, pickled
        self._handler: Callable[[Any], Any] | None = None

    def ready(self) -> None:
        """Returns when the worker runs."""

    def perform(self, job: Any) -> tuple[str, Any]:
        """("result", value), ("user error", HilamError) or ("error", traceback), as workers of WorkerPool."""
        try:
            if self._handler is None:  # not at the start: an error there would end the actor without a word
                self._handler = self._load()
            return "result", self._handler(job)
        except HilamError as error:
            return "user error", error
        except Exception:
            return "error", traceback.format_exc()

    def _load(self) -> Callable[[Any], Any]:
        if not os.path.isdir(self._folder):
            raise SimError(
                f"{socket.gethostname()} has no folder '{self._folder}': the machines must share it"
            )
        os.chdir(self._folder)
        sys.path += [place for place in self._path if place not in sys.path]
        import cloudpickle

        make_handler, arguments = cloudpickle.loads(self._pickled)
        return make_handler(*arguments)


class RayPool:
    """A `WorkerPool` of Ray actors. Handlers cannot ask questions here."""

    def __init__(
        self, workers: int, make_handler: Callable[..., Any], arguments: tuple, address: str, cpus: int = 1
    ) -> None:
        if workers < 1:
            raise SimError(f"workers must be at least 1, not {workers}")
        self._ray = _connect(address)
        import cloudpickle

        pickled = cloudpickle.dumps((make_handler, arguments))
        actor = self._ray.remote(num_cpus=cpus)(_Worker)
        self._make = lambda: actor.remote(os.getcwd(), sys.path, pickled)
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}  # a lost machine's workers may find no other that has room
        self._waiting: deque[tuple[Hashable, Any]] = deque()
        self._running: dict[Any, tuple[Any, Hashable, Any]] = {}
        self._tries: Counter[Hashable] = Counter()
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        worker = self._make()
        self._starting[worker.ready.remote()] = worker

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Jobs submitted and not yet collected."""
        return len(self._waiting) + len(self._running)

    def submit(self, key: Hashable, job: Any, group: Hashable = None) -> None:
        """Queue a picklable job under a key of its own; the group is not looked at."""
        self._waiting.append((key, job))
        self._feed()

    def _feed(self) -> None:
        while self._waiting and self._idle:
            worker, (key, job) = self._idle.pop(), self._waiting.popleft()
            self._running[worker.perform.remote(job)] = worker, key, job

    def collect(self) -> tuple[Any, Any]:
        """As `WorkerPool.collect`: a job whose worker died runs again, and is given up after three times."""
        while True:
            (done, *_), _ = self._ray.wait([*self._running, *self._starting], num_returns=1)
            if done in self._starting:
                self._begin(done)
                continue
            worker, key, job = self._running.pop(done)
            try:
                kind, value = self._ray.get(done)
            except self._ray.exceptions.RayActorError as error:
                self._try_again(key, job, error)
                continue
            self._idle.append(worker)
            self._feed()
            if kind == "user error":
                raise value
            if kind == "error":
                raise WorkerError(f"{job} failed in its worker:\n{value}")
            return key, value

    def _begin(self, started: Any) -> None:
        """Give jobs to a worker that has found its place; start another where it was lost before."""
        worker = self._starting.pop(started)
        try:
            self._ray.get(started)
        except self._ray.exceptions.RayActorError:
            self._start()
        else:
            self._idle.append(worker)
            self._feed()

    def _try_again(self, key: Hashable, job: Any, error: Exception) -> None:
        self._start()
        self._tries[key] += 1
        given_up = self._tries[key] >= TRIES
        if not given_up:
            self._waiting.appendleft((key, job))
        self._feed()
        if given_up:
            raise WorkerError(f"{job} lost its worker {TRIES} times; the last time: {error}")

    def close(self) -> None:
        """End all workers; jobs under way are lost."""
        busy = [worker for worker, _, _ in self._running.values()]
        for worker in [*self._idle, *self._starting.values(), *busy]:
            self._ray.kill(worker)
        self._idle, self._running, self._starting = [], {}, {}


def _connect(address: str) -> Any:
    """The module `ray`, connected to the cluster."""
    try:
        import ray
    except ImportError:
        raise SimError("ray is not installed: pip install 'hilam[ray]', or leave out --ray") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SimError(
                f"no Ray cluster at '{address}' ({reason}): start one with ray start --head"
            ) from None
    return ray
