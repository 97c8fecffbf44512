"""camera_ingest: images and arm state, paired by header stamp, as the observation that policies read."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseStamped
from hilam_msgs.msg import Observation
from sensor_msgs.msg import JointState

from hilam_core.observation import ObservationError, preprocess
from hilam_core.runtime.health import InputHealth, lossy_images
from hilam_core.runtime.ingest import JOINTS, POSE, FrozenError, Ingest, StampError
from hilam_ros.messages import image_message, image_type
from hilam_ros.node import StackNode, ingest_settings, run_node


class CameraIngest(StackNode):
    """Publishes `observation`; the first camera is the reference that sets the pace."""

    def __init__(self) -> None:
        super().__init__("camera_ingest")

    def configure(self) -> None:
        self.settings = ingest_settings(self)
        self.ingest = Ingest(self.settings, self.lockstep)
        self.output = InputHealth("observation")
        self.unseen_cameras = set(self.settings.cameras)
        self.seq = 0

        self.claim("observation")
        self.publisher = self.create_publisher(Observation, "observation", self.newest_or_all())
        self.follow_task()
        kinds = {JOINTS: JointState, POSE: PoseStamped}
        for stream, topic in self.settings.topics.items():
            kind = kinds.get(stream) or image_type(topic)
            self.listen(kind, topic, partial(self.on_sample, stream), self.sensor_qos(), stream)
        self.require_readers(self.publisher)
        if not self.lockstep:
            self.create_timer(0.005, lambda: self.publish_set(self.ingest.poll(self.now_ns())))

    def on_task(self) -> None:
        """Number observations from 0 again, and forget what was stamped before the episode."""
        self.seq = 0
        self.output = InputHealth("observation")
        self.ingest.begin(self.task.stamp_ns if self.task else 0)

    def on_sample(self, stream: str, msg: Any) -> None:
        """Take in one image, joint state or pose, and publish what it completes."""
        if self.task is None:
            return
        if stream in self.unseen_cameras:
            self.look_at_size(stream, msg)
        try:
            samples = self.ingest.add(stream, msg, self.now_ns())
        except StampError:
            self.count("refused")  # the health of the input says why
        except FrozenError as error:
            self.count("refused")
            self.note_problem(str(error))
        except ObservationError as error:
            self.refuse(f"{stream}: {error}")
        else:
            self.publish_set(samples)

    def look_at_size(self, camera: str, msg: Any) -> None:
        """Say once, at a camera's first image, if the system is likely to lose some of them."""
        self.unseen_cameras.remove(camera)
        if warning := lossy_images(len(msg.data)):
            self.get_logger().warn(f"{camera}: {warning}")

    def publish_set(self, samples: dict[str, Any] | None) -> None:
        """Preprocess and publish one matched set; one that does not make an observation is refused."""
        if samples is None or self.task is None:
            return
        with self.refusing(f"observation {self.seq}"):
            self.publish_observation(self.task.episode, samples)

    def publish_observation(self, episode: int, samples: dict[str, Any]) -> None:
        """Publish what the policy reads of one sample of each stream."""
        start_s = time.perf_counter()
        obs = preprocess(self.ingest.raw(samples), self.settings.spec)
        self.clear_problem()
        msg = Observation(episode=episode, seq=self.seq, cameras=list(self.settings.cameras))
        msg.header.stamp = samples[self.settings.cameras[0]].header.stamp
        msg.header.frame_id = samples[POSE].header.frame_id
        msg.images = [image_message(obs.images[c], samples[c].header) for c in self.settings.cameras]
        msg.proprio = obs.proprio
        msg.ee_pose = samples[POSE].pose
        msg.ingest_s = time.perf_counter() - start_s
        self.publisher.publish(msg)
        self.seq += 1
        self.output.arrived(self.now_ns())
        self.stats.add(msg.ingest_s, self.seconds())
        self.counters |= {"dropped": self.ingest.pairing.dropped, "held": self.ingest.pairing.held}

    def explain(self) -> str:
        """Why no observation comes out, or fewer than the policy was trained with."""
        if problem := self.output.problem(self.now_ns()):
            reason = self.ingest.joints.missing() or self.ingest.pairing.lacking()
            return f"{problem}: {reason}" if reason else problem
        return "" if self.lockstep else self.output.slow(self.settings.control_hz)


def main() -> None:
    run_node(CameraIngest)
