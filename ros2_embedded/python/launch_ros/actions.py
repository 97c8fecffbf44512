"""Actions for nodes."""

from __future__ import annotations

from typing import Any

from launch.action import Action
from launch.utilities import to_text

from launch_ros.lifecycle_node import LifecycleNode, LifecycleTransition
from launch_ros.node import NAMESPACE, PARAMETERS, REMAPS, Node, join_namespaces
from launch_ros.parameter_descriptions import ParameterFile, evaluate_values
from launch_ros.ros_timer import RosTimer

__all__ = [
    "LifecycleNode",
    "LifecycleTransition",
    "Node",
    "PushROSNamespace",
    "PushRosNamespace",
    "ROSTimer",
    "RosTimer",
    "SetParameter",
    "SetParametersFromFile",
    "SetRemap",
    "SetUseSimTime",
]


class PushRosNamespace(Action):
    """Puts the nodes that follow (in this group) below a namespace."""

    def __init__(self, namespace: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.namespace = namespace

    def execute(self, context) -> None:
        pushed = context.launch_configurations.get(NAMESPACE, "")
        context.launch_configurations[NAMESPACE] = join_namespaces(pushed, to_text(context, self.namespace))


PushROSNamespace = PushRosNamespace
ROSTimer = RosTimer


class SetParameter(Action):
    """A parameter for all nodes that follow (in this group)."""

    def __init__(self, name: Any, value: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.name, self.value = name, value

    def execute(self, context) -> None:
        _append(context, PARAMETERS, (None, evaluate_values(context, {self.name: self.value})))


class SetUseSimTime(SetParameter):
    """use_sim_time for all nodes that follow (in this group)."""

    def __init__(self, value: Any, *, condition: Any = None) -> None:
        super().__init__("use_sim_time", value, condition=condition)


class SetParametersFromFile(Action):
    """A YAML file of parameters for all nodes that follow (in this group), or those of one name."""

    def __init__(self, filename: Any, node_name: Any = None, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.filename, self.node_name = filename, node_name

    def execute(self, context) -> None:
        path = ParameterFile(self.filename).evaluate(context)
        name = None if self.node_name is None else to_text(context, self.node_name)
        _append(context, PARAMETERS, (name, ParameterFile(path)))


class SetRemap(Action):
    """A remapping for all nodes that follow (in this group)."""

    def __init__(self, src: Any, dst: Any, *, condition: Any = None) -> None:
        super().__init__(condition=condition)
        self.src, self.dst = src, dst

    def execute(self, context) -> None:
        _append(context, REMAPS, (to_text(context, self.src), to_text(context, self.dst)))


def _append(context, name: str, entry: Any) -> None:
    context.launch_configurations[name] = (*context.launch_configurations.get(name, ()), entry)
