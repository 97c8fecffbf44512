"""The owner of an arm's one episode: announces the task, begins, watches, reports the result."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from hilam_msgs.msg import CycleTiming, Task
from rclpy.qos import QoSProfile, ReliabilityPolicy

from hilam_core.runtime.episode import Episode, summary_lines
from hilam_core.runtime.timing import Cycle
from hilam_ros.messages import stamp_to_ns
from hilam_ros.node import LATCHED

EPISODE = 1
LAST_MESSAGES_S = 0.2  # for the timing of the last step to arrive


class Arm(Protocol):
    """A node that performs one episode: what its owner asks of it, besides what every node can do."""

    done: Any
    """A future, set when the episode's record is written."""

    def check_alone(self) -> None:
        """Raise NodeError where another arm, or another policy, is on the arm's topics."""

    def waiting_for(self) -> list[str]:
        """Inputs that the arm waits for before an episode can begin."""

    def start(self) -> None:
        """Publish the first observation."""

    def missing(self) -> list[str]:
        """Parts of the command for the last observation that have not come."""

    def facts(self) -> dict[str, Any]:
        """What the arm has to say about the episode, JSON-ready."""


class TaskOwner:
    """Runs `episode` on an arm, in the arm's process; `arm.done` is set when its record is written."""

    def __init__(self, arm: Arm, episode: Episode, instruction: str):
        self.arm, self.episode, self.instruction = arm, episode, instruction
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.task = arm.create_publisher(Task, "task", LATCHED)
        arm.create_subscription(CycleTiming, "cycle_timing", self.on_timing, reliable)
        arm.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        self.supervisor = arm.create_steady_timer(0.1, self.supervise)
        self.announce(active=True)

    def announce(self, active: bool) -> None:
        """Publish the task: asked for, or over."""
        msg = Task(episode=EPISODE, instruction=self.instruction, active=active)
        msg.header.stamp = self.arm.get_clock().now().to_msg()
        self.task.publish(msg)

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        """Note what the policy's nodes say, and begin once all are prepared."""
        for status in msg.status:
            prepared = any(value.key == "prepared" and value.value == "yes" for value in status.values)
            self.episode.hear(status.name, status.message, prepared)
        self.start_when_ready()

    def on_timing(self, msg: CycleTiming) -> None:
        """Note where the time of a cycle went."""
        names = ("skill_seq", "ingest_s", "plan_s", "act_s", "command_s", "waited_for_skill")
        values = {name: getattr(msg, name) for name in names}
        self.episode.account.add_cycle(Cycle(stamp_to_ns(msg.header.stamp), **values))

    def commanded(self, stamp_ns: int) -> None:
        """The arm got the command for the observation of this stamp."""
        self.episode.account.add_command(stamp_ns, self.arm.seconds() - stamp_ns * 1e-9)

    def start_when_ready(self) -> None:
        """Let the arm publish its first observation once every peer says it is prepared."""
        if self.episode.began or self.episode.unprepared() or self.lacking():
            return
        self.episode.begin(time.perf_counter())
        self.arm.get_logger().info(f"episode begins: {self.instruction}")
        self.arm.start()

    def lacking(self) -> list[str]:
        """What the arm waits for; empty where the episode does not wait for a policy."""
        lacks = self.arm.waiting_for() if self.episode.peers else []
        return [f"{self.arm.get_name()}: waiting for {what}" for what in lacks]

    def supervise(self) -> None:
        """Start the episode, refuse to wait longer than its limits, write the record when it is over."""
        now_s = time.perf_counter()
        if not self.episode.began:
            self.arm.check_alone()
            self.start_when_ready()
            self.episode.check_start(now_s, self.lacking())
        elif self.episode.over_for_s(now_s) > LAST_MESSAGES_S:
            self.finish()
        elif missing := self.arm.missing():
            self.episode.check_step(now_s, missing)

    def end(self, images: dict[str, np.ndarray], success: bool) -> None:
        """The arm took its last step."""
        self.episode.end(images, success, time.perf_counter())
        self.announce(active=False)

    def finish(self) -> None:
        """Print and write the result."""
        content = self.episode.result(self.arm.facts())
        print("\n".join(summary_lines(content)), flush=True)  # before a full disk can take it away
        print(f"written to {self.episode.recorder.write(content)}", flush=True)
        self.supervisor.cancel()
        self.arm.done.set_result(None)
