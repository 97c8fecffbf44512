"""The base class of actions."""

from __future__ import annotations

from typing import Any

from launch.launch_description import LaunchDescriptionEntity


class Action(LaunchDescriptionEntity):
    """Something that happens when the launch reaches it, if its condition holds."""

    def __init__(self, *, condition: Any = None) -> None:
        self.condition = condition

    def visit(self, context) -> list | None:
        if self.condition is None or self.condition.evaluate(context):
            return self.execute(context)
        return None

    def execute(self, context) -> list | None:
        """Does it, and returns entities to visit next."""
        raise NotImplementedError(f"{type(self).__name__}.execute")
