"""Where the clocks of a node have their time from: the system, or /clock when `use_sim_time` is set."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import SetParametersResult

from rclpy.clock import ROSClock
from rclpy.clock_type import ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

if TYPE_CHECKING:
    from rosgraph_msgs.msg import Clock as ClockMsg

    from rclpy.node import Node
    from rclpy.subscription import Subscription

CLOCK_TOPIC = "/clock"
USE_SIM_TIME_NAME = "use_sim_time"


class TimeSource:
    """Moves the attached clocks by the /clock topic that the attached node hears."""

    def __init__(self, *, node: Node | None = None) -> None:
        self._clocks: list[ROSClock] = []
        self._last = Time(clock_type=ClockType.ROS_TIME)  # what a clock that is attached later shows
        self._active = False
        self._node: Any = lambda: None
        self._subscription: Subscription | None = None
        if node is not None:
            self.attach_node(node)

    @property
    def ros_time_is_active(self) -> bool:
        return self._active

    @ros_time_is_active.setter
    def ros_time_is_active(self, enabled: bool) -> None:
        if enabled == self._active:
            return
        self._active = enabled
        for clock in self._clocks:
            clock._set_ros_time_is_active(enabled)
        if enabled:
            self._subscribe()
        else:
            self._unsubscribe()

    def _subscribe(self) -> None:
        from rosgraph_msgs.msg import Clock as ClockMsg

        node = self._node()
        if node is not None and self._subscription is None:
            qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            self._subscription = node.create_subscription(ClockMsg, CLOCK_TOPIC, self.clock_callback, qos)

    def _unsubscribe(self) -> None:
        node = self._node()
        if node is not None and self._subscription is not None:
            node.destroy_subscription(self._subscription)
        self._subscription = None

    def attach_node(self, node: Node) -> None:
        """Follows the node's parameter `use_sim_time`, and its /clock."""
        if not hasattr(node, "create_subscription"):  # rclpy.node imports this module
            raise TypeError(f"Node must be of type rclpy.node.Node, not {node!r}")
        self.detach_node()
        self._node = weakref.ref(node)
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._changed)
        self._changed([node.get_parameter(USE_SIM_TIME_NAME)])

    def detach_node(self) -> None:
        self._unsubscribe()
        self._node = lambda: None

    def attach_clock(self, clock: ROSClock) -> None:
        if not isinstance(clock, ROSClock):
            raise ValueError(f"Only clocks with type ROS_TIME can be attached, not {clock!r}")
        clock.set_ros_time_override(self._last)
        clock._set_ros_time_is_active(self._active)
        self._clocks.append(clock)

    def clock_callback(self, msg: ClockMsg) -> None:
        self._last = Time.from_msg(msg.clock)
        for clock in self._clocks:
            clock.set_ros_time_override(self._last)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        wrong = any(p.name == USE_SIM_TIME_NAME and p.type_ != Parameter.Type.BOOL for p in parameters)
        reason = f"{USE_SIM_TIME_NAME} parameter set to something besides a bool" if wrong else ""
        return SetParametersResult(successful=not wrong, reason=reason)

    def _changed(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name == USE_SIM_TIME_NAME and parameter.type_ == Parameter.Type.BOOL:
                self.ros_time_is_active = parameter.value
