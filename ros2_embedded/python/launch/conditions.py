"""Conditions of actions: `condition=IfCondition(LaunchConfiguration("rviz"))`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launch.utilities import to_bool, to_text


class Condition:
    """A predicate of the launch context."""

    def __init__(self, *, predicate: Callable[[Any], bool] | None = None) -> None:
        self._predicate = predicate

    def evaluate(self, context) -> bool:
        return self._predicate is None or self._predicate(context)


class IfCondition(Condition):
    """Holds if the expression is `true` or `1`; `false` and `0` are the other values it may have."""

    def __init__(self, predicate_expression: Any) -> None:
        super().__init__(predicate=lambda context: to_bool(context, predicate_expression))


class UnlessCondition(Condition):
    """Holds if the expression is `false` or `0`."""

    def __init__(self, predicate_expression: Any) -> None:
        super().__init__(predicate=lambda context: not to_bool(context, predicate_expression))


class LaunchConfigurationEquals(Condition):
    """Holds if the launch configuration has this value (None: does not exist)."""

    def __init__(self, launch_configuration_name: str, expected_value: Any) -> None:
        def equal(context) -> bool:
            value = context.launch_configurations.get(launch_configuration_name)
            return value == (None if expected_value is None else to_text(context, expected_value))

        super().__init__(predicate=equal)


class LaunchConfigurationNotEquals(LaunchConfigurationEquals):
    """Holds if the launch configuration has another value."""

    def evaluate(self, context) -> bool:
        return not super().evaluate(context)
