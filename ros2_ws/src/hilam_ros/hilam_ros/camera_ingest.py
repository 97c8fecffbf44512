"""camera_ingest: images and arm state, paired by header stamp, as the observation that policies read."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from hilam_msgs.msg import Observation
from sensor_msgs.msg import JointState

from hilam_core.conventions import CONTROL_HZ
from hilam_core.observation import ObservationSpec, RawObservation, preprocess
from hilam_core.runtime.health import InputHealth, lossy_images
from hilam_core.runtime.images import FrozenCamera
from hilam_core.runtime.joints import JointMerge
from hilam_core.runtime.pairing import Pairing, RateGate
from hilam_core.runtime.stamps import stamp_problem
from hilam_ros.messages import image_array, image_message, image_type, stamp_to_ns
from hilam_ros.node import StackNode, camera_topics, run_node


class CameraIngest(StackNode):
    """Publishes `observation`; the first camera is the reference that sets the pace."""

    def __init__(self) -> None:
        super().__init__("camera_ingest")

    def configure(self) -> None:
        topics = camera_topics(self)
        self.cameras = list(topics)
        size = self.parameter("image_size", 128, "side of the square images the policy reads [px]")
        self.spec = ObservationSpec(cameras=tuple(self.cameras), image_size=size)
        self.fingers = self.parameter(
            "finger_joints", ["panda_finger_joint1", "panda_finger_joint2"], "joint names"
        )
        self.finger_signs = np.array(
            self.parameter("finger_signs", [1.0, -1.0], "the policy's finger positions over the arm's")
        )
        self.pose_offset_m = np.array(
            self.parameter(
                "pose_offset_m", [0.0, 0.0, 0.0], "the arm's base in the frame the policy was trained in"
            )
        )
        self.control_hz = self.parameter(
            "control_hz", float(CONTROL_HZ), "observations a second that the policy was trained at"
        )
        self.gate = RateGate(self.control_hz)
        self.pairing = self.make_pairing()
        self.joints = JointMerge(self.fingers)
        self.output = InputHealth("observation")
        frozen_s = self.parameter(
            "max_frozen_s", 0.0, "how long a camera may send one picture; 0: it is not looked at"
        )
        self.frozen = {camera: FrozenCamera(frozen_s) for camera in self.cameras}
        self.unseen_cameras = set(self.cameras)
        self.seq = 0

        self.claim("observation")
        self.publisher = self.create_publisher(Observation, "observation", self.newest_or_all())
        self.follow_task()
        for camera, topic in topics.items():
            self.listen_to_arm(image_type(topic), topic, camera)
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        self.listen_to_arm(JointState, joints_topic, "joint_states")
        pose_topic = self.parameter(
            "ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped of the end effector"
        )
        self.listen_to_arm(PoseStamped, pose_topic, "ee_pose")
        self.require_readers(self.publisher)
        if not self.lockstep:
            self.create_timer(0.005, lambda: self.publish_set(self.pairing.poll(self.now_ns())))

    def listen_to_arm(self, kind: type, topic: str, stream: str) -> None:
        """Feed a topic of the arm into the pairing, as one of its streams."""
        self.listen(kind, topic, partial(self.on_sample, stream), self.sensor_qos(), stream)

    def make_pairing(self) -> Pairing:
        """The rule of which samples make an observation, from parameters."""
        chosen = self.parameter("pairing", "asof", "exact or asof, see docs/deployment.md")
        tolerance_s = self.parameter(
            "pairing_tolerance_s", 0.01, "asof: largest difference of stamps in a set"
        )
        wait_s = self.parameter(
            "pairing_wait_s", 0.01, "asof: how long a stream may be late before it is held"
        )
        hold_s = self.parameter(
            "pairing_hold_s", 0.0, "asof: oldest sample that may be used again; 0: drop instead"
        )
        streams = [*self.cameras, "joint_states", "ee_pose"]
        return Pairing(streams, "exact" if self.lockstep else chosen, tolerance_s, wait_s, hold_s)

    def on_task(self) -> None:
        """Number observations from 0 again, and forget what was stamped before the episode."""
        self.seq = 0
        self.output = InputHealth("observation")
        self.joints.reset()
        if self.task is not None:
            self.pairing.reset(after_ns=self.task.stamp_ns - 1)

    def on_sample(self, stream: str, msg: Any) -> None:
        """Take in one image, joint state or pose, and publish what it completes."""
        if self.task is None:
            return
        stamp_ns, now_ns = stamp_to_ns(msg.header.stamp), self.now_ns()
        if not self.lockstep and stamp_problem(stamp_ns, now_ns):
            self.count("refused")  # the health of the input says why
            return
        if stream in self.unseen_cameras:
            self.look_at_size(stream, msg)
        if stream in self.frozen and (problem := self.frozen[stream].problem(msg.data, now_ns)):
            self.count("refused")
            self.note_problem(f"{stream} {problem}: the camera or its driver is stuck")
            return
        sample = msg if stream != "joint_states" else self.finger_positions(msg, stamp_ns)
        if sample is not None:
            self.publish_set(self.pairing.add(stream, stamp_ns, now_ns, sample))

    def finger_positions(self, msg: JointState, stamp_ns: int) -> np.ndarray | None:
        """The fingers [m] as of this message; None where it does not complete them, or is refused."""
        with self.refusing("joint_states"):
            return self.joints.add(msg.name, msg.position, stamp_ns)
        return None

    def look_at_size(self, camera: str, msg: Any) -> None:
        """Say once, at a camera's first image, if the system is likely to lose some of them."""
        self.unseen_cameras.remove(camera)
        if warning := lossy_images(len(msg.data)):
            self.get_logger().warn(f"{camera}: {warning}")

    def publish_set(self, matched: tuple[int, dict[str, Any]] | None) -> None:
        """Preprocess and publish one matched set; one that does not make an observation is refused."""
        if matched is None or self.task is None or not (self.lockstep or self.gate.passes(matched[0])):
            return
        with self.refusing(f"observation {self.seq}"):
            self.publish_observation(self.task.episode, matched[1])

    def publish_observation(self, episode: int, samples: dict[str, Any]) -> None:
        """Publish what the policy reads of one sample of each stream."""
        start_s = time.perf_counter()
        obs = preprocess(self.raw_observation(samples), self.spec)
        self.clear_problem()
        msg = Observation(episode=episode, seq=self.seq, cameras=list(self.cameras))
        msg.header.stamp = samples[self.cameras[0]].header.stamp
        msg.header.frame_id = samples["ee_pose"].header.frame_id
        msg.images = [image_message(obs.images[c], samples[c].header) for c in self.cameras]
        msg.proprio = obs.proprio
        msg.ee_pose = samples["ee_pose"].pose
        msg.ingest_s = time.perf_counter() - start_s
        self.publisher.publish(msg)
        self.seq += 1
        self.output.arrived(self.now_ns())
        self.stats.add(msg.ingest_s, self.seconds())
        self.counters |= {"dropped": self.pairing.dropped, "held": self.pairing.held}

    def explain(self) -> str:
        """Why no observation comes out, or fewer than the policy was trained with."""
        if problem := self.output.problem(self.now_ns()):
            reason = self.joints.missing() or self.pairing.lacking()
            return f"{problem}: {reason}" if reason else problem
        return "" if self.lockstep else self.output.slow(self.control_hz)

    def raw_observation(self, samples: dict[str, Any]) -> RawObservation:
        """What the arm reports of one instant, in the policy's terms."""
        pose = samples["ee_pose"].pose
        return RawObservation(
            images={camera: image_array(samples[camera]) for camera in self.cameras},
            ee_pos=np.array([pose.position.x, pose.position.y, pose.position.z]) + self.pose_offset_m,
            ee_quat=np.array(
                [pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w]
            ),
            gripper_qpos=samples["joint_states"] * self.finger_signs,
        )


def main() -> None:
    run_node(CameraIngest)
