"""The drivers of an arm, sound and then wrong in one way after another, and what camera_ingest says of each.

Prints a line for each phase: its name and the first health that fits it, or "nothing fitted" and the last.
"ready" fits only where observations came. Argument: `stamps`, `frozen`, or `clock` to publish /clock and set
that back.
"""

import re
import sys
import time

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from hilam_msgs.msg import Observation, Task
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState

PHASES = {
    "stamps": {
        "sound": "ready",
        "zero stamps": "has no stamp",
        "seconds since start": "is .* old, older than",
        "future": "in the future",
        "one camera stops": "no eye_in_hand for",
        "sound again": "ready",
        "stamps an hour back": "is .* s old, older than",
        "at last sound": "ready",
    },
    "frozen": {
        "sound": "ready",
        "frozen camera": "agentview has sent one picture for",
        "sound again": "ready",
        "fingers are no numbers": "finite",
        "at last sound": "ready",
    },
    "clock": {"sound": "ready", "clock set back an hour": "ready", "another hour": "ready"},
}
OBSERVATIONS = 5  # that must come before "ready" counts
PHASE_LIMIT_S = 60.0  # the first one includes the node's start
PIXELS = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)


class FaultyDriver(Node):
    """Two cameras (bgra8 with padded rows; PNG), arm and gripper with a publisher each, a pose, a task."""

    def __init__(self, scenario: str) -> None:
        super().__init__("faulty_driver")
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.task = self.create_publisher(Task, "task", latched)
        self.raw = self.create_publisher(Image, "agentview/image_raw", 10)
        self.png = self.create_publisher(CompressedImage, "eye_in_hand/image_raw/compressed", 10)
        self.arm = self.create_publisher(JointState, "joint_states", 10)
        self.gripper = self.create_publisher(JointState, "joint_states", 10)
        self.pose = self.create_publisher(PoseStamped, "ee_pose", 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        self.create_subscription(Observation, "observation", self.on_observation, 10)
        self.create_timer(0.05, self.publish)
        self.expected = PHASES[scenario]
        self.noisy = scenario == "frozen"
        self.noise = np.random.default_rng(1)
        self.phases = iter(self.expected)
        self.clock = self.create_publisher(Clock, "/clock", 10) if scenario == "clock" else None
        self.health, self.ended = "", False
        self.observation: Observation | None = None
        self.next_phase()
        self.task.publish(Task(episode=1, instruction="lift", active=True))

    def next_phase(self) -> None:
        self.phase = next(self.phases, None)
        self.began_s, self.ended = time.monotonic(), self.phase is None
        self.count = 0

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        if self.ended or msg.status[0].name != "camera_ingest":
            return
        self.health = msg.status[0].message
        expected = self.expected[self.phase]
        fits = re.search(expected, self.health) and (expected != "ready" or self.count >= OBSERVATIONS)
        if fits or time.monotonic() - self.began_s > PHASE_LIMIT_S:
            print(f"{self.phase}: {'' if fits else 'nothing fitted, the last was '}{self.health}", flush=True)
            self.next_phase()

    def on_observation(self, msg: Observation) -> None:
        self.observation = msg
        self.count += 1

    def stamp(self) -> Time:
        now_ns = self.get_clock().now().nanoseconds
        seconds = {"zero stamps": 0, "seconds since start": 77, "future": now_ns // 10**9 + 60}
        if self.phase in seconds:
            return Time(sec=int(seconds[self.phase]))
        hours = {"stamps an hour back": 1, "clock set back an hour": 1, "another hour": 2}
        now_ns -= hours.get(self.phase, 0) * 3600 * 10**9
        return Time(sec=now_ns // 10**9, nanosec=now_ns % 10**9)

    def publish(self) -> None:
        stamp = self.stamp()
        if self.clock:
            self.clock.publish(Clock(clock=stamp))
        padded = np.zeros((128, 128 * 4 + 16), np.uint8)
        padded[:, : 128 * 4] = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2BGRA).reshape(128, -1)
        if self.noisy and self.phase != "frozen camera":
            padded[0] = self.noise.integers(0, 256, padded.shape[1])
        raw = Image(height=128, width=128, encoding="bgra8", step=padded.shape[1], data=padded.tobytes())
        picture = np.roll(PIXELS, self.noise.integers(128), axis=0) if self.noisy else PIXELS
        png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        compressed = CompressedImage(format="png", data=png)
        arm = JointState(name=["panda_joint1"], position=[0.1])
        finger_m = float("nan") if self.phase == "fingers are no numbers" else 0.02
        gripper = JointState(name=["panda_finger_joint2", "panda_finger_joint1"], position=[finger_m, 0.01])
        pose = PoseStamped()
        pose.pose.orientation.x, pose.pose.orientation.w = 1.0, 0.0
        streams = [(self.raw, raw), (self.arm, arm), (self.gripper, gripper), (self.pose, pose)]
        if self.phase != "one camera stops":
            streams.append((self.png, compressed))
        for publisher, msg in streams:
            msg.header.stamp = stamp
            publisher.publish(msg)


def main() -> int:
    rclpy.init()
    node = FaultyDriver(sys.argv[1])
    while not node.ended:
        rclpy.spin_once(node, timeout_sec=0.1)
    images = [np.asarray(i.data, np.uint8).reshape(128, 128, 3) for i in node.observation.images]
    print("images exact:", all(np.array_equal(image, PIXELS) for image in images))
    print("fingers:", [round(float(finger), 3) for finger in node.observation.proprio[6:]], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
