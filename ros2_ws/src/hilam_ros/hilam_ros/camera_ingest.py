"""camera_ingest: images and arm state, paired by header stamp, as the observation that policies read."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from hilam_msgs.msg import Observation
from sensor_msgs.msg import Image, JointState

from hilam_core.observation import ObservationSpec, RawObservation, preprocess
from hilam_core.runtime.pairing import Pairing, RateGate
from hilam_ros.messages import image_array, image_message, stamp_to_ns
from hilam_ros.node import NodeError, StackNode, camera_topics, run_node


class CameraIngest(StackNode):
    """Publishes `observation`; the first camera is the reference that sets the pace."""

    def __init__(self) -> None:
        super().__init__("camera_ingest")
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
        self.gate = RateGate(
            self.parameter("control_hz", 20.0, "observations a second that the policy was trained at")
        )
        self.pairing = self.make_pairing()
        self.seq = 0

        self.publisher = self.create_publisher(Observation, "observation", self.newest_or_all())
        self.follow_task()
        subscribe = partial(self.create_subscription, qos_profile=self.sensor_qos())
        inputs = [
            subscribe(Image, topic, partial(self.on_sample, camera)) for camera, topic in topics.items()
        ]
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        inputs.append(subscribe(JointState, joints_topic, partial(self.on_sample, "joint_states")))
        pose_topic = self.parameter(
            "ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped of the end effector"
        )
        inputs.append(subscribe(PoseStamped, pose_topic, partial(self.on_sample, "ee_pose")))
        self.watch(inputs, [self.publisher])
        if not self.lockstep:
            self.create_timer(
                0.005, lambda: self.publish_set(self.pairing.poll(self.get_clock().now().nanoseconds))
            )

    def make_pairing(self) -> Pairing:
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
        self.seq = 0
        if self.task is not None:
            self.pairing.reset(after_ns=stamp_to_ns(self.task.header.stamp) - 1)

    def on_sample(self, stream: str, msg: Any) -> None:
        if self.task is not None:
            now_ns = self.get_clock().now().nanoseconds
            self.publish_set(self.pairing.add(stream, stamp_to_ns(msg.header.stamp), now_ns, msg))

    def publish_set(self, matched: tuple[int, dict[str, Any]] | None) -> None:
        """Preprocess and publish one matched set; one that does not make an observation is refused."""
        if matched is None or self.task is None or not (self.lockstep or self.gate.passes(matched[0])):
            return
        start_s = time.perf_counter()
        samples = matched[1]
        try:
            raw = self.raw_observation(samples)
            obs = preprocess(raw, self.spec)
        except ValueError as error:
            self.refuse(str(error))
            return
        self.problem = ""
        msg = Observation(episode=self.task.episode, seq=self.seq, cameras=list(self.cameras))
        msg.header.stamp = samples[self.cameras[0]].header.stamp
        msg.header.frame_id = samples["ee_pose"].header.frame_id
        msg.images = [image_message(obs.images[c], samples[c].header) for c in self.cameras]
        msg.proprio = obs.proprio
        msg.ee_pose = samples["ee_pose"].pose
        msg.ingest_s = time.perf_counter() - start_s
        self.publisher.publish(msg)
        self.seq += 1
        self.stats.add(msg.ingest_s, self.seconds())
        self.counters |= {"dropped": self.pairing.dropped, "held": self.pairing.held}

    def refuse(self, reason: str) -> None:
        """An observation that must not reach the policy: the end in lockstep, a gap in real time."""
        if self.lockstep:
            raise NodeError(f"observation {self.seq}: {reason}")
        self.count("refused")
        self.problem = reason
        self.get_logger().warn(f"observation refused: {reason}", throttle_duration_sec=1.0)

    def raw_observation(self, samples: dict[str, Any]) -> RawObservation:
        pose = samples["ee_pose"].pose
        joints = samples["joint_states"]
        position = dict(zip(joints.name, joints.position, strict=False))
        missing = [name for name in self.fingers if name not in position]
        if missing:
            raise ValueError(f"joint states lack '{missing[0]}'; they have {', '.join(joints.name)}")
        return RawObservation(
            images={camera: image_array(samples[camera]) for camera in self.cameras},
            ee_pos=np.array([pose.position.x, pose.position.y, pose.position.z]) + self.pose_offset_m,
            ee_quat=np.array(
                [pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w]
            ),
            gripper_qpos=np.array([position[finger] for finger in self.fingers]) * self.finger_signs,
        )


def main() -> None:
    run_node(CameraIngest)
