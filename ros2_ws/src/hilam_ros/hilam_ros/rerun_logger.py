"""rerun_logger: what the console shows, and joints, pose and commands, as a file for the Rerun viewer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rerun as rr
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_msgs.msg import Outcome
from sensor_msgs.msg import JointState

from hilam_core.errors import HilamError
from hilam_core.files import writable_folder
from hilam_core.runtime.console import plain
from hilam_core.runtime.health import ERROR, OK, WARN
from hilam_core.runtime.tasks import Task
from hilam_core.runtime.timing import Cycle
from hilam_ros.node import LATCHED, NodeError, run_node
from hilam_ros.watching import WATCHING, Watcher, jpeg

TEXT_LEVELS = {OK: "INFO", WARN: "WARN", ERROR: "ERROR"}
MAX_NAMES = 100  # of joints, and of nodes: more is no arm's


class RerunFile:
    """A file of the Rerun viewer; everything is at the time at which it was heard.

    It has the methods of `ConsoleState` for what every watcher hears.
    """

    def __init__(self, path: Path):
        self.stream = rr.RecordingStream("hilam")
        self.stream.save(path)
        self._said: dict[str, str] = {}

    def log(self, entity: str, content: Any) -> None:
        """Log something at the time of now."""
        self.stream.set_time("time", timestamp=time.time())
        self.stream.log(entity, content)

    def numbers(self, entity: str, values: Sequence[float]) -> None:
        """Log numbers, each a line of a plot."""
        self.log(entity, rr.Scalars(list(values)))

    def text(self, entity: str, text: str, level: str = OK) -> None:
        """Log a line of text."""
        self.log(entity, rr.TextLog(plain(text), level=TEXT_LEVELS[level]))

    def close(self) -> None:
        """Write what is still in memory."""
        self.stream.disconnect()

    def on_task(self, task: Task) -> None:
        """A task was announced, or is over."""
        doing = f"begins: {task.instruction}" if task.active else "is over"
        self.text("task", f"episode {task.episode} {doing}")

    def on_skill(self, episode: int, skill_id: int, boundary_probability: float, now_s: float) -> None:
        """The planner gave a skill."""
        self.numbers("skill/id", [skill_id])
        self.numbers("skill/boundary_probability", [boundary_probability])

    def on_cycle(self, step: int, cycle: Cycle, now_s: float) -> None:
        """The executor proposed a command."""
        for stage in ("ingest", "plan", "act", "total"):
            if (stage_s := getattr(cycle, f"{stage}_s")) is not None:
                self.numbers(f"latency_ms/{stage}", [1e3 * stage_s])

    def on_safety(self, state: str, reason: str) -> None:
        """The safety monitor follows, holds or has stopped."""
        self.text("safety", f"{state} {reason}", ERROR if state == "stopped" else OK)

    def on_status(self, name: str, level: str, message: str, values: Mapping[str, str], now_s: float) -> None:
        """A node says something of itself; the same again is not logged."""
        if self._said.get(name) != message and (name in self._said or len(self._said) < MAX_NAMES):
            self._said[name] = message
            self.text("diagnostics", f"{name}: {message}", level)

    def on_image(self, camera: str, now_s: float) -> None:
        """A camera sent an image; the node gives those that are logged to `picture`."""

    def picture(self, camera: str, data: bytes) -> None:
        """Log an image as JPEG."""
        self.log(f"camera/{camera}", rr.EncodedImage(contents=data, media_type="image/jpeg"))


class RerunLogger(Watcher):
    """Writes a file below `output`, from its activation until its end."""

    def __init__(self) -> None:
        super().__init__("rerun_logger")
        self.file: RerunFile | None = None

    def configure(self) -> None:
        super().configure()
        output = self.parameter("output", "", "folder in which the file is made")
        if not output:
            raise NodeError("rerun_logger writes into the folder of the records: give one as output")
        self.folder = writable_folder(Path(output))
        self.logged: dict[str, bytes] = {}

    def activate(self) -> None:
        if self.file is not None:
            return
        path = self.folder / f"{time.strftime('%Y%m%d-%H%M%S')}.rrd"
        self.file = RerunFile(path)
        self.watch(self.file)
        self.watch_arm(self.file)
        self.create_steady_timer(1 / self.image_hz, partial(self.log_images, self.file))
        self.get_logger().info(f"logging to {path}")

    def end(self) -> None:
        if self.file is not None:
            self.file.close()

    def watch_arm(self, file: RerunFile) -> None:
        """Subscribe to what no operator looks at: joints, pose, and what the safety monitor tells the arm."""
        joints = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        pose = self.parameter("ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped of the end effector")
        twist = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        goal = self.parameter("pose_topic", "target_pose", "geometry_msgs/PoseStamped")
        for kind, topic, log in (
            (JointState, joints, partial(log_joints, file)),
            (PoseStamped, pose, partial(log_pose, file, "ee_pose")),
            (PoseStamped, goal, partial(log_pose, file, "command/target_pose")),
            (TwistStamped, twist, partial(log_twist, file)),
        ):
            self.create_subscription(kind, topic, log, WATCHING)
        self.create_subscription(Outcome, "outcome", partial(log_outcome, file), LATCHED)

    def log_images(self, file: RerunFile) -> None:
        """Log the newest image of each camera, unless it was logged already."""
        for camera, data in self.newest_images.items():
            if data is not self.logged.get(camera):
                self.logged[camera] = data
                try:
                    file.picture(camera, jpeg(self.picture(camera)))
                except (HilamError, ValueError) as error:
                    self.note_problem(f"{camera}: {error}")


def log_joints(file: RerunFile, msg: JointState) -> None:
    """The arm's joints and fingers."""
    for name, position in list(zip(msg.name, msg.position, strict=False))[:MAX_NAMES]:
        file.numbers(f"joints/{rr.escape_entity_path_part(plain(name, 60))}", [position])


def log_pose(file: RerunFile, entity: str, msg: PoseStamped) -> None:
    """A pose of the end effector."""
    at, turned = msg.pose.position, msg.pose.orientation
    file.numbers(f"{entity}/position_m", [at.x, at.y, at.z])
    file.numbers(f"{entity}/quat_xyzw", [turned.x, turned.y, turned.z, turned.w])


def log_twist(file: RerunFile, msg: TwistStamped) -> None:
    """A command for an arm that takes velocities."""
    linear, angular = msg.twist.linear, msg.twist.angular
    file.numbers("command/linear_m_s", [linear.x, linear.y, linear.z])
    file.numbers("command/angular_rad_s", [angular.x, angular.y, angular.z])


def log_outcome(file: RerunFile, msg: Outcome) -> None:
    """An episode is over."""
    file.text("task", f"episode {msg.episode}: {msg.outcome}: {msg.reason}")


def main() -> None:
    run_node(RerunLogger)
