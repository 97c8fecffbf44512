"""A person beside a policy: takes over by joystick, gives back, takes over by keys, and declares success.

Prints what was proposed meanwhile, and by whom.
"""

import sys
import time

import rclpy
from geometry_msgs.msg import TwistStamped
from hilam_msgs.msg import CycleTiming, TeleopKeys, TeleopState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

LIMIT_S = 300.0
STICK = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]  # axis 1 is x
DEADMAN = [0, 0, 0, 0, 1]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Person(Node):
    def __init__(self) -> None:
        super().__init__("person")
        self.joy = self.create_publisher(Joy, "joy", 10)
        self.keyboard = self.create_publisher(TeleopKeys, "teleop_keys", 10)
        self.pressed, self.keys = False, []
        self.state, self.twists, self.cycles = TeleopState(), [], 0
        self.create_subscription(TeleopState, "teleop/state", self.on_state, LATCHED)
        self.create_subscription(TwistStamped, "proposed_twist", self.twists.append, 10)
        self.create_subscription(CycleTiming, "cycle_timing", self.on_cycle, 10)
        self.success = self.create_client(Trigger, "task_server/declare_success")
        self.create_timer(0.05, self.hold)

    def hold(self) -> None:
        self.joy.publish(Joy(axes=STICK, buttons=DEADMAN if self.pressed else [0] * 5))
        if self.keys:
            self.keyboard.publish(TeleopKeys(pressed=self.keys))

    def on_state(self, msg: TeleopState) -> None:
        self.state = msg

    def on_cycle(self, msg: CycleTiming) -> None:
        self.cycles += 1

    def until(self, condition, what: str) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end_s:
                sys.exit(f"{what} did not come: {self.state}, {self.cycles} cycles")
            rclpy.spin_once(self, timeout_sec=0.05)

    def driven(self, source: str) -> bool:
        return self.state.source == source

    def agreed(self, axis: str) -> bool:
        last = [getattr(twist.twist.linear, axis) for twist in self.twists[-15:]]
        return len(last) == 15 and len(set(last)) == 1

    def drive(self, source: str, axis: str) -> None:
        """Drive until nothing else has been proposed for some time, and then see twenty proposals."""
        self.until(lambda: self.driven(source), source)
        # The executor hears of it a moment later: what it had under way may still come.
        self.until(lambda: self.agreed(axis), "the person's proposals alone")
        self.twists.clear()
        before = self.cycles
        self.until(lambda: len(self.twists) > 20, "proposals")
        speeds = {round(getattr(twist.twist.linear, axis), 3) for twist in self.twists}
        print(f"{source}: {axis} {sorted(speeds)}, policy's cycles meanwhile: {self.cycles - before}")


def main() -> None:
    rclpy.init()
    person = Person()
    person.until(lambda: person.cycles > 5, "the policy's cycles")
    person.pressed = True
    person.drive("joystick", "x")
    person.pressed = False
    person.until(lambda: person.driven(""), "the end of driving")
    before = person.cycles
    person.until(lambda: person.cycles > before + 5, "the policy again")
    print("the policy goes on")
    person.keys = ["f"]
    person.drive("keys", "z")
    person.keys = []  # the window is closed: no message says that the keys are up
    person.until(lambda: person.driven(""), "the end of driving")
    person.until(person.success.service_is_ready, "task_server")
    future = person.success.call_async(Trigger.Request())
    person.until(future.done, "an answer")
    print(f"success: {future.result().success}", flush=True)


if __name__ == "__main__":
    main()
