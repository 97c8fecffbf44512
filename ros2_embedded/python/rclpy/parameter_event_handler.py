"""Callbacks for changes of parameters of any node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterEvent

from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile, qos_profile_parameter_events
from rclpy.qos_overriding_options import QoSOverridingOptions

if TYPE_CHECKING:
    from rclpy.node import Node


@dataclass(eq=False)
class ParameterCallbackHandle:
    """What `remove_parameter_callback` takes; the callback lives as long as it is not removed."""

    parameter_name: str
    node_name: str
    callback: Callable[[ParameterMsg], None]


@dataclass(eq=False)
class ParameterEventCallbackHandle:
    """What `remove_parameter_event_callback` takes."""

    callback: Callable[[ParameterEvent], None]


class ParameterEventHandler:
    """Listens to /parameter_events. The callback that was added last is called first."""

    def __init__(
        self,
        node: Node,
        qos_profile: QoSProfile = qos_profile_parameter_events,
        callback_group: CallbackGroup | None = None,
        event_callbacks: SubscriptionEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        raw: bool = False,
    ) -> None:
        self.node, self.qos_profile = node, qos_profile
        self._parameter_handles: list[ParameterCallbackHandle] = []
        self._event_handles: list[ParameterEventCallbackHandle] = []
        self._lock = threading.Lock()
        self.parameter_event_subscription = node.create_subscription(
            ParameterEvent,
            "/parameter_events",
            self._on_event,
            qos_profile,
            callback_group=callback_group,
            event_callbacks=event_callbacks,
            qos_overriding_options=qos_overriding_options,
            raw=raw,
        )

    def destroy(self) -> None:
        self.node.destroy_subscription(self.parameter_event_subscription)

    def _on_event(self, event: ParameterEvent) -> None:
        with self._lock:
            parameters, events = list(self._parameter_handles), list(self._event_handles)
        for handle in parameters:
            found = self.get_parameter_from_event(event, handle.parameter_name, handle.node_name)
            if found is not None:
                handle.callback(found)
        for everything in events:
            everything.callback(event)

    @staticmethod
    def get_parameter_from_event(
        event: ParameterEvent, parameter_name: str, node_name: str
    ) -> ParameterMsg | None:
        """The new or changed parameter of a node in an event, None if it is not there."""
        if event.node != node_name:
            return None
        found = ParameterEventHandler.get_parameters_from_event(event)
        return next((parameter for parameter in found if parameter.name == parameter_name), None)

    @staticmethod
    def get_parameters_from_event(event: ParameterEvent) -> Iterator[ParameterMsg]:
        """The new and changed parameters of an event."""
        both: Iterable[Iterable[ParameterMsg]] = (event.new_parameters, event.changed_parameters)
        return (parameter for parameters in both for parameter in parameters)

    def add_parameter_callback(
        self, parameter_name: str, node_name: str, callback: Callable[[ParameterMsg], None]
    ) -> ParameterCallbackHandle:
        """Calls back when the parameter of a node changes; a name without slash is in this node's namespace,
        an empty one means this node."""
        handle = ParameterCallbackHandle(parameter_name, self._full_name(node_name), callback)
        with self._lock:
            self._parameter_handles.insert(0, handle)
        return handle

    def remove_parameter_callback(self, handle: ParameterCallbackHandle) -> None:
        """RuntimeError if it was removed before."""
        self._remove(self._parameter_handles, handle)

    def add_parameter_event_callback(
        self, callback: Callable[[ParameterEvent], None]
    ) -> ParameterEventCallbackHandle:
        """Calls back with every event of every node."""
        handle = ParameterEventCallbackHandle(callback)
        with self._lock:
            self._event_handles.insert(0, handle)
        return handle

    def remove_parameter_event_callback(self, handle: ParameterEventCallbackHandle) -> None:
        """RuntimeError if it was removed before."""
        self._remove(self._event_handles, handle)

    def _remove(self, handles: list, handle: object) -> None:
        with self._lock:
            if handle not in handles:
                raise RuntimeError("this callback doesn't exist")
            handles.remove(handle)

    def _full_name(self, node_name: str) -> str:
        if not node_name:
            return self.node.get_fully_qualified_name()
        if node_name.startswith("/"):
            return node_name
        return f"{self.node.get_namespace().rstrip('/')}/{node_name}"
