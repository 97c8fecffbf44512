"""How an arm's gripper is told a position: a topic, or one of the two gripper actions."""

from __future__ import annotations

from control_msgs.action import GripperCommand, ParallelGripperCommand
from rclpy.action import ActionClient
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from hilam_ros.node import StackNode

# A goal is work for an action server: half a millimetre is no new one.
NEW_GOAL_M = 0.0005
ACTIONS = {"gripper_command": GripperCommand, "parallel_gripper_command": ParallelGripperCommand}


class TopicGripper:
    """A forward command controller: std_msgs/Float64MultiArray with one position."""

    def __init__(self, node: StackNode, topic: str):
        node.claim(topic)
        self.publisher = node.create_publisher(Float64MultiArray, topic, 10)
        node.require_readers(self.publisher)

    def send(self, position_m: float) -> None:
        """Command a finger position."""
        self.publisher.publish(Float64MultiArray(data=[position_m]))

    def lacking(self) -> str:
        """What is missing before it can be commanded; a missing subscriber the node reports itself."""
        return ""


class ActionGripper:
    """A gripper action server: a goal for each new position, which replaces the one before."""

    def __init__(self, node: StackNode, kind: str, name: str, joint: str, effort_n: float):
        self.kind, self.name, self.joint, self.effort_n = ACTIONS[kind], name, joint, effort_n
        self.client = ActionClient(node, self.kind, name)
        self.sent_m: float | None = None

    def send(self, position_m: float) -> None:
        """Command a finger position."""
        known = self.sent_m is not None and abs(position_m - self.sent_m) < NEW_GOAL_M
        if known or not self.client.server_is_ready():
            return
        self.sent_m = position_m
        self.client.send_goal_async(self.goal(position_m))

    def goal(self, position_m: float) -> GripperCommand.Goal | ParallelGripperCommand.Goal:
        """The goal of this server's type."""
        goal = self.kind.Goal()
        if self.kind is GripperCommand:
            goal.command.position, goal.command.max_effort = position_m, self.effort_n
        else:
            goal.command = JointState(name=[self.joint], position=[position_m], effort=[self.effort_n])
        return goal

    def lacking(self) -> str:
        """What is missing before it can be commanded."""
        return "" if self.client.server_is_ready() else f"the action server {self.name}"


def make_gripper(node: StackNode) -> TopicGripper | ActionGripper:
    """The arm's gripper, from parameters."""
    kind = node.parameter("gripper_interface", "topic", f"topic, {' or '.join(ACTIONS)}")
    topic = node.parameter("gripper_topic", "gripper_controller/commands", "std_msgs/Float64MultiArray")
    action = node.parameter("gripper_action", "gripper_controller/gripper_cmd", "name of the gripper action")
    effort_n = node.parameter("gripper_effort_n", 20.0, "largest force of a gripper action")
    joint = node.parameter("finger_joints", ["panda_finger_joint1", "panda_finger_joint2"], "joint names")[0]
    return (
        TopicGripper(node, topic) if kind == "topic" else ActionGripper(node, kind, action, joint, effort_n)
    )
