"""Events of a launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launch.event import Event
from launch.events import process


class Shutdown(Event):
    """Everything ends: processes are interrupted, then terminated, then killed."""

    name = "launch.events.Shutdown"

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


class IncludeLaunchDescription(Event):
    """The entities of a launch description are to be visited."""

    name = "launch.events.IncludeLaunchDescription"

    def __init__(self, launch_description: Any) -> None:
        self.launch_description = launch_description


class ExecutionComplete(Event):
    """An action has nothing more to do."""

    name = "launch.events.ExecutionComplete"

    def __init__(self, *, action: Any) -> None:
        self.action = action


def matches_action(target_action: Any) -> Callable[[Any], bool]:
    """A matcher for process events of this action."""
    return lambda action: action is target_action


__all__ = ["ExecutionComplete", "IncludeLaunchDescription", "Shutdown", "matches_action", "process"]
