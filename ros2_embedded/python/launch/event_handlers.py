"""Event handlers: what happens when an action or the launch ends, or a process starts, writes or ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launch.event import Event
from launch.events import ExecutionComplete, Shutdown
from launch.events.process import ProcessExited, ProcessIO, ProcessStarted
from launch.utilities import as_list

__all__ = [
    "EventHandler",
    "OnExecutionComplete",
    "OnProcessExit",
    "OnProcessIO",
    "OnProcessStart",
    "OnShutdown",
]


class EventHandler:
    """Runs `entities` for each event that `matcher` accepts."""

    def __init__(
        self, *, matcher: Callable[[Event], bool], entities: Any = None, handle_once: bool = False
    ) -> None:
        self._matcher = matcher
        self.entities = entities
        self.handle_once = handle_once

    def matches(self, event: Event) -> bool:
        return self._matcher(event)

    def handle(self, event: Event, context) -> list:
        """The entities to visit; a callable in place of entities is called with (event, context)."""
        if self.handle_once:
            context.unregister_event_handler(self)
        return as_list(self.entities(event, context) if callable(self.entities) else self.entities)


class _OnAction(EventHandler):
    """Events of an action: the target, or those that a predicate of actions accepts, or with None all."""

    event_type: type[Event]

    def __init__(self, target_action: Any, entities: Any, **kwargs: Any) -> None:
        def matches(event: Event) -> bool:
            if not isinstance(event, self.event_type):
                return False
            action = event.action  # type: ignore[attr-defined]
            if target_action is None or action is target_action:
                return True
            return callable(target_action) and bool(target_action(action))

        super().__init__(matcher=matches, entities=entities, **kwargs)


class OnExecutionComplete(_OnAction):
    """When the target has nothing more to do: at once for most actions, at their end for processes and
    timers."""

    event_type = ExecutionComplete

    def __init__(self, *, target_action: Any = None, on_completion: Any, **kwargs: Any) -> None:
        super().__init__(target_action, on_completion, **kwargs)


class OnProcessStart(_OnAction):
    """When the target (an action, a predicate of actions, None for every process) has started."""

    event_type = ProcessStarted

    def __init__(self, *, target_action: Any = None, on_start: Any, **kwargs: Any) -> None:
        super().__init__(target_action, on_start, **kwargs)


class OnProcessExit(_OnAction):
    """When the target (an action, a predicate of actions, None for every process) has ended."""

    event_type = ProcessExited

    def __init__(self, *, target_action: Any = None, on_exit: Any, **kwargs: Any) -> None:
        super().__init__(target_action, on_exit, **kwargs)


class OnProcessIO(_OnAction):
    """When the target wrote something: `on_stdout(event)` and `on_stderr(event)`, event.text is bytes."""

    event_type = ProcessIO

    def __init__(
        self,
        *,
        target_action: Any = None,
        on_stdout: Callable | None = None,
        on_stderr: Callable | None = None,
        **kwargs: Any,
    ) -> None:
        def on_output(event: ProcessIO, context) -> Any:
            callback = on_stdout if event.from_stdout else on_stderr
            return callback(event) if callback else None

        super().__init__(target_action, on_output, **kwargs)


class OnShutdown(EventHandler):
    """When the launch begins to shut down."""

    def __init__(self, *, on_shutdown: Any, **kwargs: Any) -> None:
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown, **kwargs)
