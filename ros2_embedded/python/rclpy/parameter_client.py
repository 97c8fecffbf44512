"""Parameters of another node."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from rclpy.callback_groups import CallbackGroup
from rclpy.parameter import Parameter, parameter_dict_from_yaml_file
from rclpy.qos import QoSProfile, qos_profile_parameter_events, qos_profile_services_default
from rclpy.task import Future

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.subscription import Subscription

DoneCallback = Callable[[Future], Any]


def _messages(parameters: Sequence[Parameter | ParameterMsg]) -> list[ParameterMsg]:
    return [p.to_parameter_msg() if isinstance(p, Parameter) else p for p in parameters]


class AsyncParameterClient:
    """Calls the parameter services of a node. Every method returns the future of the service's response, and
    takes a callback for when it is there."""

    def __init__(
        self,
        node: Node,
        remote_node_name: str,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        self.node, self.remote_node_name = node, remote_node_name
        self._list, self._get, self._types, self._describe, self._set, self._set_all = self._clients = [
            node.create_client(
                kind, f"{remote_node_name}/{name}", qos_profile=qos_profile, callback_group=callback_group
            )
            for kind, name in (
                (ListParameters, "list_parameters"),
                (GetParameters, "get_parameters"),
                (GetParameterTypes, "get_parameter_types"),
                (DescribeParameters, "describe_parameters"),
                (SetParameters, "set_parameters"),
                (SetParametersAtomically, "set_parameters_atomically"),
            )
        ]

    def services_are_ready(self) -> bool:
        return all(client.service_is_ready() for client in self._clients)

    def wait_for_services(self, timeout_sec: float | None = None) -> bool:
        """Waits for all services; whether they are there."""
        end = None if timeout_sec is None else time.monotonic() + timeout_sec
        left = timeout_sec
        for client in self._clients:
            if not client.wait_for_service(left):
                return False
            left = None if end is None else max(0.0, end - time.monotonic())
        return True

    @staticmethod
    def _call(client: Any, request: Any, callback: DoneCallback | None) -> Future:
        future = client.call_async(request)
        if callback:
            future.add_done_callback(callback)
        return future

    def list_parameters(
        self,
        prefixes: list[str] | None = None,
        depth: int | None = None,
        callback: DoneCallback | None = None,
    ) -> Future:
        """Names below `prefixes` (None: all), at most `depth` levels deep (None: all)."""
        return self._call(
            self._list, ListParameters.Request(prefixes=prefixes or [], depth=depth or 0), callback
        )

    def get_parameters(self, names: list[str], callback: DoneCallback | None = None) -> Future:
        return self._call(self._get, GetParameters.Request(names=names), callback)

    def get_parameter_types(self, names: list[str], callback: DoneCallback | None = None) -> Future:
        return self._call(self._types, GetParameterTypes.Request(names=names), callback)

    def describe_parameters(self, names: list[str], callback: DoneCallback | None = None) -> Future:
        return self._call(self._describe, DescribeParameters.Request(names=names), callback)

    def set_parameters(
        self, parameters: Sequence[Parameter | ParameterMsg], callback: DoneCallback | None = None
    ) -> Future:
        return self._call(self._set, SetParameters.Request(parameters=_messages(parameters)), callback)

    def set_parameters_atomically(
        self, parameters: Sequence[Parameter | ParameterMsg], callback: DoneCallback | None = None
    ) -> Future:
        request = SetParametersAtomically.Request(parameters=_messages(parameters))
        return self._call(self._set_all, request, callback)

    def delete_parameters(self, names: list[str], callback: DoneCallback | None = None) -> Future:
        """Unsets parameters; the node refuses for those that are not dynamically typed."""
        return self.set_parameters([Parameter(name) for name in names], callback)

    def load_parameter_file(
        self, parameter_file: str, use_wildcard: bool = False, callback: DoneCallback | None = None
    ) -> Future:
        """Sets, one by one, what a YAML file has."""
        found = parameter_dict_from_yaml_file(parameter_file, use_wildcard)
        return self.set_parameters(list(found.values()), callback)

    def load_parameter_file_atomically(
        self, parameter_file: str, use_wildcard: bool = False, callback: DoneCallback | None = None
    ) -> Future:
        """Sets all or none of what a YAML file has."""
        found = parameter_dict_from_yaml_file(parameter_file, use_wildcard)
        return self.set_parameters_atomically(list(found.values()), callback)

    def on_parameter_event(
        self,
        callback: Callable[[ParameterEvent], Any],
        qos_profile: QoSProfile = qos_profile_parameter_events,
        **options: Any,
    ) -> Subscription:
        """Subscribes to the parameter events of all nodes; options as of `Node.create_subscription`."""
        return self.node.create_subscription(
            ParameterEvent, "/parameter_events", callback, qos_profile, **options
        )
