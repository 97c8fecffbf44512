"""Feeds action_executor in simulated time until it moves the arm, then stops all of it, the clock too.

Prints "moves" at the first command that is not zero, and "holds" at the first zero after everything stopped.
Argument: the length of a skill.
"""

import sys
import time

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from hilam_msgs.msg import LatentSkill, Observation, Task
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

CAMERAS = ["agentview", "eye_in_hand"]
INSTRUCTION = "pick up the milk and place it in the basket"
LIMIT_S = 180.0


class StoppedClock(Node):
    def __init__(self, skill_dim: int) -> None:
        super().__init__("stopped_clock")
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.clock = self.create_publisher(Clock, "/clock", 10)
        self.observations = self.create_publisher(Observation, "observation", 10)
        self.skills = self.create_publisher(LatentSkill, "skill", 10)
        self.create_subscription(TwistStamped, "proposed_twist", self.on_twist, 10)
        self.skill_dim, self.seq, self.moved, self.held = skill_dim, 0, False, False
        self.task = self.create_publisher(Task, "task", latched)
        self.task.publish(Task(episode=1, instruction=INSTRUCTION, active=True))
        self.create_timer(0.05, self.publish)

    def publish(self) -> None:
        if self.moved:
            return
        stamp = Time(sec=1000 + self.seq // 20, nanosec=self.seq % 20 * 50_000_000)
        self.clock.publish(Clock(clock=stamp))
        obs = Observation(episode=1, seq=self.seq, cameras=CAMERAS, proprio=np.zeros(8, np.float32))
        obs.images = [Image(height=128, width=128, encoding="rgb8", step=384, data=bytes(128 * 384))] * 2
        skill = LatentSkill(episode=1, seq=self.seq, vector=np.ones(self.skill_dim, np.float32))
        obs.header.stamp = skill.header.stamp = stamp
        self.skills.publish(skill)
        self.observations.publish(obs)
        self.seq += 1

    def on_twist(self, msg: TwistStamped) -> None:
        linear = msg.twist.linear
        moves = any((linear.x, linear.y, linear.z))
        if moves and not self.moved:
            print("moves", flush=True)
        self.held = self.moved and not moves
        self.moved = self.moved or moves


def main() -> int:
    rclpy.init()
    node, end = StoppedClock(int(sys.argv[1])), time.monotonic() + LIMIT_S
    while not node.held and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
    print("holds" if node.held else f"still moving, after {node.seq} observations", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
