"""The base classes of actions."""

from __future__ import annotations

import asyncio
from typing import Any

from launch.event_handlers import OnShutdown
from launch.events import ExecutionComplete
from launch.launch_description import LaunchDescriptionEntity


class Action(LaunchDescriptionEntity):
    """Something that happens when the launch reaches it, if its condition holds."""

    def __init__(self, *, condition: Any = None) -> None:
        self.condition = condition

    def visit(self, context) -> list | None:
        if self.condition is not None and not self.condition.evaluate(context):
            return None
        entities = self.execute(context)
        future = self.get_asyncio_future()
        if future is not None:
            future.add_done_callback(lambda _: self._completed(context))
        else:
            self._completed(context)
        return entities

    def _completed(self, context) -> None:
        event = ExecutionComplete(action=self)
        if context.would_handle_event(event):
            context.emit_event_sync(event)

    def execute(self, context) -> list | None:
        """Does it, and returns entities to visit next."""
        raise NotImplementedError(f"{type(self).__name__}.execute")


class TaskAction(Action):
    """An action that takes time in the launch's event loop, and is cancelled when the launch shuts down."""

    cancel_on_shutdown = True
    _task: asyncio.Task | None = None

    def execute(self, context) -> list | None:
        if not context.is_shutdown:
            self._task = context.asyncio_loop.create_task(self.run(context))
            if self.cancel_on_shutdown:
                context.register_event_handler(OnShutdown(on_shutdown=lambda event, context: self.cancel()))
        return None

    async def run(self, context) -> None:
        """Does it. What it raises ends the launch."""
        raise NotImplementedError(f"{type(self).__name__}.run")

    def cancel(self) -> None:
        if self._task:
            self._task.cancel()

    def get_asyncio_future(self) -> asyncio.Future | None:
        return self._task
