"""check_arm: what is wrong with an arm's drivers or its profile, before it may move. It commands nothing.

usage: ros2 run hilam_ros check_arm profile:=franka_crisp [pictures:=FOLDER] [watch_s:=5] [NAME:=VALUE ...]

pictures: a folder with one training image of each camera, named <camera>.png. Other names are settings of the
profile. Prints a line for each thing looked at, and the commands that small motions would become; exit code 1
where something is wrong.
"""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ament_index_python.packages import get_package_share_directory
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from hilam_core.errors import HilamError
from hilam_core.runtime.checkup import (
    Finding,
    check_gripper,
    check_joints,
    check_picture,
    check_pose,
    read_pictures,
)
from hilam_core.runtime.goals import Pose
from hilam_core.runtime.health import InputHealth
from hilam_core.runtime.images import image_array
from hilam_core.runtime.limits import AXES, Limits
from hilam_core.runtime.safety import LatchedStop, SafetyMonitor
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_core.runtime.units import CommandScale
from hilam_ros.gripper import ACTIONS
from hilam_ros.messages import image_type, type_name
from hilam_ros.node import NodeError, StackNode, run_node
from hilam_ros.profile import LIMITS, load_settings, parse, require_limits

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
OWN = {"pictures": "", "watch_s": 5.0}


@dataclass
class Stream:
    """A topic of the arm, what came on it, and how often it must come."""

    topic: str
    kind: type
    wanted_hz: float
    health: InputHealth
    last: Any = None


