"""An arm's topics, and an operator at recorder's services. Argument: `services`, or `full` on a small disk.

Prints a line for each thing that the operator tried; ends at "killed: now", when the test kills the recorder.
"""

import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from hilam_msgs.msg import RecorderState
from hilam_msgs.srv import StartRecording
from hilam_ros.messages import image_message
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from std_srvs.srv import Trigger

LIMIT_S = 240.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Operator(Node):
    def __init__(self) -> None:
        super().__init__("operator")
        self.images = self.create_publisher(Image, "agentview/image_raw", 10)
        self.joints = self.create_publisher(JointState, "joint_states", qos_profile_sensor_data)
        self.state, self.health = RecorderState(), ""
        self.create_subscription(RecorderState, "recorder/state", self.on_state, LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        self.buttons = {n: self.create_client(Trigger, f"recorder/{n}") for n in ("stop", "keep", "discard")}
        self.starting = self.create_client(StartRecording, "recorder/start")
        self.create_timer(0.02, self.publish)

    def publish(self) -> None:
        stamp = self.get_clock().now().to_msg()
        picture = np.zeros((64, 64, 3), np.uint8)
        self.images.publish(image_message(picture, Header(stamp=stamp, frame_id="camera")))
        joints = JointState(name=["panda_joint1"], position=[0.5])
        joints.header.stamp = stamp
        self.joints.publish(joints)

    def on_state(self, msg: RecorderState) -> None:
        self.state = msg

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        if msg.status[0].name == "recorder":
            self.health = msg.status[0].message

    def until(self, condition, what: str) -> None:
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end_s:
                sys.exit(f"{what} did not come: {self.state}, '{self.health}'")
            rclpy.spin_once(self, timeout_sec=0.05)

    def call(self, client, request):
        self.until(client.service_is_ready, client.srv_name)
        future = client.call_async(request)
        self.until(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def start(self, instruction: str) -> str:
        answer = self.call(self.starting, StartRecording.Request(instruction=instruction))
        return answer.path if answer.success else f"refused: {answer.message}"

    def record_some(self, instruction: str) -> str:
        path = self.start(instruction)
        self.until(lambda: self.state.path == path and self.state.messages > 20, f"messages in '{path}'")
        return path

    def press(self, name: str) -> str:
        answer = self.call(self.buttons[name], Trigger.Request())
        return answer.message if answer.success else f"refused: {answer.message}"


def use_services(operator: Operator) -> None:
    print(f"nothing: {operator.press('stop')}")
    print(f"blank: {operator.start(' ')}")
    path = operator.record_some("pick up the milk")
    print(f"second: {operator.start('another')}")
    print(f"kept: {operator.press('keep')}")
    discarded = operator.record_some("drop the milk")
    operator.press("discard")
    print(f"discarded: {operator.state.state}, there: {Path(discarded).exists()}")
    operator.record_some("wait")
    print(f"left: {operator.press('stop')}")
    print(f"first is still there: {Path(path).exists()}")
    print(f"under way: {operator.record_some('go on')}")
    time.sleep(2.5)  # recorder hands messages to the system once a second
    print("killed: now", flush=True)


def fill_the_disk(operator: Operator) -> None:
    path = operator.start("fill the disk")
    operator.until(lambda: operator.state.state == RecorderState.FAILED, "a full disk")
    print(f"failed: {operator.state.reason}")
    operator.until(lambda: operator.health.startswith("not recording"), "the reason on /diagnostics")
    print(f"health: {operator.health}")
    print(f"path: {path}")
    print(f"again: {operator.record_some('on a disk with room')}", flush=True)


if __name__ == "__main__":
    rclpy.init()
    {"services": use_services, "full": fill_the_disk}[sys.argv[1]](Operator())
