"""Actions: what a launch description is made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from launch import events
from launch.action import Action, TaskAction
from launch.event import Event
from launch.event_handlers import EventHandler
from launch.execute_process import ExecuteLocal, ExecuteProcess
from launch.launch_description import LaunchDescription, LaunchDescriptionEntity
from launch.launch_description_sources import LaunchDescriptionSource, PythonLaunchDescriptionSource
from launch.logging import get_logger
from launch.utilities import as_list, describe, normalize_to_list_of_substitutions, to_text

__all__ = [
    "Action",
    "AppendEnvironmentVariable",
    "DeclareLaunchArgument",
    "EmitEvent",
    "ExecuteLocal",
    "ExecuteProcess",
    "GroupAction",
    "IncludeLaunchDescription",
    "LogInfo",
    "OpaqueFunction",
    "PopEnvironment",
    "PopLaunchConfigurations",
    "PushEnvironment",
    "PushLaunchConfigurations",
    "RegisterEventHandler",
    "SetEnvironmentVariable",
    "SetLaunchConfiguration",
    "Shutdown",
    "TimerAction",
    "UnregisterEventHandler",
    "UnsetEnvironmentVariable",
    "UnsetLaunchConfiguration",
]


class DeclareLaunchArgument(Action):
    """An argument of the launch file: `name:=value` on the command line, or from an including launch file."""

    def __init__(
        self,
        name: str,
        *,
        default_value: Any = None,
        description: str | None = None,
        choices: Iterable[str] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name = name
        self.default_value = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )
        self.choices = None if choices is None else list(choices)
        self.description = description or "no description given"

    def execute(self, context) -> None:
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(
                    f"launch argument '{self.name}' is required and was not given ({self.description})"
                )
            context.launch_configurations[self.name] = to_text(context, self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(
                f"launch argument '{self.name}': '{value}' is not valid, choices: {', '.join(self.choices)}"
            )

    def declared_arguments(self) -> Iterator[DeclareLaunchArgument]:
        yield self

    def describe(self) -> str:
        """Name, description, choices and default as `--show-args` prints them."""
        text = f"    '{self.name}':\n        {self.description}"
        if self.choices is not None:
            text += f"{'' if text.endswith('.') else '.'} Valid choices are: {self.choices}"
        return text + (
            f"\n        (default: {describe(self.default_value)})" if self.default_value is not None else ""
        )


class OpaqueFunction(Action):
    """Calls `function(context, *args, **kwargs)` and visits the entities that it returns."""

    def __init__(
        self,
        *,
        function: Callable[..., Iterable[LaunchDescriptionEntity] | None],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self._call = function, tuple(args or ()), dict(kwargs or {})

    def execute(self, context) -> list:
        function, args, kwargs = self._call
        return as_list(function(context, *args, **kwargs))


class LogInfo(Action):
    """Prints a message."""

    def __init__(self, *, msg: Any, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.msg = normalize_to_list_of_substitutions(msg)

    def execute(self, context) -> None:
        get_logger("launch.user").info("%s", to_text(context, self.msg))


class _SetEntry(Action):
    """Sets or (value None) removes an entry of a mapping of the context."""

    mapping = ""

    def __init__(self, name: Any, value: Any = None, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.name, self.value = name, value

    def execute(self, context) -> None:
        mapping, name = getattr(context, self.mapping), to_text(context, self.name)
        if self.value is None:
            mapping.pop(name, None)
        else:
            mapping[name] = to_text(context, self.value)


class SetEnvironmentVariable(_SetEntry):
    """Sets a variable for the processes that are started after it."""

    mapping = "environment"

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(name, value, condition=condition)


class UnsetEnvironmentVariable(_SetEntry):
    """Removes a variable for the processes that are started after it."""

    mapping = "environment"

    def __init__(self, name: Any, *, condition: Any = None) -> None:
        super().__init__(name, condition=condition)


class AppendEnvironmentVariable(Action):
    """Appends to a list variable such as PATH, or with prepend puts the value first."""

    def __init__(
        self,
        name: Any,
        value: Any,
        prepend: Any = False,
        separator: str = os.pathsep,
        *,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name, self.value, self.prepend, self.separator = name, value, prepend, separator

    def execute(self, context) -> None:
        name, value = to_text(context, self.name), to_text(context, self.value)
        old = context.environment.get(name)
        first, last = (value, old) if str(self.prepend).lower() in ("true", "1") else (old, value)
        context.environment[name] = self.separator.join(part for part in (first, last) if part)


class SetLaunchConfiguration(_SetEntry):
    """Sets a launch configuration."""

    mapping = "launch_configurations"

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(name, value, condition=condition)


class UnsetLaunchConfiguration(_SetEntry):
    """Removes a launch configuration."""

    mapping = "launch_configurations"

    def __init__(self, name: Any, *, condition: Any = None) -> None:
        super().__init__(name, condition=condition)


class _Scope(Action):
    """Saves or restores parts of the context."""

    parts: tuple[str, ...] = ()
    restore = False

    def execute(self, context) -> None:
        (context.pop if self.restore else context.push)(*self.parts)


class PushLaunchConfigurations(_Scope):
    """Saves the launch configurations until the matching PopLaunchConfigurations."""

    parts = ("launch_configurations",)


class PopLaunchConfigurations(PushLaunchConfigurations):
    """Restores the launch configurations that were pushed last."""

    restore = True


class PushEnvironment(_Scope):
    """Saves the environment until the matching PopEnvironment."""

    parts = ("environment",)


class PopEnvironment(PushEnvironment):
    """Restores the environment that was pushed last."""

    restore = True


class _PushLocals(_Scope):
    parts = ("locals",)


class _PopLocals(_PushLocals):
    restore = True


class GroupAction(Action):
    """Actions that share a condition and, if scoped, keep configurations and environment to themselves."""

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: dict[str, Any] | None = None,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self._actions = list(actions)
        self._scoped, self._forwarding = scoped, forwarding
        self._configurations = launch_configurations or {}

    def execute(self, context) -> list:
        settings: list[Action] = [SetLaunchConfiguration(*item) for item in self._configurations.items()]
        if not self._scoped:
            return [*settings, *self._actions]
        if not self._forwarding:
            values = {name: to_text(context, value) for name, value in self._configurations.items()}
            settings = [OpaqueFunction(function=_replace_configurations, args=[values])]
        inside = [*settings, *self._actions]
        return [
            PushLaunchConfigurations(),
            PushEnvironment(),
            *inside,
            PopEnvironment(),
            PopLaunchConfigurations(),
        ]

    def sub_entities(self) -> list[Action]:
        return self._actions


def _replace_configurations(context, values: dict[str, str]) -> None:
    context.launch_configurations.clear()
    context.launch_configurations.update(values)


class IncludeLaunchDescription(Action):
    """Another launch file (a LaunchDescriptionSource, or its path) with arguments for it."""

    def __init__(
        self, launch_description_source: Any, *, launch_arguments: Iterable[tuple] = (), condition: Any = None
    ) -> None:
        super().__init__(condition=condition)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = PythonLaunchDescriptionSource(launch_description_source)
        self.launch_description_source = launch_description_source
        self.launch_arguments = list(launch_arguments or ())

    def execute(self, context) -> list:
        description = self.launch_description_source.get_launch_description(context)
        path = self.launch_description_source.path
        arguments = [SetLaunchConfiguration(name, value) for name, value in self.launch_arguments]
        enter = OpaqueFunction(
            function=lambda context: (
                context.extend_locals({"current_launch_file_path": path}) if path else None
            )
        )
        return [*arguments, _PushLocals(), enter, description, _PopLocals()]

    def sub_entities(self) -> list[LaunchDescriptionEntity]:
        from launch.launch_context import LaunchContext

        try:
            return [self.launch_description_source.get_launch_description(LaunchContext())]
        except Exception:  # a file whose path depends on arguments shows its own arguments only when launched
            return []


class RegisterEventHandler(Action):
    """Adds an event handler."""

    def __init__(self, event_handler: EventHandler, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.event_handler = event_handler

    def execute(self, context) -> None:
        context.register_event_handler(self.event_handler)


class UnregisterEventHandler(Action):
    """Removes an event handler."""

    def __init__(self, event_handler: EventHandler, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.event_handler = event_handler

    def execute(self, context) -> None:
        context.unregister_event_handler(self.event_handler)


class EmitEvent(Action):
    """Emits an event."""

    def __init__(self, *, event: Event, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.event = event

    def execute(self, context) -> None:
        context.emit_event_sync(self.event)


class Shutdown(EmitEvent):
    """Ends the launch: `Node(..., on_exit=Shutdown())`."""

    def __init__(self, *, reason: str = "reason not given", condition: Any = None) -> None:
        super().__init__(event=events.Shutdown(reason=reason), condition=condition)


class TimerAction(TaskAction):
    """Actions after `period` seconds of wall time, unless the launch shuts down before."""

    def __init__(
        self,
        *,
        period: Any,
        actions: Iterable[LaunchDescriptionEntity],
        cancel_on_shutdown: Any = True,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.period, self.actions, self.cancel_on_shutdown = period, list(actions), cancel_on_shutdown

    async def run(self, context) -> None:
        await self.wait(context, float(to_text(context, self.period)))
        context.emit_event_sync(events.IncludeLaunchDescription(LaunchDescription(self.actions)))

    async def wait(self, context, period_s: float) -> None:
        await asyncio.sleep(period_s)

    def sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.actions
