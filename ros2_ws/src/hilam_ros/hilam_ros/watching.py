"""What the nodes that only look share: the topics of the stack, read so that nobody ever waits for them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from hilam_msgs.msg import CycleTiming, LatentSkill, SafetyState
from hilam_msgs.msg import Task as TaskMessage
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from hilam_core.runtime.health import ERROR, OK, WARN
from hilam_core.runtime.images import image_array
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_core.runtime.tasks import Task
from hilam_core.runtime.timing import Cycle
from hilam_ros.messages import image_type
from hilam_ros.node import LATCHED, StackNode, camera_topics

# Best effort: a reader that is slow, or stopped, never makes a writer wait or send again.
WATCHING = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
MAX_WIDTH_PX, JPEG_QUALITY = 640, 80  # some 40 kB an image
LEVELS = {DiagnosticStatus.OK: OK, DiagnosticStatus.WARN: WARN}


class Watcher(StackNode):
    """A node that looks at the stack, and tells `seen` what it hears (it has `ConsoleState`'s methods).

    Images come as they are on the wire; `picture` decodes the newest one where somebody wants it.
    """

    def configure(self) -> None:
        self.image_topics = camera_topics(self)
        self.image_hz = self.parameter("watch_image_hz", 5.0, "images a second of each camera, at most")
        self.newest_images: dict[str, bytes] = {}

    def watch(self, seen: Any) -> None:
        """Subscribe; `seen` is called from this node's thread."""
        self.seen = seen
        self.create_subscription(TaskMessage, "task", self.on_task_message, LATCHED)
        self.create_subscription(SafetyState, "safety_monitor/state", self.on_safety, LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, WATCHING)
        self.create_subscription(LatentSkill, "skill", self.on_skill, WATCHING)
        self.create_subscription(CycleTiming, "cycle_timing", self.on_cycle, WATCHING)
        for camera, topic in self.image_topics.items():
            on_image = partial(self.on_image, camera)
            self.create_subscription(image_type(topic), topic, on_image, NEWEST, raw=True)

    def on_task_message(self, msg: TaskMessage) -> None:
        """A task was announced, or is over."""
        self.seen.on_task(Task(msg.episode, msg.instruction, msg.active, stamp_to_ns(msg.header.stamp)))

    def on_safety(self, msg: SafetyState) -> None:
        """What the safety monitor does."""
        self.seen.on_safety(msg.state, msg.reason)

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        """What nodes and drivers say of themselves."""
        for status in msg.status:
            level, values = (
                LEVELS.get(status.level, ERROR),
                {value.key: value.value for value in status.values},
            )
            self.seen.on_status(status.name, level, status.message, values, time.monotonic())

    def on_skill(self, msg: LatentSkill) -> None:
        """The planner gave a skill."""
        self.seen.on_skill(msg.episode, msg.id, msg.boundary_probability, time.monotonic())

    def on_cycle(self, msg: CycleTiming) -> None:
        """The executor proposed a command."""
        names = ("skill_seq", "ingest_s", "plan_s", "act_s", "command_s", "waited_for_skill", "total_s")
        cycle = Cycle(stamp_to_ns(msg.header.stamp), **{name: getattr(msg, name) for name in names})
        self.seen.on_cycle(msg.seq, cycle, time.monotonic())

    def on_image(self, camera: str, data: bytes) -> None:
        """Keep the newest image as it came: decoding is for those that are looked at."""
        self.newest_images[camera] = data
        self.seen.on_image(camera, time.monotonic())

    def picture(self, camera: str) -> Any:
        """The newest image of a camera, RGB uint8[H, W, 3]; None before the first one.

        Raises:
            ObservationError: it cannot be read.
        """
        data = self.newest_images.get(camera)
        if data is None:
            return None
        return image_array(deserialize_message(data, image_type(self.image_topics[camera])))


def jpeg(image: np.ndarray) -> bytes:
    """RGB uint8[H, W, 3] -> JPEG, shrunk to the width that is looked at."""
    height, width = image.shape[:2]
    if width > MAX_WIDTH_PX:
        size = (MAX_WIDTH_PX, round(height * MAX_WIDTH_PX / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
