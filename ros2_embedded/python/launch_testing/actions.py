"""Actions of launch tests."""

from __future__ import annotations

from launch.action import Action
from launch.event import Event

__all__ = ["ReadyToTest"]


class Ready(Event):
    """The tests may begin."""

    name = "launch_testing.Ready"


class ReadyToTest(Action):
    """The tests begin when the launch reaches it."""

    def execute(self, context) -> None:
        context.emit_event_sync(Ready())
