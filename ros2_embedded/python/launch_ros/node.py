"""The action that runs a node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from launch.actions import ExecuteProcess
from launch.utilities import to_text

from launch_ros.parameter_descriptions import parameter_arguments
from launch_ros.substitutions import ExecutableInPackage

# What SetParameter and the like leave for the nodes that follow
NAMESPACE = "ros_namespace"
PARAMETERS = "global_params"
REMAPS = "ros_remaps"


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
        name = None if self._node_name is None else to_text(context, self._node_name)
        if name is not None:
            arguments += ["-r", f"__node:={name}"]
        namespace = self._full_namespace(context)
        if namespace:
            arguments += ["-r", f"__ns:={namespace}"]
        common = [
            entry
            for owner, entry in context.launch_configurations.get(PARAMETERS, ())
            if owner in (None, name)
        ]
        arguments += parameter_arguments(context, [*common, *self._parameters])
        for source, target in [*context.launch_configurations.get(REMAPS, ()), *self._remappings]:
            arguments += ["-r", f"{to_text(context, source)}:={to_text(context, target)}"]
        return [*self.cmd, "--ros-args", *arguments] if arguments else self.cmd

    def _full_namespace(self, context) -> str:
        """The node's namespace below the pushed one, absolute; empty if neither is given."""
        own = "" if self._namespace is None else to_text(context, self._namespace)
        return join_namespaces(context.launch_configurations.get(NAMESPACE, ""), own)


def join_namespaces(base: str, namespace: str) -> str:
    """`namespace` below `base`; an absolute one replaces it."""
    if namespace.startswith("/"):
        return namespace
    parts = [part for part in (base.strip("/"), namespace.strip("/")) if part]
    return "/" + "/".join(parts) if parts else ""
