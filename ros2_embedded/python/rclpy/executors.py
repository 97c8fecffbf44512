"""Executors: wait for what is ready, run its callback.

One DDS wait set per executor holds every ready-able thing of its nodes; timers are the wait's timeout.
Messages are
taken before their callback is handed on, so that a reader does not trigger twice for one message.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedded_dds import dds

from rclpy.exceptions import NotInitializedException
from rclpy.task import Future, Task
from rclpy.utilities import get_default_context

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.node import Node


class TimeoutException(Exception):
    """Signal that a timeout occurred."""


class ShutdownException(Exception):
    """Signal that the executor was shut down."""


class ExternalShutdownException(Exception):
    """Context has been shut down."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(args or ("The passed context is no longer valid; it was shut down.",)))


class ConditionReachedException(Exception):
    """Future has been completed."""


class Executor:
    """Base class; what runs tasks is `_run`."""

    # What is no error of `spin_once`. For the single-threaded executor a shut down context is one.
    _ends_spin: tuple[type[Exception], ...] = (TimeoutException, ShutdownException, ConditionReachedException)

    def __init__(self, *, context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        if not self._context.started:
            raise NotInitializedException()
        self._nodes: list[Node] = []
        self._lock = threading.Lock()
        self._ready: deque[Any] = deque()
        self._tasks: deque[Task] = deque()
        self._attached: dict[int, Any] = {}
        self._waitset: dds.WaitSet | None = None
        self._guard: dds.Guard | None = None
        self._is_shutdown = False
        self._context._wakers.add(self)

    @property
    def context(self) -> Context:
        return self._context

    def _open(self) -> dds.WaitSet:
        with self._lock:
            if self._waitset is None:
                participant = self._context.participant
                self._waitset, self._guard = dds.WaitSet(participant), dds.Guard(participant)
                self._waitset.attach(self._guard.entity, 0)
            return self._waitset

    def wake(self) -> None:
        """Makes a wait in progress look again at what there is to do."""
        if self._guard is not None:
            self._guard.set()

    def add_node(self, node: Node) -> bool:
        with self._lock:
            if node in self._nodes:
                return False
            self._nodes = [*self._nodes, node]
        node.executor = self
        self.wake()
        return True

    def remove_node(self, node: Node) -> None:
        with self._lock:
            self._nodes = [other for other in self._nodes if other is not node]
        if node.executor is self:
            node.executor = None
        self.wake()

    def get_nodes(self) -> list[Node]:
        return list(self._nodes)

    def create_task(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        """Runs a function or coroutine in this executor; its future."""
        task = Task(callback, args, kwargs, executor=self)
        self._enqueue(task)
        return task

    def _enqueue(self, task: Task) -> None:
        self._tasks.append(task)
        self.wake()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Ends spinning; True if nothing runs any more."""
        self._is_shutdown = True
        self.wake()
        for node in self._nodes:
            self.remove_node(node)
        with self._lock:
            if self._waitset is not None and self._guard is not None:
                self._waitset.close()
                self._guard.close()
                self._waitset = None
        return True

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def spin(self) -> None:
        """Runs callbacks until shutdown; what they raise is raised here."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Waits for one callback (at most `timeout_sec`) and runs it."""
        self._spin_once(timeout_sec, lambda: False)

    def spin_until_future_complete(self, future: Future, timeout_sec: float | None = None) -> None:
        """Runs callbacks until the future is done or the time is over."""
        future._when_done(lambda _: self.wake())
        self._spin_until(lambda: not future._pending(), timeout_sec)

    def spin_once_until_future_complete(self, future: Future, timeout_sec: float | None = None) -> None:
        future._when_done(lambda _: self.wake())
        self._spin_once(timeout_sec, lambda: not future._pending())

    def _spin_until(self, condition: Callable[[], bool], timeout_sec: float | None) -> None:
        end = None if timeout_sec is None or timeout_sec < 0 else time.monotonic() + timeout_sec
        while self._context.ok() and not self._is_shutdown and not condition():
            left = None if end is None else end - time.monotonic()
            if left is not None and left < 0:
                return
            self._spin_once(left, condition)

    def _spin_once(self, timeout_sec: float | None, condition: Callable[[], bool]) -> None:
        try:
            task = self._next(timeout_sec, condition)
        except self._ends_spin:
            return
        self._run(task)

    def _run(self, task: Task) -> None:
        raise NotImplementedError

    def _next(self, timeout_sec: float | None, condition: Callable[[], bool]) -> Task:
        """The next task to run; raises when there is none in time, or none any more."""
        end = None if timeout_sec is None or timeout_sec < 0 else time.monotonic_ns() + int(timeout_sec * 1e9)
        waited = False
        while True:
            if self._is_shutdown:
                raise ShutdownException()
            if not self._context.ok():
                raise ExternalShutdownException()
            if condition():
                raise ConditionReachedException()
            self._check()
            if self._tasks:
                return self._tasks.popleft()
            while self._ready:
                if task := self._begin(self._ready.popleft()):
                    return task
            left = None if end is None else end - time.monotonic_ns()
            if left is not None and left <= 0 and waited:
                raise TimeoutException()
            self._wait(left)
            waited = True

    def _check(self) -> None:
        """Raises what callbacks in other threads raised."""

    def _begin(self, source: Any) -> Task | None:
        """Takes what a source has and makes the task that runs its callback."""
        if source._destroyed:
            return None
        group = source.callback_group
        if group is not None and not group.beginning_execution(source):
            return None
        callback = source.take()
        if callback is None:
            if group is not None:
                group.ending_execution(source)
            return None
        task = Task(callback, executor=self)
        if group is not None:
            task._when_done(lambda _: self._end(group, source))
        return task

    def _end(self, group: Any, source: Any) -> None:
        group.ending_execution(source)
        self.wake()

    def _wait(self, timeout_ns: int | None) -> None:
        """Waits for something to do and lists it in `_ready`."""
        try:
            waitset = self._open()
        except NotInitializedException:  # shut down meanwhile
            return
        wanted: dict[int, Any] = {}
        timers = []
        for node in self._nodes:
            for source in node._rclpy_sources:
                if source.callback_group is None or source.callback_group.can_execute(source):
                    wanted[source.entity] = source
            timers += [
                t for t in node._rclpy_timers if t.callback_group is None or t.callback_group.can_execute(t)
            ]
        for entity in self._attached.keys() - wanted.keys():
            waitset.detach(entity)
        self._attached = {e: s for e, s in wanted.items() if e in self._attached or waitset.attach(e, e)}
        waits = [ns for timer in timers if (ns := timer.wait_ns()) is not None]
        if timeout_ns is not None:
            waits.append(timeout_ns)
        try:
            found = waitset.wait(min(waits) if waits else dds.FOREVER)
        except dds.DdsError:
            if self._context.ok() and not self._is_shutdown:
                raise
            return
        if 0 in found and self._guard is not None:
            self._guard.clear()
        self._ready.extend(timer for timer in timers if timer._is_due())
        sources = [self._attached[number] for number in found if number in self._attached]
        self._ready.extend(sorted(sources, key=lambda source: source.rank))


class SingleThreadedExecutor(Executor):
    """Runs callbacks in the thread that spins."""

    def _run(self, task: Task) -> None:
        task()
        if task.done() and task.exception() is not None:
            raise task.exception()  # type: ignore[misc]


class MultiThreadedExecutor(Executor):
    """Runs callbacks in worker threads; callback groups say which may overlap."""

    _ends_spin = (*Executor._ends_spin, ExternalShutdownException)

    def __init__(self, num_threads: int | None = None, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        count = num_threads if num_threads else max(2, os.cpu_count() or 2)
        if count == 1:
            warnings.warn(
                "MultiThreadedExecutor with a single thread: use the SingleThreadedExecutor instead.",
                stacklevel=2,
            )
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._failed: deque[Exception] = deque()
        self._busy = 0
        self._idle = threading.Condition()
        reference = weakref.ref(self)
        self._workers = [
            threading.Thread(target=_work, args=(self._queue, reference), name=f"executor-{i}", daemon=True)
            for i in range(count)
        ]
        weakref.finalize(self, _stop, self._queue, count)
        for worker in self._workers:
            worker.start()

    def _run(self, task: Task) -> None:
        with self._idle:
            self._busy += 1
        self._queue.put(task)
        self._check()

    def _finished(self, task: Task) -> None:
        if task.done() and task.exception() is not None:
            self._failed.append(task.exception())  # type: ignore[arg-type]
            self.wake()
        with self._idle:
            self._busy -= 1
            self._idle.notify_all()

    def _check(self) -> None:
        if self._failed:
            raise self._failed.popleft()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        super().shutdown(timeout_sec)
        me = threading.current_thread() in self._workers
        with self._idle:
            done = self._idle.wait_for(lambda: self._busy <= me, timeout_sec)
        if done:
            _stop(self._queue, len(self._workers))
        return done


def _work(tasks: queue.SimpleQueue[Task | None], reference: weakref.ref[MultiThreadedExecutor]) -> None:
    while (task := tasks.get()) is not None:
        task()
        executor = reference()
        if executor is not None:
            executor._finished(task)
        del task, executor


def _stop(tasks: queue.SimpleQueue[Task | None], count: int) -> None:
    for _ in range(count):
        tasks.put(None)
