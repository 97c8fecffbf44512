"""An arm behind safety_monitor, and what proposes its commands; one thing after another goes wrong.

Prints a line for each phase: what was seen, and after which time the arm was told to stand still. Between the
phases "killed" and "restarted" the test kills the monitor and starts another one.
"""

import sys
import time

import numpy as np
import rclpy
from control_msgs.action import GripperCommand
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_msgs.msg import SafetyState
from hilam_ros.messages import twist_message
from rclpy.action import ActionServer
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger

FRAME, TOPIC = "fr3_link0", "servo_node/delta_twist_cmds"
JOINTS = [f"fr3_joint{number}" for number in range(1, 8)]
SOUND_RAD = [0.0, -0.16, 0.0, -2.4, 0.0, 2.2, 0.8]
START_M = np.array([0.5, 0.0, 0.3])
LIMIT_S = 60.0  # for anything to happen
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class MonitoredArm(Node):
    def __init__(self) -> None:
        super().__init__("monitored_arm")
        self.poses = self.create_publisher(
            PoseStamped, "franka_robot_state_broadcaster/current_pose", BEST_EFFORT
        )
        self.joints = self.create_publisher(JointState, "joint_states", BEST_EFFORT)
        self.proposals = self.create_publisher(TwistStamped, "proposed_twist", 10)
        self.fingers = self.create_publisher(Float64MultiArray, "proposed_gripper", 10)
        self.gripper_m = 0.0
        self.gripper = ActionServer(self, GripperCommand, "franka_gripper/gripper_action", self.on_gripper)
        self.buttons = {
            name: self.create_publisher(Bool, "emergency_stop", qos)
            for name, qos in {"latched": LATCHED, "plain": 10, "best effort": BEST_EFFORT}.items()
        }
        self.create_subscription(TwistStamped, TOPIC, self.on_command, 10)
        self.create_subscription(SafetyState, "safety_monitor/state", self.on_state, LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        self.triggers = {n: self.create_client(Trigger, f"safety_monitor/{n}") for n in ("stop", "reset")}
        self.position, self.twist, self.commanded_s = START_M.copy(), np.zeros(6), time.monotonic()
        self.proposal = np.zeros(6)
        self.reports, self.proposes, self.positions_rad = True, True, SOUND_RAD
        self.state, self.health, self.commands = SafetyState(), "", []
        self.create_timer(0.01, self.report)
        self.create_timer(0.05, self.propose)

    def report(self) -> None:
        if not self.reports:
            return
        stamp = self.get_clock().now().to_msg()
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = stamp, FRAME
        pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = map(float, self.position)
        pose.pose.orientation.x, pose.pose.orientation.w = 1.0, 0.0
        self.poses.publish(pose)
        joints = JointState(name=JOINTS, position=self.positions_rad)
        joints.header.stamp = stamp
        self.joints.publish(joints)

    def propose(self) -> None:
        if self.proposes:
            self.proposals.publish(twist_message(self.proposal, self.get_clock().now().to_msg(), FRAME))

    def on_gripper(self, goal) -> GripperCommand.Result:
        self.gripper_m = goal.request.command.position
        goal.succeed()
        return GripperCommand.Result(position=self.gripper_m)

    def on_command(self, msg: TwistStamped) -> None:
        now_s = time.monotonic()
        self.position += self.twist[:3] * min(now_s - self.commanded_s, 0.1)
        linear, angular = msg.twist.linear, msg.twist.angular
        self.twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        self.commanded_s = now_s
        self.commands.append(self.twist)

    def on_state(self, msg: SafetyState) -> None:
        self.state = msg

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        if msg.status[0].name == "safety_monitor":
            self.health = msg.status[0].message

    # What the phases are made of

    def until(self, condition, what: str) -> float:
        """Seconds until the condition holds."""
        began_s = time.monotonic()
        while not condition():
            if time.monotonic() - began_s > LIMIT_S:
                sys.exit(f"{what} did not come: {self.state.state} '{self.state.reason}', '{self.health}'")
            rclpy.spin_once(self, timeout_sec=0.01)
        return time.monotonic() - began_s

    def moves(self) -> bool:
        return abs(self.twist[1]) > 0.02

    def go(self) -> None:
        """Move to and fro sideways, for ever."""
        self.proposal = np.array([0.0, -0.1 if self.position[1] > 0 else 0.1, 0, 0, 0, 0])
        self.until(self.moves, "motion")

    def expect_stop(self, phase: str, reason: str, state: str) -> None:
        still_s = self.until(lambda: not self.twist.any(), f"{phase}: standstill")
        self.until(lambda: reason in self.state.reason and self.state.state == state, f"{phase}: '{reason}'")
        self.until(lambda: reason in self.health, f"{phase}: '{reason}' on /diagnostics")
        print(f"{phase}: {state} after {still_s:.2f} s: {self.state.reason}", flush=True)

    def call(self, service: str) -> Trigger.Response:
        client = self.triggers[service]
        self.until(client.service_is_ready, service)
        future = client.call_async(Trigger.Request())
        self.until(future.done, f"{service}'s answer")
        return future.result()

    def expect_reset(self, phase: str) -> None:
        answer = Trigger.Response()

        def reset() -> bool:  # the monitor may not have seen yet that the cause is over
            nonlocal answer
            answer = self.call("reset")
            return answer.success

        self.until(reset, f"{phase}: a reset")
        print(f"{phase}: reset done: {answer.message}", flush=True)
        self.go()

    def expect_refusal(self, phase: str) -> None:
        answer = self.call("reset")
        assert not answer.success, answer.message
        print(f"{phase}: reset refused: {answer.message}", flush=True)


def main() -> int:
    rclpy.init()
    arm = MonitoredArm()
    arm.go()

    arm.fingers.publish(Float64MultiArray(data=[1.0]))
    arm.until(lambda: arm.gripper_m > 0, "the gripper's goal")
    print(f"gripper: {arm.gripper_m:.3f} m of 1 m", flush=True)

    arm.commands.clear()
    arm.proposal = np.array([0.0, 0.0, 5.0, 0, 0, 0])
    arm.until(lambda: arm.position[2] > 0.6 and not arm.twist[:3].any(), "the top of the workspace")
    speeds = np.linalg.norm(np.array(arm.commands)[:, :3], axis=1)
    print(f"limits: at most {speeds.max():.3f} m/s, up to z = {arm.position[2]:.2f} m", flush=True)
    arm.proposal = np.array([0.0, 0.0, -0.2, 0, 0, 0])
    arm.until(lambda: arm.position[2] < 0.5, "the way back")
    arm.go()

    arm.proposes = False
    arm.expect_stop("silence", "the last proposed command is", SafetyState.HOLDING)
    arm.proposes = True
    arm.go()

    arm.proposal[0] = np.nan
    arm.expect_stop("not finite", "the proposed command is not finite", SafetyState.HOLDING)
    arm.go()

    arm.call("stop")
    arm.expect_stop("service", "stopped by service", SafetyState.STOPPED)
    arm.expect_reset("service")

    for name, button in arm.buttons.items():
        button.publish(Bool(data=True))
        arm.expect_stop(f"{name} topic", "/emergency_stop is true", SafetyState.STOPPED)
        arm.expect_refusal(f"{name} topic")
        button.publish(Bool(data=False))
        arm.expect_reset(f"{name} topic")

    arm.reports = False
    arm.expect_stop("no state", "the arm's pose is", SafetyState.STOPPED)
    arm.expect_refusal("no state")
    arm.reports = True
    arm.expect_reset("no state")

    arm.positions_rad = [np.nan, *SOUND_RAD[1:]]
    arm.expect_stop("joints", "the position of fr3_joint1 is not finite", SafetyState.STOPPED)
    arm.positions_rad = SOUND_RAD
    arm.expect_reset("joints")

    rival = arm.create_publisher(TwistStamped, TOPIC, 10)
    arm.expect_stop("rival", f"another node publishes /{TOPIC}", SafetyState.STOPPED)
    arm.expect_refusal("rival")
    arm.destroy_publisher(rival)
    arm.expect_reset("rival")

    arm.call("stop")
    arm.expect_stop("before the restart", "stopped by service", SafetyState.STOPPED)
    arm.state = SafetyState()
    print("killed: now", flush=True)
    arm.until(lambda: arm.state.state == SafetyState.STOPPED, "the new monitor")
    print(f"restarted: {arm.state.state}: {arm.state.reason}", flush=True)
    assert not arm.twist.any()
    arm.expect_reset("restarted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
