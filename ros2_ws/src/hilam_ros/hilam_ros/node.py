"""What all nodes share: parameters, quality of service, health on /diagnostics, start and end."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from hilam_msgs.msg import Task
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.task import Future

from hilam_core.errors import HilamError
from hilam_core.runtime.episode import READY
from hilam_core.runtime.timing import StageStats
from hilam_core.runtime.units import CommandScale
from hilam_ros.profile import MODES

LATCHED = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class NodeError(HilamError):
    """The node cannot go on; the message is one line for the user."""


class StackNode(Node):
    """A node of the stack: knows its mode and its task, reports its health.

    Its status on /diagnostics says "ready" once its topics are matched on both sides and it has a task.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.mode = self.parameter(
            "mode", "realtime", "lockstep: answer every observation; realtime: the newest"
        )
        if self.mode not in MODES:
            raise NodeError(f"mode '{self.mode}' is not one of {', '.join(MODES)}")
        self.lockstep = self.mode == "lockstep"
        self.task: Task | None = None
        self._follows_task = False
        self.stats = StageStats()
        self.counters: dict[str, int] = {}
        self.problem = ""  # what is wrong now; empty: nothing
        self.done = Future()  # set when this node's work is over
        self._inputs: list[Subscription] = []
        self._outputs: list[Publisher] = []
        self._ticks = 0
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def parameter(self, name: str, default: Any, description: str) -> Any:
        """Declare a parameter and return its value."""
        return self.declare_parameter(name, default, ParameterDescriptor(description=description)).value

    def newest_or_all(self) -> QoSProfile:
        """Reliable; in real time only the newest message counts."""
        return QoSProfile(depth=10 if self.lockstep else 1, reliability=ReliabilityPolicy.RELIABLE)

    def sensor_qos(self) -> QoSProfile:
        """For reading an arm's topics: best effort matches every driver; lockstep must not lose any."""
        reliability = ReliabilityPolicy.RELIABLE if self.lockstep else ReliabilityPolicy.BEST_EFFORT
        return QoSProfile(depth=10, reliability=reliability)

    def follow_task(self) -> None:
        """Keep `self.task` at the active task; `on_task` is called at each change."""
        self._follows_task = True
        self._inputs.append(self.create_subscription(Task, "task", self._on_task, LATCHED))

    def on_task(self) -> None:
        """An episode began (`self.task` is set) or ended (None)."""

    def end(self) -> None:
        """The last thing this node does, on every way out; it can still publish."""

    def watch(self, inputs: Sequence[Subscription] = (), outputs: Sequence[Publisher] = ()) -> None:
        """Declare the topics this node cannot work without, and start reporting."""
        self._inputs.extend(inputs)
        self._outputs.extend(outputs)
        self.create_timer(0.2, self._tick)

    def waiting_for(self) -> list[str]:
        """What this node still lacks before it can work."""
        inputs = [topic.topic_name for topic in self._inputs]
        lacking = [f"a publisher of {name}" for name in inputs if not self.count_publishers(name)]
        lacking += [
            f"a subscriber of {o.topic_name}" for o in self._outputs if not o.get_subscription_count()
        ]
        return lacking + (["a task"] if self._follows_task and self.task is None else [])

    def count(self, counter: str) -> None:
        """Count an event for /diagnostics."""
        self.counters[counter] = self.counters.get(counter, 0) + 1

    def seconds(self) -> float:
        """Now, in seconds of the node's clock."""
        return self.get_clock().now().nanoseconds * 1e-9

    def report(self) -> None:
        """Publish this node's health now."""
        waiting = self.waiting_for()
        level = DiagnosticStatus.WARN if waiting else DiagnosticStatus.OK
        level = DiagnosticStatus.ERROR if self.problem else level
        message = self.problem or (f"waiting for {', '.join(waiting)}" if waiting else READY)
        values = {"mode": self.mode, "episode": self.task.episode if self.task else "none"}
        values |= self.stats.report(self.seconds()) | self.counters
        status = DiagnosticStatus(level=level, name=self.get_name(), message=message)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _on_task(self, task: Task) -> None:
        self.task = task if task.active else None
        self.stats = StageStats() if task.active else self.stats
        self.on_task()
        self.report()

    def _tick(self) -> None:
        """At 5 Hz until the work has begun, so that starting does not wait for it; then at 1 Hz."""
        self._ticks += 1
        if self.stats.count == 0 or self._ticks % 5 == 0:
            self.report()


def camera_topics(node: StackNode) -> dict[str, str]:
    """The cameras by the policy's names, in order, and the topic of each."""
    cameras = node.parameter(
        "cameras",
        ["agentview", "eye_in_hand"],
        "names the policy (in simulation: LIBERO) knows the cameras by",
    )
    default = [f"{camera}/image_raw" for camera in cameras]
    topics = node.parameter("camera_topics", default, "sensor_msgs/Image, one per camera")
    if len(topics) != len(cameras):
        raise NodeError(f"camera_topics has {len(topics)} entries for {len(cameras)} cameras")
    return dict(zip(cameras, topics, strict=True))


def command_scale(node: StackNode) -> CommandScale:
    """The arm's scales, from parameters of the same names."""
    default = CommandScale()
    describe = {
        "control_hz": "control steps a second that the policy was trained at",
        "position_m": "displacement in one control period at full action",
        "rotation_rad": "rotation in one control period at full action",
        "gripper_open_m": "finger position when open",
        "gripper_closed_m": "finger position when closed",
        "gripper_binary": "command only open or closed",
    }
    return CommandScale(**{n: node.parameter(n, getattr(default, n), text) for n, text in describe.items()})


def run_node(make: Callable[[], StackNode]) -> None:
    """Run a node until it is done or told to stop (exit code 0); a HilamError is one line and exit code 1.

    Every way out goes through `StackNode.end`, while it can still publish. Further signals are ignored
    meanwhile (a launch sends a second one), and the process does not wait for the interpreter to end.
    """
    told_to_stop = False

    def stop(number: int, frame: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True
        ignore_signals()

    node, code = None, 0
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = make()
        for number in STOP_SIGNALS:
            signal.signal(number, stop)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not (told_to_stop or node.done.done()):
            executor.spin_once(timeout_sec=0.1)  # a signal does not wake the wait
    except HilamError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    except Exception:
        traceback.print_exc()
        code = 1
    finally:
        ignore_signals()
        try:
            if node is not None:
                node.end()
                node.destroy_node()
            rclpy.try_shutdown()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def ignore_signals() -> None:
    """Nothing interrupts what comes now: it is the end."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
