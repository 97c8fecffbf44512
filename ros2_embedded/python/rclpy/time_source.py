"""Makes a node's clock follow /clock while its parameter `use_sim_time` is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rcl_interfaces.msg import SetParametersResult

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time

if TYPE_CHECKING:
    from rosgraph_msgs.msg import Clock as ClockMsg

    from rclpy.node import Node
    from rclpy.subscription import Subscription

USE_SIM_TIME_NAME = "use_sim_time"
CLOCK_TOPIC = "/clock"


class TimeSource:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._subscription: Subscription | None = None
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._changed)
        self._follow(node.get_parameter(USE_SIM_TIME_NAME).value)

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        wrong = any(p.name == USE_SIM_TIME_NAME and p.type_ != Parameter.Type.BOOL for p in parameters)
        return SetParametersResult(
            successful=not wrong, reason=f"{USE_SIM_TIME_NAME} must be a bool" if wrong else ""
        )

    def _changed(self, parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name == USE_SIM_TIME_NAME:
                self._follow(parameter.value)

    def _follow(self, enabled: bool) -> None:
        from rosgraph_msgs.msg import Clock as ClockMsg

        self._node.get_clock()._set_ros_time_is_active(enabled)
        if enabled and self._subscription is None:
            qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
            group = MutuallyExclusiveCallbackGroup()
            self._subscription = self._node.create_subscription(
                ClockMsg, CLOCK_TOPIC, self._on_clock, qos, callback_group=group
            )
        elif not enabled and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _on_clock(self, message: ClockMsg) -> None:
        clock = self._node.get_clock()
        clock.set_ros_time_override(Time.from_msg(message.clock))
