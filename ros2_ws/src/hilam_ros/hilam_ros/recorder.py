"""recorder: episodes and demonstrations as MCAP bags, one each, with all topics of the stack."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from hilam_msgs.msg import Outcome, RecorderState
from hilam_msgs.srv import StartRecording
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

from hilam_core.errors import HilamError
from hilam_core.runtime.bags import Topic
from hilam_core.runtime.ingest import IngestSettings
from hilam_core.runtime.recorder import FAILED, RECORDING, Recorder, complete_recordings
from hilam_ros.definitions import definition, message_class
from hilam_ros.node import LATCHED, StackNode, command_scale, ingest_settings, run_node

LOOK_S = 0.1  # how often topics are looked for that nobody has published yet
FLUSH_S = 1.0  # what a killed recorder loses at most
LAST_MESSAGES_S = 0.5  # for what was under way when an episode ended
# Images of two cameras for a second at 60 Hz, should the disk keep the recorder waiting.
DEPTH = 120
STACK_TOPICS = (
    *("task", "outcome", "observation", "skill", "cycle_timing", "simulation_step", "phase"),
    *("proposed_twist", "proposed_gripper", "safety_monitor/state", "emergency_stop"),
    *("teleop_keys", "teleop/state", "simulated_arm/success", "/diagnostics"),
)


class RecorderNode(StackNode):
    """Records between `~/start` and `~/stop`, and every episode of task_server by itself.

    What cannot be written ends the recording, with the reason on /diagnostics, and nothing else: an episode
    goes on.
    """

    def __init__(self) -> None:
        super().__init__("recorder")

    def configure(self) -> None:
        output = self.parameter("recordings", "recordings", "folder for the recordings' folders")
        settings, scale = ingest_settings(self), command_scale(self)
        arm_joints = self.parameter("arm_joints", ["none"], "joint names")
        facts = {"mode": self.mode, "arm_joints": list(arm_joints)}
        facts |= {"ingest": asdict(settings), "scale": asdict(scale)}
        meaning = {name: json.dumps(value) for name, value in facts.items()}
        self.recorder = Recorder(Path(output).absolute(), meaning)
        for folder in complete_recordings(self.recorder.output):
            self.get_logger().info(f"completed '{folder}', which a killed recorder left")
        self.wanted = {self.resolve_topic_name(name) for name in self.topic_names(settings)}
        self.ending_s: float | None = None
        self.said: tuple[Any, ...] = ()
        self.outcome = Outcome()

        self.state = self.create_publisher(RecorderState, "~/state", LATCHED)
        self.follow_task()
        self.create_subscription(Outcome, "outcome", self.on_outcome, LATCHED)
        self.create_service(StartRecording, "~/start", self.on_start)
        recorder = self.recorder
        operator = {"stop": recorder.finish, "keep": recorder.keep, "discard": recorder.discard}
        for name, work in operator.items():
            self.create_service(Trigger, f"~/{name}", partial(self.on_trigger, work))
        self.create_steady_timer(LOOK_S, self.look)
        self.create_steady_timer(FLUSH_S, self.recorder.flush)
        self.create_steady_timer(0.1, self.watch)

    def topic_names(self, settings: IngestSettings) -> list[str]:
        """What is recorded where it is published."""
        images = [topic.removesuffix("/compressed") for topic in settings.camera_topics]
        infos = [f"{topic.rpartition('/')[0]}/camera_info" for topic in images]
        own = {
            "twist_topic": "delta_twist_cmds",
            "pose_topic": "target_pose",
            "gripper_topic": "gripper_controller/commands",
            "joy_topic": "joy",
        }
        chosen = [self.parameter(name, default, "see the profile") for name, default in own.items()]
        more = self.parameter("record_topics", ["/tf", "/tf_static"], "further topics to record")
        return [*settings.topics.values(), *infos, *STACK_TOPICS, *chosen, *more]

    # What is recorded

    def look(self) -> None:
        """Subscribe to topics once they are published: before, type and quality are not known."""
        for name, types in self.get_topic_names_and_types():
            if name in self.wanted and self.get_publishers_info_by_topic(name):
                self.wanted.remove(name)
                self.record_topic(name, types[0])

    def record_topic(self, name: str, kind: str) -> None:
        """Subscribe to a topic as its publishers offer it."""
        offered = [info for info in self.get_publishers_info_by_topic(name) if info.topic_type == kind]
        try:
            fields = definition(kind)
        except (ImportError, AttributeError, ValueError) as error:
            self.get_logger().warn(f"{name} is not recorded, its type {kind} is unknown here: {error}")
            return
        profiles = [info.qos_profile for info in offered]
        reliable = all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in profiles)
        latched = all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in profiles)
        qos = QoSProfile(
            depth=DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        described = yaml.safe_dump([qos_entry(profile) for profile in profiles], sort_keys=False)
        topic = Topic(name, kind, fields, type_hash(offered[0]), described)
        take = partial(self.on_message, topic, latched)
        self.create_subscription(message_class(kind), name, take, qos, raw=True)

    def on_message(self, topic: Topic, latched: bool, data: bytes, info: Mapping[str, Any]) -> None:
        """Take in the bytes of a message."""
        if self.active or latched:  # what is latched comes once, perhaps before the activation
            start_s = time.perf_counter()
            self.recorder.add(topic, self.now_ns(), data, info["source_timestamp"] or 0, latched)
            self.stats.add(time.perf_counter() - start_s, self.seconds())

    # Episodes

    def on_task(self) -> None:
        """An episode is recorded from its announcement on, until shortly after its end."""
        if self.task is None:
            self.ending_s = time.monotonic() + LAST_MESSAGES_S if self.recorder.episode else None
            return
        self.ending_s = None
        self.end_episode()
        with suppress(HilamError):  # the state says why; the episode goes on without a recording
            self.recorder.start(self.task.instruction, self.now_ns(), self.task.episode)

    def on_outcome(self, msg: Outcome) -> None:
        """How the episode ended."""
        self.outcome = msg

    def end_episode(self) -> None:
        """Complete the recording of an episode, if one is under way."""
        if self.recorder.episode and self.recorder.state in (RECORDING, FAILED):
            known = self.outcome.episode == self.recorder.episode
            self.recorder.stop(self.outcome.outcome if known else "", self.outcome.reason if known else "")

    def on_start(
        self, request: StartRecording.Request, response: StartRecording.Response
    ) -> StartRecording.Response:
        """~/start"""
        if self.recorder.state == RECORDING:
            response.message = f"'{self.recorder.folder}' is being recorded: stop it first"
            return response
        try:
            response.path = str(self.recorder.start(request.instruction, self.now_ns()))
            response.success = True
        except HilamError as error:
            response.message = str(error)
        self.watch()
        return response

    def on_trigger(self, work: Any, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """~/stop, ~/keep, ~/discard"""
        try:
            work()
            response.success = self.recorder.state != FAILED
            response.message = self.recorder.reason or str(self.recorder.folder or "")
        except HilamError as error:
            response.message = str(error)
        self.watch()
        return response

    # What is said

    def watch(self) -> None:
        """Complete what has ended, and publish the state where it has changed."""
        if self.ending_s is not None and time.monotonic() > self.ending_s:
            self.ending_s = None
            self.end_episode()
        recorder = self.recorder
        seconds = int(recorder.duration_s) if recorder.state == RECORDING else 0
        what = (recorder.state, recorder.reason, recorder.folder, recorder.outcome, seconds)
        if what == self.said:
            return
        if recorder.state == FAILED and recorder.reason not in self.said:
            self.get_logger().error(f"the recording is over, what came before is readable: {recorder.reason}")
            self.count("recordings that failed")
        self.said = what
        msg = RecorderState(state=recorder.state, reason=recorder.reason, path=str(recorder.folder or ""))
        msg.header.stamp = self.get_clock().now().to_msg()
        msg.instruction, msg.episode, msg.outcome = recorder.instruction, recorder.episode, recorder.outcome
        msg.duration_s, msg.messages, msg.bytes = recorder.duration_s, recorder.messages, recorder.size
        self.state.publish(msg)
        self.report()

    def explain(self) -> str:
        """Why nothing is recorded."""
        return f"not recording: {self.recorder.reason}" if self.recorder.state == FAILED else ""

    def waiting_for(self) -> list[str]:
        """Its activation; between tasks it waits for nothing."""
        return [] if self.active else ["its activation"]

    def deactivate(self) -> None:
        """A recording under way is complete."""
        self.end()

    def end(self) -> None:
        """Complete the recording under way."""
        if hasattr(self, "recorder"):
            self.end_episode()
            self.recorder.stop()


def type_hash(info: Any) -> str:
    """RIHS01_... of a publisher's type; empty where its ROS 2 does not tell (Humble)."""
    text = str(getattr(info, "topic_type_hash", ""))
    return text if text.startswith("RIHS") else ""


def qos_entry(profile: QoSProfile) -> dict[str, Any]:
    """A publisher's quality of service as rosbag2 writes it."""
    spans = {
        name: dict(zip(("sec", "nsec"), divmod(getattr(profile, name).nanoseconds, 10**9), strict=True))
        for name in ("deadline", "lifespan", "liveliness_lease_duration")
    }
    return {
        "history": profile.history.name.lower(),
        "depth": profile.depth,
        "reliability": profile.reliability.name.lower(),
        "durability": profile.durability.name.lower(),
        "deadline": spans["deadline"],
        "lifespan": spans["lifespan"],
        "liveliness": profile.liveliness.name.lower(),
        "liveliness_lease_duration": spans["liveliness_lease_duration"],
        "avoid_ros_namespace_conventions": False,
    }


def main() -> None:
    run_node(RecorderNode)
