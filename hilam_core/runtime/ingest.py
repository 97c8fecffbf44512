"""From what cameras and an arm report to observations: the same for the live node and for a recording.

Messages are ROS messages, or objects with the same fields out of a bag. Times are integer nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hilam_core.observation import ObservationError, ObservationSpec, RawObservation
from hilam_core.runtime.images import FrozenCamera, image_array
from hilam_core.runtime.joints import JointMerge
from hilam_core.runtime.pairing import Pairing, RateGate
from hilam_core.runtime.stamps import stamp_problem, stamp_to_ns

JOINTS, POSE = "joint_states", "ee_pose"


class StampError(ObservationError):
    """A sample without a stamp, or one of the future."""


class FrozenError(ObservationError):
    """A camera that sends one picture again and again."""


@dataclass(frozen=True)
class IngestSettings:
    """What a profile says of an arm's cameras and state, by the profile's names."""

    cameras: tuple[str, ...]
    camera_topics: tuple[str, ...]
    image_size: int
    joint_states_topic: str
    finger_joints: tuple[str, ...]
    finger_signs: tuple[float, ...]
    ee_pose_topic: str
    pose_offset_m: tuple[float, ...]
    control_hz: float
    pairing: str
    pairing_tolerance_s: float
    pairing_wait_s: float
    pairing_hold_s: float
    max_frozen_s: float

    @property
    def topics(self) -> dict[str, str]:
        """The topic of each stream: the cameras, of which the first sets the pace, joint states and pose."""
        cameras = dict(zip(self.cameras, self.camera_topics, strict=True))
        return {**cameras, JOINTS: self.joint_states_topic, POSE: self.ee_pose_topic}

    @property
    def spec(self) -> ObservationSpec:
        """What a policy is shown."""
        return ObservationSpec(cameras=self.cameras, image_size=self.image_size)


class Ingest:
    """Takes samples of the streams and gives sets that belong together, `control_hz` of them a second.

    lockstep: every set counts, its stamps are equal, and the clock decides nothing.
    """

    def __init__(self, settings: IngestSettings, lockstep: bool):
        self.settings, self.lockstep = settings, lockstep
        self.joints = JointMerge(settings.finger_joints)
        self.pairing = Pairing(
            [*settings.topics],
            "exact" if lockstep else settings.pairing,
            settings.pairing_tolerance_s,
            settings.pairing_wait_s,
            settings.pairing_hold_s,
        )
        self._gate = RateGate(settings.control_hz)
        self._frozen = {camera: FrozenCamera(settings.max_frozen_s) for camera in settings.cameras}

    def begin(self, stamp_ns: int) -> None:
        """An episode begins: images stamped before this belong to none."""
        self.joints.reset()
        self.pairing.reset(after_ns=stamp_ns - 1)

    def add(self, stream: str, msg: Any, now_ns: int) -> dict[str, Any] | None:
        """Take in a message; the samples by stream of the set that it completes.

        Raises:
            StampError, FrozenError, ObservationError: it is refused.
        """
        stamp_ns = stamp_to_ns(msg.header.stamp)
        if not self.lockstep and (problem := stamp_problem(stamp_ns, now_ns)):
            raise StampError(f"{stream} {problem}")
        if stream in self._frozen and (problem := self._frozen[stream].problem(msg.data, now_ns)):
            raise FrozenError(f"{stream} {problem}: the camera or its driver is stuck")
        sample = self.joints.add(msg.name, msg.position, stamp_ns) if stream == JOINTS else msg
        return None if sample is None else self._passed(self.pairing.add(stream, stamp_ns, now_ns, sample))

    def poll(self, now_ns: int) -> dict[str, Any] | None:
        """The samples of the set that is due because time has passed."""
        return self._passed(self.pairing.poll(now_ns))

    def _passed(self, matched: tuple[int, dict[str, Any]] | None) -> dict[str, Any] | None:
        if matched is None or not (self.lockstep or self._gate.passes(matched[0])):
            return None
        return matched[1]

    def raw(self, samples: dict[str, Any]) -> RawObservation:
        """What the arm reports of one instant, in the policy's terms.

        Raises:
            ObservationError: an image cannot be read.
        """
        pose = samples[POSE].pose
        at, turned = pose.position, pose.orientation
        return RawObservation(
            images={camera: image_array(samples[camera]) for camera in self.settings.cameras},
            ee_pos=np.array([at.x, at.y, at.z]) + np.array(self.settings.pose_offset_m),
            ee_quat=np.array([turned.x, turned.y, turned.z, turned.w]),
            gripper_qpos=samples[JOINTS] * np.array(self.settings.finger_signs),
        )
