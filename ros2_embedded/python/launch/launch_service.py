"""The event loop of a launch."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
import traceback
from collections.abc import Iterable
from typing import Any

from launch.event import Event
from launch.events import IncludeLaunchDescription, Shutdown
from launch.execute_process import ExecuteProcess
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription, LaunchDescriptionEntity
from launch.logging import get_logger

_REPEAT_S = 1.0  # a key held down repeats 30 times a second: nodes must have time to clean up
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class LaunchService:
    """Visits launch descriptions, dispatches events, and ends when nothing is left to do.

    The first Ctrl-C shuts down, the second terminates and the third kills whatever still runs; those within a
    second of another count as that one.
    """

    def __init__(
        self, *, argv: Iterable[str] | None = None, noninteractive: bool = False, debug: bool = False
    ) -> None:
        self.context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self._debug = debug
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[asyncio.Future, LaunchDescriptionEntity] = {}
        self._return_code = 0
        self._interrupts, self._interrupted_at = 0, float("-inf")
        self._visiting = False

    @property
    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        return self._loop

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Visits the description once the service runs; thread-safe."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def emit_event(self, event: Event) -> None:
        """Queues an event; thread-safe."""
        if self._loop is None:
            self.context.emit_event_sync(event)
        else:
            self._loop.call_soon_threadsafe(self.context.emit_event_sync, event)

    def shutdown(self, force_sync: bool = False) -> None:
        """Ends a running launch; thread-safe."""
        self.emit_event(Shutdown(reason="LaunchService.shutdown() called"))

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Runs to the end. Returns 0, or 1 if an action or an event handler raised."""
        return asyncio.run(self.run_async(shutdown_when_idle=shutdown_when_idle))

    async def run_async(self, *, shutdown_when_idle: bool = True) -> int:
        """run() inside an event loop."""
        self._loop = self.context.asyncio_loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(
            lambda loop, info: self._fail(info.get("exception") or info["message"])
        )
        try:
            with self._signal_handlers():
                while (event := await self._next_event(shutdown_when_idle)) is not None:
                    self._process(event)
        finally:
            for entity in self._pending.values():
                if isinstance(entity, ExecuteProcess):
                    entity.kill()
            self.context.close()
            self._loop = self.context.asyncio_loop = None
        return self._return_code

    async def _next_event(self, shutdown_when_idle: bool) -> Event | None:
        """The next event; Shutdown when there is nothing left to do, None once that is so after Shutdown."""
        context = self.context
        while True:
            if context._events:
                return context._events.pop(0)
            await asyncio.sleep(0)  # the callbacks of what has just ended come before the conclusion from it
            for future in [future for future in self._pending if future.done()]:
                del self._pending[future]
                if not future.cancelled() and (error := future.exception()):
                    self._fail(error)
            if context._events:
                continue
            if not self._pending and context.is_shutdown:
                return None
            if not self._pending and shutdown_when_idle:
                return Shutdown(reason="idle")
            context._event_added.clear()
            added = asyncio.ensure_future(context._event_added.wait())
            await asyncio.wait({added, *self._pending}, return_when=asyncio.FIRST_COMPLETED)
            added.cancel()

    def _process(self, event: Event) -> None:
        if isinstance(event, Shutdown):
            if self.context.is_shutdown:
                return
            self.context.is_shutdown = True
        self._visiting = not isinstance(event, Shutdown)
        try:
            if isinstance(event, IncludeLaunchDescription):
                self._visit(event.launch_description)
            for handler in list(self.context._event_handlers):
                if handler.matches(event):
                    self._handle(handler, event)
        except KeyboardInterrupt:
            self._interrupted(signal.SIGINT)
        except Exception as error:
            self._fail(error)
        finally:
            self._visiting = False

    def _handle(self, handler: Any, event: Event) -> None:
        """One failing handler does not keep the event from the others: processes must hear of Shutdown."""
        self.context.push("locals")
        self.context.extend_locals({"event": event})
        try:
            for entity in handler.handle(event, self.context):
                self._visit(entity)
        except Exception as error:
            self._fail(error)
        finally:
            self.context.pop("locals")

    def _visit(self, entity: LaunchDescriptionEntity) -> None:
        if not isinstance(entity, LaunchDescriptionEntity):
            raise TypeError(f"expected an action or a launch description, got {entity!r}")
        for child in entity.visit(self.context) or ():
            self._visit(child)
        future = entity.get_asyncio_future()
        if future is not None:
            self._pending[future] = entity

    def _fail(self, error: BaseException | str) -> None:
        """Says what went wrong in one line, and shuts everything down."""
        text = " ".join(str(error).split())
        if not isinstance(error, (RuntimeError, str)):
            text = f"{type(error).__name__}: {text}"
        get_logger("launch").error("Caught exception in launch (see debug for traceback): %s", text)
        if self._debug and isinstance(error, BaseException):
            traceback.print_exception(type(error), error, error.__traceback__)
        self._return_code = 1
        self.context.emit_event_sync(Shutdown(reason=text))

    @contextlib.contextmanager
    def _signal_handlers(self):
        """Signals end the launch in order; only in the main thread, where Python allows handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._visiting:  # a function of a launch file may take long: Ctrl-C must end it
            raise KeyboardInterrupt
        if self._loop:
            self._loop.call_soon_threadsafe(self._interrupted, number)

    def _interrupted(self, number: int) -> None:
        if time.monotonic() - self._interrupted_at < _REPEAT_S:
            return
        self._interrupted_at = time.monotonic()
        self._interrupts += 1
        name = signal.Signals(number).name
        get_logger("launch").warning(
            "user interrupted with %s", "ctrl-c (SIGINT)" if name == "SIGINT" else name
        )
        self.context.emit_event_sync(Shutdown(reason=name, due_to_sigint=name == "SIGINT"))
        if self._interrupts > 1:
            harder = signal.SIGTERM if self._interrupts == 2 else signal.SIGKILL
            for entity in list(self._pending.values()):
                if isinstance(entity, ExecuteProcess):
                    entity._send(harder)
