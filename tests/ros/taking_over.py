"""Feeds action_executor in simulated time, and takes over from it with a joystick once it moves the arm.

Prints what is proposed while the person drives, and whether the executor goes on afterwards. Argument: the
length of a skill.
"""

import sys
import time

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from hilam_msgs.msg import CycleTiming, LatentSkill, Observation, Task, TeleopState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Joy

CAMERAS = ["agentview", "eye_in_hand"]
INSTRUCTION = "pick up the milk and place it in the basket"
LIMIT_S = 400.0
STICK = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # axis 1 is x
DEADMAN = [0, 0, 0, 0, 1]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class TakingOver(Node):
    def __init__(self, skill_dim: int) -> None:
        super().__init__("taking_over")
        self.clock = self.create_publisher(Clock, "/clock", 10)
        self.observations = self.create_publisher(Observation, "observation", 10)
        self.skills = self.create_publisher(LatentSkill, "skill", 10)
        self.joy = self.create_publisher(Joy, "joy", 10)
        self.create_subscription(TwistStamped, "proposed_twist", self.on_twist, 10)
        self.create_subscription(CycleTiming, "cycle_timing", self.on_cycle, 10)
        self.create_subscription(TeleopState, "teleop/state", self.on_state, LATCHED)
        self.skill_dim, self.seq, self.cycles, self.pressed = skill_dim, 0, 0, False
        self.driver, self.speeds = "", []
        self.task = self.create_publisher(Task, "task", LATCHED)
        self.task.publish(Task(episode=1, instruction=INSTRUCTION, active=True))
        self.create_timer(0.05, self.publish)

    def publish(self) -> None:
        stamp = Time(sec=1000 + self.seq // 20, nanosec=self.seq % 20 * 50_000_000)
        self.clock.publish(Clock(clock=stamp))
        self.joy.publish(Joy(axes=STICK, buttons=DEADMAN if self.pressed else [0] * 5))
        obs = Observation(episode=1, seq=self.seq, cameras=CAMERAS, proprio=np.zeros(8, np.float32))
        obs.images = [Image(height=128, width=128, encoding="rgb8", step=384, data=bytes(128 * 384))] * 2
        skill = LatentSkill(episode=1, seq=self.seq, vector=np.ones(self.skill_dim, np.float32))
        obs.header.stamp = skill.header.stamp = stamp
        self.skills.publish(skill)
        self.observations.publish(obs)
        self.seq += 1

    def on_twist(self, msg: TwistStamped) -> None:
        self.speeds.append(round(msg.twist.linear.x, 3))

    def on_cycle(self, msg: CycleTiming) -> None:
        self.cycles += 1

    def on_state(self, msg: TeleopState) -> None:
        self.driver = msg.source

    def until(self, condition, what: str) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end_s:
                sys.exit(f"{what} did not come: '{self.driver}' drives, {self.cycles} cycles")
            rclpy.spin_once(self, timeout_sec=0.1)

    def go_on(self, what: str) -> None:
        before = self.cycles
        self.until(lambda: self.cycles > before + 5, what)
        print(what, flush=True)


def main() -> None:
    rclpy.init()
    node = TakingOver(int(sys.argv[1]))
    node.go_on("the policy drives")
    node.pressed = True
    node.until(lambda: node.driver == "joystick", "the joystick")
    # The executor hears of it a moment later: what it had under way may still come.
    node.until(lambda: node.speeds[-15:] == [0.15] * 15, "the person's proposals alone")
    node.speeds.clear()
    before = node.cycles
    node.until(lambda: len(node.speeds) > 15, "proposals")
    print(f"the joystick drives: {sorted(set(node.speeds))}, {node.cycles - before} cycles of the policy")
    node.pressed = False
    node.until(lambda: node.driver == "", "the end of driving")
    node.go_on("the policy drives again")


if __name__ == "__main__":
    main()
