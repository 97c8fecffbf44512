"""safety_monitor: between what proposes commands and the arm; the only publisher of the arm's commands."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_msgs.msg import SafetyState
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger

from hilam_core.errors import HilamError
from hilam_core.files import state_folder
from hilam_core.runtime.safety import Command, LatchedStop, SafetyMonitor
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_ros.gripper import make_gripper
from hilam_ros.messages import ns_to_stamp, pose_message, twist_message
from hilam_ros.node import LATCHED, StackNode, run_node, safety_limits

ACKNOWLEDGE_S = 0.2  # how long the last command may take to arrive before the node is gone
# Without a rate of its own the monitor speaks up where no proposal has come for so many control periods.
PERIODS_TO_SPEAK = 1.5
BY_TOPIC = "topic"
# A stop must be heard whatever its publisher offers: a latched subscription needs a publisher that latches,
# a reliable one a reliable publisher. A message that comes twice stops once.
ANY_PUBLISHER = (
    LATCHED,
    QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE),
    QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT),
)


class SafetyMonitorNode(StackNode):
    """Limits `proposed_twist` and `proposed_gripper`, from whatever source, and publishes the arm's commands.

    It knows no policy and no task. In lockstep it answers every proposal, once the state that the proposal
    answers has come.
    """

    def __init__(self) -> None:
        super().__init__("safety_monitor")

    def configure(self) -> None:
        control_hz = self.parameter("control_hz", 20.0, "control steps a second of what proposes commands")
        self.command_hz = self.parameter("command_hz", 0.0, "commands a second; 0: one for each proposal")
        mode = self.parameter("command_mode", "twist", "twist, or pose for controllers that take goals")
        self.base_frame = self.parameter("base_frame", "world", "frame of the commands")
        self.poses = mode == "pose"
        rate_hz = 0.0 if self.lockstep else self.command_hz
        stop = LatchedStop(self.stop_file())
        limits = safety_limits(self)
        self.monitor = SafetyMonitor(limits, stop, control_hz, rate_hz, self.poses, clocked=not self.lockstep)
        self.counters = self.monitor.counters  # one account: what is limited shows on /diagnostics
        self.spoke_s = 0.0
        self.make_outputs()
        self.make_inputs()
        self.make_stop()
        if not self.lockstep:
            quiet_s = 0.0 if self.command_hz else PERIODS_TO_SPEAK / control_hz
            period_s = 1 / (self.command_hz or control_hz)
            self.create_steady_timer(period_s, lambda: self.speak(quiet_s))

    def stop_file(self) -> Path:
        """Where the latched stop lies: by default one for each ROS domain and namespace."""
        chosen = self.parameter("stop_file", "", "file that keeps the latched stop; empty: the user's own")
        arm = self.get_namespace().strip("/").replace("/", "_") or "arm"
        domain = os.environ.get("ROS_DOMAIN_ID") or "0"
        return Path(chosen) if chosen else state_folder(f"stop_{domain}_{arm}.json")

    def make_outputs(self) -> None:
        """The arm's command topics, which must be this node's alone."""
        twist_topic = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        pose_topic = self.parameter("pose_topic", "target_pose", "geometry_msgs/PoseStamped")
        kind, topic = (PoseStamped, pose_topic) if self.poses else (TwistStamped, twist_topic)
        self.claim(topic)
        self.motion = self.create_publisher(kind, topic, 10)
        self.require_readers(self.motion)
        self.gripper = make_gripper(self)
        self.state = self.create_publisher(SafetyState, "~/state", LATCHED)
        self.said = ("", "")

    def make_inputs(self) -> None:
        """What is proposed, and the arm's state."""
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        pose_topic = self.parameter("ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped")
        self.listen(Float64MultiArray, "proposed_gripper", self.on_gripper, 10, steady=False)
        self.listen(TwistStamped, "proposed_twist", self.on_twist, self.newest_or_all(), steady=False)
        self.listen(JointState, joints_topic, self.on_joints, self.sensor_qos(), "joint_states")
        self.listen(PoseStamped, pose_topic, self.on_pose, self.sensor_qos(), "ee_pose")

    def make_stop(self) -> None:
        """The stop: two services, and a topic that anyone may latch."""
        self.create_service(Trigger, "~/stop", self.on_stop)
        self.create_service(Trigger, "~/reset", self.on_reset)
        for qos in ANY_PUBLISHER:
            self.create_subscription(Bool, "emergency_stop", self.on_stop_topic, qos)
        self.create_steady_timer(0.1, self.watch)

    # What arrives

    def on_twist(self, msg: TwistStamped) -> None:
        """Take in a proposal; without a rate of its own, the monitor answers at once."""
        start_s = time.perf_counter()
        linear, angular = msg.twist.linear, msg.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        if msg.header.frame_id != self.base_frame:
            problem = f"is in frame '{msg.header.frame_id}', not in base_frame '{self.base_frame}'"
            self.monitor.refuse_proposal(problem)
        else:
            self.monitor.propose(twist, stamp_to_ns(msg.header.stamp), self.now_ns(), time.monotonic())
        if self.monitor.refused:
            self.refuse(self.monitor.refused)
        if self.lockstep:
            self.answer()
        elif not self.command_hz:
            self.send(self.monitor.step(self.now_ns(), time.monotonic()))
        self.stats.add(time.perf_counter() - start_s, self.seconds())

    def on_gripper(self, msg: Float64MultiArray) -> None:
        """Forward a proposed finger position within the gripper's range."""
        proposed_m = float(msg.data[0]) if len(msg.data) else float("nan")
        position_m = self.monitor.propose_gripper(proposed_m)
        if position_m is not None:
            self.gripper.send(position_m)
        elif not self.monitor.stop.reason:
            self.refuse(f"the proposed gripper position is not finite: {proposed_m}")

    def on_joints(self, msg: JointState) -> None:
        """Take in joint positions."""
        self.monitor.observe_joints(msg.name, msg.position, stamp_to_ns(msg.header.stamp), time.monotonic())
        self.answer()

    def on_pose(self, msg: PoseStamped) -> None:
        """Take in the measured pose."""
        if msg.header.frame_id not in ("", self.base_frame):
            frames = f"'{msg.header.frame_id}', the limits in base_frame '{self.base_frame}'"
            self.monitor.refuse_pose(f"the measured pose is in frame {frames}")
            self.refuse(f"the measured pose is in frame {frames}")
            return
        at, turned = msg.pose.position, msg.pose.orientation
        position, quat = np.array([at.x, at.y, at.z]), np.array([turned.x, turned.y, turned.z, turned.w])
        self.monitor.observe_pose(position, quat, stamp_to_ns(msg.header.stamp), time.monotonic())
        self.answer()

    # What goes out

    def answer(self) -> None:
        """Lockstep: answer a proposal once the state it answers is there."""
        if self.lockstep and self.monitor.ready():
            self.send(self.monitor.step(self.now_ns(), time.monotonic()))
            self.monitor.answered()

    def speak(self, quiet_s: float) -> None:
        """Send the next command by the clock, unless one was sent just now."""
        if self.active and time.monotonic() - self.spoke_s >= quiet_s:
            self.send(self.monitor.step(self.now_ns(), time.monotonic()))

    def send(self, command: Command | None) -> None:
        """Publish a command."""
        if command is None:
            return
        self.spoke_s = time.monotonic()
        stamp = ns_to_stamp(command.stamp_ns)
        if command.pose is None:
            self.motion.publish(twist_message(command.twist, stamp, self.base_frame))
            return
        position, quat = command.pose.position, command.pose.quat_xyzw
        self.motion.publish(pose_message(position, quat, stamp, self.base_frame))

    # The stop

    def on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """safety_monitor/stop"""
        self.monitor.stop.latch("stopped by service")
        self.watch()
        response.success, response.message = True, f"stopped: {self.monitor.stop.reason}"
        return response

    def on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """safety_monitor/reset"""
        try:
            reason = self.monitor.reset(self.now_ns(), time.monotonic())
            response.success, response.message = True, f"the stop is over, its reason was: {reason}"
            self.get_logger().info(response.message)
        except HilamError as error:
            response.success, response.message = False, str(error)
        self.watch()
        return response

    def on_stop_topic(self, msg: Bool) -> None:
        """emergency_stop: true stops; false only says that this cause is over."""
        topic = self.resolve_topic_name("emergency_stop")
        self.monitor.cause(BY_TOPIC, f"{topic} is true" if msg.data else "")
        self.watch()

    def watch(self) -> None:
        """Look for another source of commands, and say what has changed."""
        self.monitor.cause("rival", self.rival())
        stopped = self.monitor.stop.reason
        reason = stopped or self.monitor.holding
        state = SafetyState.STOPPED if stopped else SafetyState.HOLDING if reason else SafetyState.FOLLOWING
        what = (state, re.sub(r"[\d.]+", "", reason))  # the ages in a reason change all the time
        if what == self.said:
            return
        self.said = what
        if stopped:
            self.get_logger().error(f"stopped: {stopped}. {self.how_to_reset()}")
        msg = SafetyState(state=state, reason=reason)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.state.publish(msg)
        self.report()

    def how_to_reset(self) -> str:
        """The command that ends a stop."""
        name = self.resolve_service_name("~/reset")
        return f"When the cause is over: ros2 service call {name} std_srvs/srv/Trigger"

    # Health

    def waiting_for(self) -> list[str]:
        """What is lacking, a reset too."""
        stopped = self.monitor.stop.reason if self.active else ""
        lacking = [self.gripper.lacking()] if self.active else []
        reset = [f"a reset (stopped: {stopped}; {self.how_to_reset()})"] if stopped else []
        return [*reset, *super().waiting_for(), *filter(None, lacking)]

    def explain(self) -> str:
        """Why the arm holds, or which joint limits it."""
        return "" if self.lockstep else self.monitor.holding or self.monitor.joints.explain()

    def deactivate(self) -> None:
        """Stop the arm first: a velocity controller would continue the last command."""
        if self.lockstep:
            return
        self.monitor.let_go()
        deadline_s = time.monotonic() + 2 * self.monitor.limits.stop_time_s + self.monitor.period_s
        while not self.monitor.motion.at_rest and time.monotonic() < deadline_s:
            self.send(self.monitor.step(self.now_ns(), time.monotonic()))
            time.sleep(self.monitor.period_s)
        self.motion.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))

    def end(self) -> None:
        """Stop the arm before this node is gone."""
        if self.active:
            self.deactivate()


def main() -> None:
    run_node(SafetyMonitorNode)
