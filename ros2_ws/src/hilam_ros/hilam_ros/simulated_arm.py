"""simulated_arm: the drivers of a real arm, its gripper and its cameras, with a LIBERO scene as their world.

It has the topics, types, frames and gripper of the profile, and behaves as such drivers do: state best effort
at 100 Hz, cameras free-running at 30 Hz, twists forgotten after a time, and a reflex: a discontinuous command
stops the arm until the reflex is cleared. It knows no episodes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.action import ActionServer
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, Header
from std_srvs.srv import Trigger

from hilam_core.runtime.stamps import stamp_problem, stamp_to_ns
from hilam_ros.gripper import ACTIONS
from hilam_ros.messages import image_message, pose_message
from hilam_ros.node import LATCHED, StackNode, camera_topics, command_scale, run_node
from hilam_sim import LiberoEnv
from hilam_sim.driven import SERVO_STIFFNESS, STIFFNESS, DrivenArm, Reflexes

TICK_S = 0.01  # the state comes at 100 Hz
MOST_TICKS = 5  # at once, after a delay: beyond that the world is slower than the clock
FINGER_TICKS = 3  # a gripper's own driver reports more rarely than the arm's
# A real driver reads a thousand times a second and misses none; this one may wait for a busy processor.
EVERY_COMMAND = 200
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class SimulatedArm(StackNode):
    """Publishes cameras, joints and pose without pause; follows goal poses or twists, and a gripper."""

    def __init__(self) -> None:
        super().__init__("simulated_arm")
        self.env: LiberoEnv | None = None

    def configure(self) -> None:
        self.camera_topics = camera_topics(self)
        self.scale = command_scale(self)
        self.poses = self.parameter("command_mode", "twist", "twist or pose") == "pose"
        self.base_frame = self.parameter("base_frame", "world", "frame of poses and commands")
        self.offset_m = np.array(self.parameter("pose_offset_m", [0.0] * 3, "the base in the world's frame"))
        self.finger_signs = np.array(
            self.parameter("finger_signs", [1.0, -1.0], "the simulation's finger positions over the arm's")
        )
        self.timeout_s = self.parameter("command_timeout_s", 0.1, "older twists are dropped; MoveIt Servo's")
        self.make_world()
        self.make_state_topics()
        self.make_command_topics()
        self.noise = np.random.default_rng()  # a sensor never gives the same picture twice
        self.reflex = ""  # why the arm stopped and does not move; empty: it does
        self.commanded_ns: int | None = None  # when the last twist came
        self.reflexes = Reflexes(*self.arm.pose())
        self.ticks = 0
        self.ticked_s = time.monotonic()
        self.create_service(Trigger, "~/clear_reflex", self.on_clear_reflex)
        self.create_steady_timer(TICK_S, self.tick)
        camera_hz = self.parameter("camera_hz", 30.0, "images a second of each camera")
        for camera in self.camera_topics:
            self.create_steady_timer(1 / camera_hz, lambda camera=camera: self.look(camera))

    def make_world(self) -> None:
        """The scene at the chosen initial state."""
        suite = self.parameter("suite", "libero_object", "LIBERO suite")
        task = self.parameter("task", "0", "index or name of the task")
        index = self.parameter("init_state", 0, "index of the stored initial state")
        size = self.parameter("image_size", 128, "side of the camera images [px]")
        assets = self.parameter("assets", "auto", "auto, builtin or official")
        self.env = LiberoEnv(suite, task, size, assets or "auto")
        self.env.reset(options={"placement": "stored", "init_state": index})
        self.arm = DrivenArm(self.env, STIFFNESS if self.poses else SERVO_STIFFNESS)

    def make_state_topics(self) -> None:
        """What the drivers publish."""
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        pose_topic = self.parameter("ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped")
        self.arm_joints = self.parameter("arm_joints", ["none"], "joint names")
        self.finger_joints = self.parameter("finger_joints", ["left", "right"], "joint names")
        self.claim(*self.camera_topics.values(), joints_topic, pose_topic)
        self.joints = self.create_publisher(JointState, joints_topic, BEST_EFFORT)
        self.pose = self.create_publisher(PoseStamped, pose_topic, BEST_EFFORT)
        self.images = {
            name: self.create_publisher(Image, topic, BEST_EFFORT)
            for name, topic in self.camera_topics.items()
        }
        self.done_topic = self.create_publisher(Bool, "~/success", LATCHED)
        self.succeeded = False

    def make_command_topics(self) -> None:
        """What the drivers follow."""
        twist_topic = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        pose_topic = self.parameter("pose_topic", "target_pose", "geometry_msgs/PoseStamped")
        if self.poses:
            self.create_subscription(PoseStamped, pose_topic, self.on_goal, EVERY_COMMAND)
        else:
            self.create_subscription(TwistStamped, twist_topic, self.on_twist, EVERY_COMMAND)
        kind = self.parameter("gripper_interface", "topic", f"topic, {' or '.join(ACTIONS)}")
        topic = self.parameter("gripper_topic", "gripper_controller/commands", "std_msgs/Float64MultiArray")
        action = self.parameter("gripper_action", "gripper_controller/gripper_cmd", "name of the action")
        if kind == "topic":
            self.create_subscription(Float64MultiArray, topic, lambda msg: self.grip(float(msg.data[0])), 10)
        else:
            self.gripper_kind = ACTIONS[kind]
            self.gripper_server = ActionServer(self, self.gripper_kind, action, self.on_gripper_goal)

    # Commands

    def on_goal(self, msg: PoseStamped) -> None:
        """A goal pose in the base frame; it counts until the next one."""
        at, turned = msg.pose.position, msg.pose.orientation
        position = np.array([at.x, at.y, at.z]) + self.offset_m
        quat = np.array([turned.x, turned.y, turned.z, turned.w])
        if not self.accepts(msg.header):
            return
        if reason := self.reflexes.feel_goal(position, quat, stamp_to_ns(msg.header.stamp) * 1e-9):
            self.trip(reason)
            return
        self.arm.aim(position, quat)

    def on_twist(self, msg: TwistStamped) -> None:
        """A twist in base axes; it counts until the next one, or until it is too old."""
        linear, angular = msg.twist.linear, msg.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if not self.accepts(msg.header) or stamp_problem(stamp_ns, self.now_ns(), self.timeout_s):
            return
        if reason := self.reflexes.feel_twist(twist, stamp_ns * 1e-9):
            self.trip(reason)
            return
        self.commanded_ns = self.now_ns()
        self.arm.move(twist)

    def accepts(self, header: Header) -> bool:
        """Whether a command is followed: not after a reflex, and not in another frame."""
        if header.frame_id != self.base_frame:
            self.refuse(f"a command in frame '{header.frame_id}', not '{self.base_frame}'")
        return self.active and not self.reflex and header.frame_id == self.base_frame

    def trip(self, reason: str) -> None:
        """Stop, and do not move before the reflex is cleared."""
        self.reflex = f"reflex: {reason}; cleared by {self.resolve_service_name('~/clear_reflex')}"
        self.get_logger().error(self.reflex)
        self.arm.hold()
        self.report()

    def on_clear_reflex(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """~/clear_reflex"""
        response.success, response.message = bool(self.reflex), self.reflex or "there is no reflex"
        self.reflex, self.reflexes = "", Reflexes(*self.arm.pose())
        return response

    def grip(self, position_m: float) -> None:
        """Move the fingers to the nearer end of their way."""
        middle_m = (self.scale.gripper_open_m + self.scale.gripper_closed_m) / 2
        opens = (position_m > middle_m) == (self.scale.gripper_open_m > self.scale.gripper_closed_m)
        self.arm.grip(-1.0 if opens else 1.0)

    def on_gripper_goal(self, goal: Any) -> Any:
        """The gripper's action server, either kind; it answers at once, as the fingers go on."""
        command = goal.request.command
        position_m = command.position[0] if isinstance(command, JointState) else command.position
        self.grip(float(position_m))
        goal.succeed()
        return self.gripper_kind.Result()

    # State

    def tick(self) -> None:
        """Let the time pass that has passed, and report the state."""
        now_s = time.monotonic()
        due = min(int((now_s - self.ticked_s) / TICK_S), MOST_TICKS)
        if not self.active or due < 1:
            return
        self.ticked_s = max(self.ticked_s + due * TICK_S, now_s - MOST_TICKS * TICK_S)
        if self.commanded_ns is not None and self.now_ns() - self.commanded_ns > self.timeout_s * 1e9:
            self.arm.move(np.zeros(6))
        for _ in range(due):
            self.arm.advance(TICK_S)
        self.ticks += due
        self.stats.add(time.monotonic() - now_s, self.seconds())
        self.publish_state()

    def publish_state(self) -> None:
        """The arm's joints and pose; the fingers' now and then."""
        stamp, seen = self.get_clock().now().to_msg(), self.env.proprioception()
        names, angles = self.arm_joints, [float(angle) for angle in seen["joint_pos"]]
        self.publish_joints(names[: len(angles)], angles[: len(names)], stamp)
        if self.ticks % FINGER_TICKS == 0:
            fingers = seen["gripper_qpos"] * self.finger_signs
            self.publish_joints(self.finger_joints, [float(finger) for finger in fingers], stamp)
        self.pose.publish(
            pose_message(seen["ee_pos"] - self.offset_m, seen["ee_quat"], stamp, self.base_frame)
        )

    def publish_joints(self, names: list[str], positions: list[float], stamp: Any) -> None:
        """A driver's joints."""
        msg = JointState(name=names, position=positions)
        msg.header.stamp = stamp
        self.joints.publish(msg)

    def look(self, camera: str) -> None:
        """One camera's image; the first one's period looks whether the task is done."""
        if not self.active:
            return
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=f"{camera}_optical_frame")
        picture = self.env.picture(camera)
        noise = self.noise.integers(0, 2, picture.shape, np.uint8)
        self.images[camera].publish(image_message(np.maximum(picture, noise) - noise, header))
        if camera == next(iter(self.images)) and self.env.success() != self.succeeded:
            self.succeeded = not self.succeeded
            self.done_topic.publish(Bool(data=self.succeeded))

    def explain(self) -> str:
        """Why the arm does not move."""
        return self.reflex

    def destroy_node(self) -> None:
        """Close the simulation with the node."""
        if self.env is not None:
            self.env.close()
        super().destroy_node()


def main() -> None:
    run_node(SimulatedArm)
