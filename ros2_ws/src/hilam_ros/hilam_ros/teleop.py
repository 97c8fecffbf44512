"""teleop: a joystick, or keys of an operator's window, drive the arm through safety_monitor."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from hilam_msgs.msg import TeleopKeys, TeleopState
from sensor_msgs.msg import Joy
from std_msgs.msg import Float64MultiArray

from hilam_core.runtime.teleop import Teleop, TeleopSettings
from hilam_ros.messages import twist_message
from hilam_ros.node import LATCHED, StackNode, command_scale, run_node

DESCRIBE = {
    "joy_axes": "axes of the joystick for x y z and turns about x y z; -1: none",
    "joy_signs": "their signs",
    "joy_deadman_button": "held down while the joystick drives",
    "joy_gripper_button": "opens or closes the gripper",
    "teleop_linear_m_s": "speed of a stick pushed all the way, and of a key",
    "teleop_angular_rad_s": "the same for turns",
}


class TeleopNode(StackNode):
    """Publishes `proposed_twist` and `proposed_gripper` while a person drives, and `~/state` at each change.

    The executor publishes the same topics and proposes nothing meanwhile.
    """

    def __init__(self) -> None:
        super().__init__("teleop")

    def configure(self) -> None:
        default = asdict(TeleopSettings())
        as_list = {name: list(v) if isinstance(v, tuple) else v for name, v in default.items()}
        found = {name: self.parameter(name, value, DESCRIBE[name]) for name, value in as_list.items()}
        settings = {name: tuple(v) if isinstance(default[name], tuple) else v for name, v in found.items()}
        self.teleop = Teleop(TeleopSettings(**settings))
        self.scale = command_scale(self)
        self.base_frame = self.parameter("base_frame", "world", "frame of the commands")
        joy_topic = self.parameter("joy_topic", "joy", "sensor_msgs/Joy")
        self.gripper_m = self.scale.gripper_open_m
        self.driving = ""

        self.motion = self.create_publisher(TwistStamped, "proposed_twist", 10)
        self.gripper = self.create_publisher(Float64MultiArray, "proposed_gripper", 10)
        self.state = self.create_publisher(TeleopState, "~/state", LATCHED)
        self.require_readers(self.motion, self.gripper)
        # Neither topic is there all the time, nor needed: the one or the other drives.
        self.create_subscription(Joy, joy_topic, self.on_joystick, 10)
        self.create_subscription(TeleopKeys, "teleop_keys", self.on_keys, 10)
        self.create_subscription(Float64MultiArray, "proposed_gripper", self.on_gripper, 10)
        self.create_steady_timer(1 / self.scale.control_hz, self.propose)

    def activate(self) -> None:
        self.say("")

    def on_joystick(self, msg: Joy) -> None:
        """Take in the joystick's state."""
        self.teleop.joystick(msg.axes, msg.buttons, time.monotonic())
        if self.teleop.problem:
            self.note_problem(self.teleop.problem)

    def on_keys(self, msg: TeleopKeys) -> None:
        """Take in the keys that are down."""
        self.teleop.keys(msg.pressed, time.monotonic())

    def on_gripper(self, msg: Float64MultiArray) -> None:
        """Where the gripper was told to go last, by whomever: a person who takes over begins there."""
        if len(msg.data):
            self.gripper_m = float(msg.data[0])

    def propose(self) -> None:
        """Propose what the person wants; standstill once when they let go."""
        now_s = time.monotonic()
        source = self.teleop.source(now_s) if self.active else ""
        toggled = self.teleop.toggled()
        if source != self.driving and source:
            self.say(source)  # before the first proposal: the executor must not speak at the same time
        if source and toggled:  # before the motion, which completes the pair
            self.gripper_m = self.other_end()
            self.gripper.publish(Float64MultiArray(data=[self.gripper_m]))
        if source or self.driving:
            stamp = self.get_clock().now().to_msg()
            self.motion.publish(twist_message(self.teleop.twist(now_s), stamp, self.base_frame))
        if source != self.driving and not source:
            self.say("")
        self.driving = source

    def other_end(self) -> float:
        """The end of the gripper's way that it is further from."""
        ends = (self.scale.gripper_open_m, self.scale.gripper_closed_m)
        return max(ends, key=lambda end: abs(end - self.gripper_m))

    def say(self, source: str) -> None:
        """Publish who drives."""
        msg = TeleopState(active=bool(source), source=source)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.state.publish(msg)
        self.get_logger().info(f"driven by hand: {source}" if source else "nobody drives by hand")

    def deactivate(self) -> None:
        """The arm is told to stand still, and the executor that it may go on."""
        self.let_go()

    def let_go(self) -> None:
        """Nobody drives any more."""
        if getattr(self, "driving", ""):
            stamp: Any = self.get_clock().now().to_msg()
            self.motion.publish(twist_message(np.zeros(6), stamp, self.base_frame))
            self.say("")
            self.driving = ""

    def end(self) -> None:
        self.let_go()


def main() -> None:
    run_node(TeleopNode)
