"""A script that drives simulated_arm through safety_monitor, over the topics of a profile: its argument.

Prints a line for each thing that a user of an arm would try: state, cameras, motion, turning, gripper, wild
proposals that must not trip the arm's reflex.
"""

import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_ros.messages import twist_message
from hilam_ros.profile import load_settings
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

from hilam_core.runtime.images import image_array

LIMIT_S = 240.0
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class Script(Node):
    def __init__(self, profile: Path) -> None:
        super().__init__("driving_script")
        _, self.settings = load_settings(str(profile), profile.parent)
        self.frame = self.settings["base_frame"]
        self.twist, self.gripper_m, self.proposes = np.zeros(6), 0.04, True
        self.poses, self.joints, self.images, self.health = [], {}, {}, {}
        topics = dict(zip(self.settings["cameras"], self.settings["camera_topics"], strict=True))
        for camera, topic in topics.items():
            self.create_subscription(
                Image, topic, lambda m, c=camera: self.images.update({c: m}), BEST_EFFORT
            )
        self.create_subscription(PoseStamped, self.settings["ee_pose_topic"], self.poses.append, BEST_EFFORT)
        self.create_subscription(JointState, "joint_states", self.on_joints, BEST_EFFORT)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        self.motion = self.create_publisher(TwistStamped, "proposed_twist", 10)
        self.fingers = self.create_publisher(Float64MultiArray, "proposed_gripper", 10)
        self.create_timer(0.05, self.propose)

    def propose(self) -> None:
        if self.proposes:
            self.fingers.publish(Float64MultiArray(data=[self.gripper_m]))
            self.motion.publish(twist_message(self.twist, self.get_clock().now().to_msg(), self.frame))

    def on_joints(self, msg: JointState) -> None:
        self.joints |= dict(zip(msg.name, msg.position, strict=True))

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.health[msg.status[0].name] = msg.status[0].message

    def position(self) -> np.ndarray:
        at = self.poses[-1].pose.position
        return np.array([at.x, at.y, at.z])

    def quat(self) -> np.ndarray:
        turned = self.poses[-1].pose.orientation
        return np.array([turned.x, turned.y, turned.z, turned.w])

    def speed(self) -> float:
        """Over the last quarter of a second, m/s."""
        del self.poses[:-200]
        ends = self.poses[-25:]
        first, last = ends[0], ends[-1]
        stamps = [pose.header.stamp.sec + pose.header.stamp.nanosec * 1e-9 for pose in (first, last)]
        a, b = (np.array([p.pose.position.x, p.pose.position.y, p.pose.position.z]) for p in (first, last))
        return float(np.linalg.norm(b - a) / max(stamps[1] - stamps[0], 1e-3))

    def until(self, condition, what: str) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end_s:
                sys.exit(f"{what} did not come; {self.health}; {self.position()} {self.joints}")
            rclpy.spin_once(self, timeout_sec=0.01)

    def spin_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            rclpy.spin_once(self, timeout_sec=0.01)

    def move_aside(self, what: str) -> None:
        start = self.position()
        self.twist = np.array([0, -0.1 if start[1] > 0 else 0.1, 0, 0, 0, 0])
        self.until(lambda: abs(self.position()[1] - start[1]) > 0.05, what)
        print(f"{what}: 5 cm, {abs(self.position()[0] - start[0]):.3f} m off", flush=True)
        self.twist = np.zeros(6)


def main() -> int:
    rclpy.init()
    script = Script(Path(sys.argv[1]))
    settings = script.settings
    names = [*settings["arm_joints"], *settings["finger_joints"]]
    script.until(lambda: script.poses and set(names) <= script.joints.keys(), "state")
    script.until(lambda: len(script.images) == 2, "images")
    shapes = {image_array(image).shape for image in script.images.values()}
    print(f"state and images: {script.poses[-1].header.frame_id}, {shapes}", flush=True)

    script.move_aside("motion")
    before = script.quat()
    script.twist = np.array([0, 0, 0, 0, 0, 0.4])
    script.until(lambda: abs(before @ script.quat()) < np.cos(0.15 / 2), "turning")
    script.twist = np.zeros(6)
    script.gripper_m = settings["gripper_closed_m"]
    script.until(lambda: script.joints[settings["finger_joints"][0]] < 0.01, "closing")
    script.gripper_m = settings["gripper_open_m"]
    script.until(lambda: script.joints[settings["finger_joints"][0]] > 0.03, "opening")
    print("turned, closed and opened", flush=True)

    for step in range(40):
        script.twist = np.array([1.0, 1.0, 1.0, 5.0, 5.0, 5.0]) * (-1) ** step
        script.spin_for(0.05)
    script.twist = np.zeros(6)
    script.until(lambda: script.speed() < 0.005, "standstill after wild proposals")
    print(f"wild proposals: simulated_arm says '{script.health['simulated_arm']}'", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
