"""Says ten times a second whether an arm is told to move: "moves" or "holds" (zero, or nothing for 0.3 s)."""

import time

import rclpy
from geometry_msgs.msg import TwistStamped
from rclpy.node import Node


class MotionWatch(Node):
    def __init__(self) -> None:
        super().__init__("motion_watch")
        self.moved_s = 0.0
        self.create_subscription(TwistStamped, "delta_twist_cmds", self.on_twist, 10)
        self.create_timer(0.1, self.say)

    def on_twist(self, msg: TwistStamped) -> None:
        linear = msg.twist.linear
        if any((linear.x, linear.y, linear.z)):
            self.moved_s = time.monotonic()

    def say(self) -> None:
        since_s = time.monotonic() - self.moved_s
        print("moves" if since_s < 0.3 else f"holds since {since_s:.1f} s", flush=True)


if __name__ == "__main__":
    rclpy.init()
    rclpy.spin(MotionWatch())
