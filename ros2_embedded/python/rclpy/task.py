"""Futures, and tasks that an executor runs."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from enum import Enum
from typing import Any


async def await_or_execute(callback: Callable[..., Any], *args: Any) -> Any:
    """The result of a function or coroutine function."""
    return await callback(*args) if inspect.iscoroutinefunction(callback) else callback(*args)


class FutureState(Enum):
    PENDING = "PENDING"
    CANCELLED = "CANCELLED"
    FINISHED = "FINISHED"


class Future:
    """A result that comes later; `await` it in a coroutine callback or add a callback.

    Done callbacks run in the executor given, else in the thread that completes the future."""

    def __init__(self, *, executor: Any = None) -> None:
        self._state = FutureState.PENDING
        self._result: Any = None
        self._exception: Exception | None = None
        self._exception_fetched = False
        self._callbacks: list[tuple[Callable[[Future], Any], bool]] = []
        self._lock = threading.Lock()
        self._set_executor(executor)

    def _set_executor(self, executor: Any) -> None:
        self._executor: Callable[[], Any] = weakref.ref(executor) if executor is not None else lambda: None

    def __await__(self) -> Generator[Future, None, Any]:
        while self._pending():
            yield self
        return self.result()

    def _pending(self) -> bool:
        return self._state == FutureState.PENDING

    def done(self) -> bool:
        """Whether there is a result or an exception; a cancelled future has neither."""
        return self._state == FutureState.FINISHED

    def cancelled(self) -> bool:
        return self._state == FutureState.CANCELLED

    def cancel(self) -> None:
        with self._lock:
            if not self._pending():
                return
            self._state = FutureState.CANCELLED
        self._call_back()

    def result(self) -> Any:
        """The result, None if there is none yet; raises the exception if there is one."""
        if self._exception is not None:
            raise self.exception()  # type: ignore[misc]
        return self._result

    def exception(self) -> Exception | None:
        self._exception_fetched = True
        return self._exception

    def set_result(self, result: Any) -> None:
        with self._lock:
            self._result, self._state = result, FutureState.FINISHED
        self._call_back()

    def set_exception(self, exception: Exception) -> None:
        with self._lock:
            self._exception, self._exception_fetched = exception, False
            self._state = FutureState.FINISHED
        self._call_back()

    def _call_back(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        executor = self._executor()
        for callback, at_once in callbacks:
            if executor is not None and not at_once:
                executor.create_task(callback, self)
                continue
            try:
                callback(self)
            except Exception as error:  # the other callbacks are called all the same
                warnings.warn(f"Unhandled exception in done callback: {error!r}", stacklevel=2)

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Calls `callback` with this future when it is done or cancelled; at once if it is already."""
        self._when_done(callback, at_once=False)

    def _when_done(self, callback: Callable[[Future], Any], at_once: bool = True) -> None:
        """Adds a done callback; `at_once` runs it in the thread that completes the future."""
        with self._lock:
            if self._pending():
                self._callbacks.append((callback, at_once))
                return
        executor = self._executor()
        if executor is None or at_once:
            callback(self)
        else:
            executor.create_task(callback, self)

    def remove_done_callback(self, callback: Callable[[Future], Any]) -> bool:
        """Whether the callback was there."""
        with self._lock:
            before = len(self._callbacks)
            self._callbacks = [entry for entry in self._callbacks if entry[0] != callback]
            return len(self._callbacks) < before

    def __del__(self) -> None:
        if self._exception is not None and not self._exception_fetched:
            print(f"The following exception was never retrieved: {self._exception}", file=sys.stderr)


class Task(Future):
    """A function, coroutine function or coroutine that an executor runs; a future of its result."""

    def __init__(
        self, handler: Callable[..., Any], args: Any = None, kwargs: Any = None, executor: Any = None
    ) -> None:
        super().__init__(executor=executor)
        self._handler, self._args, self._kwargs = handler, args or (), kwargs or {}
        if inspect.iscoroutinefunction(handler):
            self._handler = handler(*self._args, **self._kwargs)
        self._running = threading.Lock()

    def __call__(self) -> None:
        """Runs to the end, or to the next unfinished future that is awaited."""
        if not self._pending() or not self._running.acquire(blocking=False):
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
        if not inspect.iscoroutine(self._handler):
            self.set_result(self._handler(*self._args, **self._kwargs))
            return None
        try:
            waits_for = self._handler.send(None)
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

    def cancel(self) -> None:
        if self._pending() and inspect.iscoroutine(self._handler):
            self._handler.close()
        super().cancel()