class CheckArm(StackNode):
    """Listens for some time, then says what it found."""

    def __init__(self, profile: Path, settings: dict[str, Any], pictures: str, watch_s: float):
        super().__init__("check_arm")
        self.profile, self.settings, self.watch_s = profile, settings, watch_s
        self.pictures = read_pictures(Path(pictures), settings["cameras"]) if pictures else {}
        self.limits = Limits(**{n: tuple(v) if isinstance(v := settings[n], list) else v for n in LIMITS})
        self.scale = CommandScale(**{name: settings[name] for name in CommandScale.__dataclass_fields__})
        cameras = dict(zip(settings["cameras"], settings["camera_topics"], strict=True))
        self.streams = {
            camera: Stream(topic, image_type(topic), self.scale.control_hz, InputHealth(camera))
            for camera, topic in cameras.items()
        }
        state_hz = 2 / self.limits.max_state_age_s  # one of two may be lost without a hold
        for name, kind in (("joint_states", JointState), ("ee_pose", PoseStamped)):
            topic = settings[f"{name}_topic"]
            self.streams[name] = Stream(topic, kind, state_hz, InputHealth(name))
        self.joints: dict[str, float] = {}
        for name, stream in self.streams.items():
            self.create_subscription(stream.kind, stream.topic, partial(self.on_message, name), BEST_EFFORT)
        print(f"profile {profile}: listening for {watch_s:g} s", flush=True)
        self.create_steady_timer(watch_s, self.finish)

    def on_message(self, name: str, msg: Any) -> None:
        """Note what came."""
        stream = self.streams[name]
        stream.last = msg
        stream.health.arrived(self.now_ns(), stamp_to_ns(msg.header.stamp))
        if name == "joint_states":
            self.joints |= dict(zip(msg.name, msg.position, strict=False))

    def finish(self) -> None:
        """Print everything that was found, and end."""
        if self.done.done():
            return
        findings = [*map(self.check_stream, self.streams), *self.check_state(), *self.check_commands()]
        for finding in findings:
            print(f"{'ok   ' if finding.sound else 'WRONG'} {finding.text}", flush=True)
        wrong = sum(not finding.sound for finding in findings)
        if wrong:
            self.done.set_exception(
                NodeError(f"{wrong} of {len(findings)} are wrong: do not let the arm move")
            )
        else:
            print(
                f"all {len(findings)} are right; look at the pictures and the signs of the motions yourself"
            )
            self.done.set_result(None)

    def check_stream(self, name: str) -> Finding:
        """Publishers, type, stamps and rate of a topic."""
        stream = self.streams[name]
        infos = self.get_publishers_info_by_topic(stream.topic)
        wanted, types = type_name(stream.kind), sorted({info.topic_type for info in infos})
        if not infos:
            return Finding(False, f"{stream.topic}: nobody publishes it")
        if types != [wanted]:
            return Finding(False, f"{stream.topic}: has {', '.join(types)}, expected {wanted}")
        qos = {info.qos_profile.reliability.name.lower() for info in infos}
        now_ns, rate_hz = self.now_ns(), stream.health.rate_hz()
        text = f"{stream.topic}: {wanted}, {', '.join(qos)}, {rate_hz:.0f} Hz"
        if problem := stream.health.problem(now_ns):
            return Finding(False, f"{text}; {problem}")
        if rate_hz < 0.75 * stream.wanted_hz:
            return Finding(False, f"{text}, expected are {stream.wanted_hz:g} Hz")
        return Finding(True, text)

    def check_state(self) -> list[Finding]:
        """Pictures, frames, pose, joints and gripper."""
        found = [self.check_image(camera) for camera in self.settings["cameras"]]
        if (pose := self.measured()) is not None:
            frame, base = self.streams["ee_pose"].last.header.frame_id, self.settings["base_frame"]
            found.append(Finding(frame == base, f"frame of the pose: '{frame}', base_frame: '{base}'"))
            found.append(check_pose(pose, self.limits))
        found += check_joints(self.joints, self.limits)
        return [*found, check_gripper(self.joints, self.settings["finger_joints"], self.scale)]

    def check_image(self, camera: str) -> Finding:
        """One camera's newest image."""
        msg = self.streams[camera].last
        if msg is None:
            return Finding(False, f"{camera}: no image")
        try:
            return check_picture(camera, image_array(msg), self.pictures)
        except HilamError as error:
            return Finding(False, f"{camera}: {error}")

    def measured(self) -> Pose | None:
        """The newest pose."""
        msg = self.streams["ee_pose"].last
        if msg is None:
            return None
        at, turned = msg.pose.position, msg.pose.orientation
        quat = np.array([turned.x, turned.y, turned.z, turned.w])
        return Pose(np.array([at.x, at.y, at.z]), quat)

    def check_commands(self) -> list[Finding]:
        """Who reads the commands and who else gives them, and what small motions would become."""
        poses = self.settings["command_mode"] == "pose"
        topic, kind = (
            (self.settings["pose_topic"], PoseStamped)
            if poses
            else (self.settings["twist_topic"], TwistStamped)
        )
        found = [self.check_reader(topic, kind)]
        if self.settings["gripper_interface"] == "topic":
            found.append(self.check_reader(self.settings["gripper_topic"], Float64MultiArray))
        else:
            found.append(self.check_gripper_action())
        return [*found, *self.dry_run(poses)]

    def check_reader(self, topic: str, kind: type) -> Finding:
        """Whether the arm reads a command topic, and nobody else publishes it."""
        types = sorted({info.topic_type for info in self.get_subscriptions_info_by_topic(topic)})
        if not types:
            return Finding(False, f"{topic}: nobody reads it")
        if type_name(kind) not in types:
            return Finding(
                False, f"{topic}: is read as {', '.join(types)}, the profile sends {type_name(kind)}"
            )
        others = self.count_publishers(topic)
        if others:
            return Finding(False, f"{topic}: another node publishes commands there already")
        return Finding(True, f"{topic}: {type_name(kind)} is read, nobody publishes it")

    def check_gripper_action(self) -> Finding:
        """Whether the gripper's action server is there, and of this type."""
        name, kind = self.settings["gripper_action"], ACTIONS[self.settings["gripper_interface"]].__name__
        topic = f"{name}/_action/feedback"
        types = sorted({info.topic_type for info in self.get_publishers_info_by_topic(topic)})
        expected = f"control_msgs/action/{kind}_FeedbackMessage"
        if not types:
            return Finding(False, f"{name}: there is no such action")
        return Finding(types == [expected], f"{name}: {', '.join(types)}, expected {expected}")

    def dry_run(self, poses: bool) -> list[Finding]:
        """What full action along each axis, proposed for half a second, would become as a command."""
        pose = self.measured()
        if pose is None or not all(joint in self.joints for joint in self.limits.arm_joints):
            return []
        lines = []
        for axis in range(len(AXES)):
            action = np.zeros(7)
            action[axis] = 1.0
            wanted = self.scale.to_twist(action)
            first, last = self.commands(pose, wanted, poses)
            lines.append(
                Finding(
                    True,
                    f"{AXES[axis]} forward: proposed {wanted[axis]:.3f} m/s, at first {first}, then {last}",
                )
            )
        opened, closed = (self.scale.to_gripper(np.array([0.0] * 6 + [sign])) for sign in (-1.0, 1.0))
        lines.append(Finding(True, f"gripper: open is commanded as {opened:g}, closed as {closed:g}"))
        return lines

    def commands(self, pose: Pose, wanted: np.ndarray, poses: bool) -> tuple[str, str]:
        """The first and the last command of half a second."""
        positions = [self.joints[joint] for joint in self.limits.arm_joints]
        given = []
        with tempfile.TemporaryDirectory() as folder:
            stop = LatchedStop(Path(folder) / "stop.json")
            hz = self.scale.control_hz, self.settings["command_hz"]
            monitor = SafetyMonitor(self.limits, stop, *hz, poses)
            for step in range(1, math.ceil(0.5 / monitor.period_s) + 1):
                now_s = step * monitor.period_s
                now_ns = round(now_s * 1e9)
                monitor.observe_pose(pose.position, pose.quat_xyzw, now_ns, now_s)
                monitor.observe_joints(self.limits.arm_joints, positions, now_ns, now_s)
                monitor.propose(wanted, now_ns, now_ns, now_s)
                if (command := monitor.step(now_ns, now_s)) is None:
                    return (monitor.holding, monitor.holding)
                vector = command.pose.position if command.pose else command.twist[:3]
                given.append(f"[{' '.join(f'{value:.4f}' for value in vector)}]{' m' if poses else ' m/s'}")
        return given[0], given[-1]


def main() -> None:
    end = sys.argv.index("--ros-args") if "--ros-args" in sys.argv else len(sys.argv)
    own = [argument for argument in sys.argv[1:end] if ":=" in argument]
    sys.argv[1:end] = []  # ROS would take them for remappings
    run_node(lambda: make(dict(argument.split(":=", 1) for argument in own)))


def make(given: dict[str, str]) -> CheckArm:
    """The node, from `name:=value` arguments."""
    if "profile" not in given:
        raise NodeError("usage: ros2 run hilam_ros check_arm profile:=NAME_OR_FILE [pictures:=FOLDER]")
    own = {name: parse(name, given.pop(name), like) if name in given else like for name, like in OWN.items()}
    folder = Path(get_package_share_directory("hilam_ros")) / "config"
    profile, settings = load_settings(given.pop("profile"), folder, given)
    require_limits(profile, given)
    return CheckArm(profile, settings, **own)
