"""Actions for nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launch.action import Action
from launch.actions import ExecuteProcess
from launch.utilities import to_text

from launch_ros.parameter_descriptions import evaluate_values, parameter_arguments
from launch_ros.substitutions import ExecutableInPackage

_NAMESPACE = "ros_namespace"
_PARAMETERS = "global_params"
_REMAPS = "ros_remaps"


class Node(ExecuteProcess):
    """Runs a node: a program of a package with name, namespace, parameters and remappings."""

    def __init__(
        self,
        *,
        executable: Any,
        package: Any = None,
        name: Any = None,
        namespace: Any = None,
        exec_name: Any = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[Any, Any]] | None = None,
        arguments: Iterable[Any] | None = None,
        ros_arguments: Iterable[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        program = executable if package is None else ExecutableInPackage(executable, package)
        super().__init__(cmd=[program, *(arguments or ())], name=exec_name, **kwargs)
        if isinstance(parameters, (str, dict)):
            raise TypeError("Node: parameters must be a list of dictionaries and paths of YAML files")
        self._node_name, self._namespace = name, namespace
        self._parameters, self._remappings = list(parameters or ()), list(remappings or ())
        self._ros_arguments = list(ros_arguments or ())

    def command(self, context) -> list[Any]:
        arguments: list[Any] = list(self._ros_arguments)
        if self._node_name is not None:
            arguments += ["-r", f"__node:={to_text(context, self._node_name)}"]
        namespace = self._full_namespace(context)
        if namespace:
            arguments += ["-r", f"__ns:={namespace}"]
        global_parameters = context.launch_configurations.get(_PARAMETERS, {})
        parameters = [global_parameters, *self._parameters] if global_parameters else self._parameters
        arguments += parameter_arguments(context, parameters)
        for source, target in [*context.launch_configurations.get(_REMAPS, ()), *self._remappings]:
            arguments += ["-r", f"{to_text(context, source)}:={to_text(context, target)}"]
        return [*self.cmd, "--ros-args", *arguments] if arguments else self.cmd

    def _full_namespace(self, context) -> str:
        """The node's namespace below the pushed one, absolute; empty if neither is given."""
        own = "" if self._namespace is None else to_text(context, self._namespace)
        return _join(context.launch_configurations.get(_NAMESPACE, ""), own)


class PushRosNamespace(Action):
    """Puts the nodes that follow (in this group) below a namespace."""

    def __init__(self, namespace: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.namespace = namespace

    def execute(self, context) -> None:
        pushed = context.launch_configurations.get(_NAMESPACE, "")
        context.launch_configurations[_NAMESPACE] = _join(pushed, to_text(context, self.namespace))


PushROSNamespace = PushRosNamespace


class SetParameter(Action):
    """A parameter for all nodes that follow (in this group)."""

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.name, self.value = name, value

    def execute(self, context) -> None:
        known = context.launch_configurations.get(_PARAMETERS, {})
        context.launch_configurations[_PARAMETERS] = known | evaluate_values(context, {self.name: self.value})


class SetUseSimTime(SetParameter):
    """use_sim_time for all nodes that follow (in this group)."""

    def __init__(self, value: Any, *, condition: Any = None) -> None:
        super().__init__("use_sim_time", value, condition=condition)


class SetRemap(Action):
    """A remapping for all nodes that follow (in this group)."""

    def __init__(self, src: Any, dst: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.src, self.dst = src, dst

    def execute(self, context) -> None:
        known = context.launch_configurations.get(_REMAPS, ())
        rule = to_text(context, self.src), to_text(context, self.dst)
        context.launch_configurations[_REMAPS] = (*known, rule)


def _join(base: str, namespace: str) -> str:
    """`namespace` below `base`; an absolute one replaces it."""
    if namespace.startswith("/"):
        return namespace
    parts = [part for part in (base.strip("/"), namespace.strip("/")) if part]
    return "/" + "/".join(parts) if parts else ""
