"""Futures, and tasks that an executor runs."""

from __future__ import annotations

import inspect
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from typing import Any


class Future:
    """A result that comes later; `await` it in a coroutine callback or add a callback.

    Done callbacks run in the executor given, else in the thread that completes the future."""

    def __init__(self, *, executor: Any = None) -> None:
        self._done = self._cancelled = False
        self._result: Any = None
        self._exception: Exception | None = None
        self._exception_seen = False
        self._callbacks: list[tuple[Callable[[Future], Any], bool]] = []
        self._lock = threading.Lock()
        self._executor = weakref.ref(executor) if executor is not None else lambda: None

    def __await__(self) -> Generator[Future, None, Any]:
        while not self._done and not self._cancelled:
            yield self
        return self.result()

    def done(self) -> bool:
        return self._done or self._cancelled

    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        with self._lock:
            if self._done or self._cancelled:
                return
            self._cancelled = True
        self._call_back()

    def result(self) -> Any:
        if self._exception is not None:
            self._exception_seen = True
            raise self._exception
        return self._result

    def exception(self) -> Exception | None:
        self._exception_seen = True
        return self._exception

    def set_result(self, result: Any) -> None:
        self._finish(result, None)

    def set_exception(self, exception: Exception) -> None:
        self._finish(None, exception)

    def _finish(self, result: Any, exception: Exception | None) -> None:
        with self._lock:
            if self._cancelled:
                return
            self._result, self._exception, self._done = result, exception, True
        self._call_back()

    def _call_back(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback, at_once in callbacks:
            self._schedule(callback, at_once)

    def _schedule(self, callback: Callable[[Future], Any], at_once: bool) -> None:
        executor = self._executor()
        if executor is None or at_once:
            callback(self)
        else:
            executor.create_task(callback, self)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        self._when_done(callback, at_once=False)

    def _when_done(self, callback: Callable[[Future], Any], at_once: bool = True) -> None:
        """Adds a done callback; `at_once` runs it in the thread that completes the future."""
        with self._lock:
            if not self.done():
                self._callbacks.append((callback, at_once))
                return
        self._schedule(callback, at_once)

    def remove_done_callback(self, callback: Callable[[Future], Any]) -> bool:
        with self._lock:
            before = len(self._callbacks)
            self._callbacks = [entry for entry in self._callbacks if entry[0] != callback]
            return len(self._callbacks) < before

    def __del__(self) -> None:
        if self._exception is not None and not self._exception_seen:
            warnings.warn(f"The following exception was never retrieved: {self._exception!r}", stacklevel=1)


class Task(Future):
    """A function or coroutine function that an executor runs; a future of its result."""

    def __init__(
        self, handler: Callable[..., Any], args: Any = (), kwargs: Any = None, executor: Any = None
    ) -> None:
        super().__init__(executor=executor)
        self._handler, self._args, self._kwargs = handler, args, kwargs or {}
        self._coroutine: Any = handler if inspect.iscoroutine(handler) else None
        self._running = threading.Lock()

    def __call__(self) -> None:
        """Runs to the end, or to the next unfinished future that is awaited."""
        if self.done() or not self._running.acquire(blocking=False):
            return
        try:
            waits_for = self._step()
        except Exception as error:
            self.set_exception(error)
        else:
            if waits_for is not None:
                waits_for._when_done(lambda _: self._resume())
        finally:
            self._running.release()

    def _step(self) -> Future | None:
        if self._coroutine is None:
            result = self._handler(*self._args, **self._kwargs)
            if not inspect.iscoroutine(result):
                self.set_result(result)
                return None
            self._coroutine = result
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration as stop:
            self.set_result(stop.value)
            return None
        if isinstance(waits_for, Future):
            return waits_for
        done = Future()
        done.set_result(None)
        return done

    def _resume(self) -> None:
        executor = self._executor()
        if executor is not None:
            executor._enqueue(self)

    def executing(self) -> bool:
        return self._running.locked()
