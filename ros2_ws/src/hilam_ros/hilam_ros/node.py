"""What all nodes share: life cycle, parameters, quality of service, health on /diagnostics, the end."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from hilam_msgs.msg import Task as TaskMessage
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.service import Service
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.timer import Timer

from hilam_core.conventions import CAMERAS, CONTROL_HZ
from hilam_core.errors import HilamError
from hilam_core.runtime.health import ERROR, OK, WARN, InputHealth, judge
from hilam_core.runtime.ingest import IngestSettings
from hilam_core.runtime.limits import Limits
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_core.runtime.tasks import Task, TaskFollower
from hilam_core.runtime.timing import StageStats
from hilam_core.runtime.units import CommandScale
from hilam_ros.messages import type_name
from hilam_ros.profile import check_value

LATCHED = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
)
LEVELS = {OK: DiagnosticStatus.OK, WARN: DiagnosticStatus.WARN, ERROR: DiagnosticStatus.ERROR}
DISCOVERY_S = 1.5  # until the topics of running nodes are known (Fast DDS: 1.1 s); nodes load meanwhile
LEASE_S = 12.0  # the topics of a killed process stay known for Cyclone's lease of 10 s (Fast DDS: 20 s)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class NodeError(HilamError):
    """The node cannot go on; the message is one line for the user."""


@dataclass
class Input:
    """A topic that this node reads."""

    subscription: Subscription
    type: str  # as in the graph: "sensor_msgs/msg/Image"
    health: InputHealth
    steady: bool  # flows all the time during a task


class StackNode(LifecycleNode):
    """A node of the stack: has a life cycle, knows its mode and its task, reports its health.

    A node overrides `configure` (load, check, make topics, warm up), and where it needs them `activate` and
    `deactivate`. What arrives while it is not active is not acted on. An error in `configure` or `activate`
    ends the process with one line.

    Its status on /diagnostics is `prepared` once it is active, its topics are matched on both sides and it
    has a task, and says "ready" once data flows too. What arrives and cannot be used never ends an active
    node in real time: it is refused, and the arm holds.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.created_s = time.monotonic()
        self.done = Future()  # set when this node's work is over, or cannot begin
        self.active = False
        self.configuring = False
        self.autostart = self.parameter(
            "autostart", False, "configure and activate at the start, without a launch that does"
        )
        self._forget()

    def _forget(self) -> None:
        """As before the configuration."""
        self.stats = StageStats()
        self.counters: dict[str, int] = {}
        self._problem, self._problem_ends_s = "", 0.0
        self._tasks: TaskFollower | None = None
        self._inputs: list[Input] = []
        self._outputs: list[Publisher] = []
        self._claimed: dict[str, str] = {}  # topic -> the node that may publish it too
        self._rival = ""  # who else publishes a claimed topic, as of the last tick
        self._ticks = 0

    # The life cycle

    def configure(self) -> None:
        """Load, check, make topics, warm up; a HilamError where that cannot be done."""

    def activate(self) -> None:
        """The work begins."""

    def deactivate(self) -> None:
        """The work pauses; the arm holds still."""

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """configure: unconfigured to inactive."""
        self.configuring = True
        self._before = self._entities()
        self.mode = self.parameter(
            "mode", "realtime", "lockstep: answer every observation; realtime: the newest"
        )
        self.lockstep = self.mode == "lockstep"
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        result = self._attempt(self.configure, super().on_configure, state)
        self.create_steady_timer(0.2, self._tick)
        self.configuring = False
        return result

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """activate: inactive to active."""
        self.active = True
        result = self._attempt(self.activate, super().on_activate, state)
        if self.task:
            self._begin_task(self.task)
        self.report()
        return result

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """deactivate: active to inactive."""
        self.active = False
        if self._tasks is not None:
            self.on_task()  # there is none as long as the node is not active
        self.deactivate()
        self.report()
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """cleanup: inactive to unconfigured; what `configure` made is gone."""
        for entity in self._entities() - self._before:
            self._destroy(entity)
        self._forget()
        return super().on_cleanup(state)

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """shutdown: the process ends."""
        self.done.set_result(None)
        return super().on_shutdown(state)

    def _attempt(
        self, work: Callable[[], None], proceed: Callable[[Any], TransitionCallbackReturn], state: Any
    ) -> TransitionCallbackReturn:
        """Do the work of a transition; where it cannot be done, end this process with the error."""
        try:
            work()
        except Exception as error:  # run_node tells those that a user can put right from the others
            self.done.set_exception(error)
            return TransitionCallbackReturn.FAILURE
        return proceed(state)

    def _entities(self) -> set[Any]:
        return {*self.publishers, *self.subscriptions, *self.timers, *self.clients, *self.services}

    def _destroy(self, entity: Any) -> None:
        kinds = {
            Publisher: self.destroy_publisher,
            Subscription: self.destroy_subscription,
            Timer: self.destroy_timer,
            Client: self.destroy_client,
            Service: self.destroy_service,
        }
        next(destroy for kind, destroy in kinds.items() if isinstance(entity, kind))(entity)

    @property
    def task(self) -> Task | None:
        """The task at hand; none as long as the node is not active."""
        return self._tasks.current if self._tasks and self.active else None

    def newest_episode(self) -> int:
        """The highest number of an episode that this node has heard of."""
        return self._tasks.newest if self._tasks else 0

    def parameter(self, name: str, default: Any, description: str) -> Any:
        """Declare a parameter and return its value; a HilamError where it cannot work."""
        # Read once, at the start: a limit that seems to change in a running node must be refused.
        describe = ParameterDescriptor(description=description, read_only=True)
        if self.has_parameter(name):  # configured before
            return self.get_parameter(name).value
        try:
            value = self.declare_parameter(name, default, describe).value
        except InvalidParameterTypeException:
            raise NodeError(f"{name} is of another type, expected a value like {default!r}") from None
        check_value(name, value)
        return value

    def newest_or_all(self) -> QoSProfile:
        """Reliable; in real time only the newest message counts."""
        return QoSProfile(depth=10 if self.lockstep else 1, reliability=ReliabilityPolicy.RELIABLE)

    def sensor_qos(self) -> QoSProfile:
        """For reading an arm's topics: best effort matches every driver; lockstep must not lose any."""
        reliability = ReliabilityPolicy.RELIABLE if self.lockstep else ReliabilityPolicy.BEST_EFFORT
        return QoSProfile(depth=10, reliability=reliability)

    def claim(self, *topics: str, beside: str = "") -> None:
        """Be the only publisher of these topics: before publishing, look whether another node does.

        beside: the name of a node that may, too.

        Raises:
            NodeError: one does, and is still there after the time in which a killed one disappears.
        """
        time.sleep(max(0.0, self.created_s + DISCOVERY_S - time.monotonic()))
        deadline_s = time.monotonic() + LEASE_S
        self._claimed |= dict.fromkeys(topics, beside)
        for topic in topics:
            while self._count_claimants(topic):
                other = f"another node publishes {self.resolve_topic_name(topic)}"
                if time.monotonic() > deadline_s:
                    raise NodeError(f"{other}: stop that launch, or set another ROS_DOMAIN_ID")
                self.get_logger().info(f"{other}: waiting for it to go", throttle_duration_sec=LEASE_S)
                time.sleep(0.1)

    def _count_claimants(self, topic: str) -> int:
        if not (beside := self._claimed[topic]):
            return self.count_publishers(topic)
        return sum(info.node_name != beside for info in self.get_publishers_info_by_topic(topic))

    def require_alone(self) -> None:
        """Refuse to go on beside another publisher of a claimed topic.

        `claim` does not see all: two launches may start at the same time, and other programs do not look.

        Raises:
            NodeError: with the topic.
        """
        if rival := self.rival():
            raise NodeError(rival)

    def rival(self) -> str:
        """Who else publishes a claimed topic, as of the last tick; empty: nobody."""
        return (
            f"another node publishes {self.resolve_topic_name(self._rival)}: stop one" if self._rival else ""
        )

    def listen(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        name: str = "",
        steady: bool = True,
    ) -> None:
        """Subscribe to a topic this node cannot work without; its health is reported under `name`.

        steady: during a task it flows all the time, and a gap of half a second is a fault.
        """
        health = InputHealth(name or topic)

        def on_message(msg: Any) -> None:
            # In lockstep the clock decides nothing, so stamps are not compared with it.
            stamped = hasattr(msg, "header") and not self.lockstep
            health.arrived(self.now_ns(), stamp_to_ns(msg.header.stamp) if stamped else None)
            if self.active or kind is TaskMessage:  # a task is latched, and begins at the activation
                callback(msg)

        subscription = self.create_subscription(kind, topic, on_message, qos)
        self._inputs.append(Input(subscription, type_name(kind), health, steady))

    def follow_task(self) -> None:
        """Keep `self.task` at the active task; `on_task` is called at each change."""
        self._tasks = TaskFollower()
        self.listen(TaskMessage, "task", self._on_task, LATCHED, steady=False)

    def on_task(self) -> None:
        """An episode began (`self.task` is set) or ended (None). A HilamError refuses the task."""

    def hold(self) -> None:
        """Make the arm hold still, in the node that commands it."""

    def end(self) -> None:
        """The last thing this node does, on every way out; it can still publish."""

    def require_readers(self, *outputs: Publisher) -> None:
        """These topics must have a subscriber before this node can work."""
        self._outputs.extend(outputs)

    def create_steady_timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """A timer for what must go on when the node's clock is set back, stands still or has not begun."""
        return self.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def waiting_for(self) -> list[str]:
        """What this node still lacks before it can work."""
        lacking = [] if self.active else ["its activation"]
        lacking += ["/clock (use_sim_time is set)"] if self.now_ns() == 0 else []
        lacking += [self._lacking(i) for i in self._inputs]
        lacking += [
            f"a subscriber of {o.topic_name}" for o in self._outputs if not o.get_subscription_count()
        ]
        return list(filter(None, lacking)) + (["a task"] if self._tasks and not self.task else [])

    def explain(self) -> str:
        """Why nothing comes out of this node although its inputs flow; empty: it does."""
        return ""

    def count(self, counter: str) -> None:
        """Count an event for /diagnostics."""
        self.counters[counter] = self.counters.get(counter, 0) + 1

    def now_ns(self) -> int:
        """Now, in nanoseconds of the node's clock; 0 in simulated time that has not begun."""
        return self.get_clock().now().nanoseconds

    def seconds(self) -> float:
        """Now, in seconds of the node's clock."""
        return self.now_ns() * 1e-9

    def note_problem(self, problem: str, for_s: float = 1.0) -> None:
        """Report what is wrong for some time, unless it comes again or `clear_problem` says it is over."""
        self._problem, self._problem_ends_s = problem, time.monotonic() + for_s

    def clear_problem(self) -> None:
        """Report that the work goes well again."""
        self._problem = ""

    @contextmanager
    def refusing(self, what: str) -> Iterator[None]:
        """Handle something that arrived; where it cannot be used (HilamError, ValueError), refuse it."""
        try:
            yield
        except (HilamError, ValueError) as error:
            self.refuse(f"{what}: {error}")

    def refuse(self, reason: str) -> None:
        """Do not act on something that arrived: in lockstep the node ends, in real time the arm holds.

        Raises:
            NodeError: in lockstep.
        """
        if self.lockstep:
            raise NodeError(reason)
        self.count("refused")
        self.note_problem(reason)
        self.get_logger().error(f"refused: {reason}", throttle_duration_sec=1.0)
        self.hold()

    def report(self) -> None:
        """Publish this node's health now."""
        now_ns, lacking = self.now_ns(), self.waiting_for()
        flow = [i.health.problem(now_ns) for i in self._inputs if i.steady]
        problem = self._problem if time.monotonic() < self._problem_ends_s else ""
        level, message = judge(problem, lacking, [*flow, self.explain()])
        values = {"mode": self.mode, "prepared": "no" if lacking else "yes"}
        values |= {"newest_episode": self.newest_episode()}
        if self._tasks is not None:
            values |= {"episode": self.task.episode if self.task else 0}
        values |= {i.health.name: f"{i.type}, {i.health.report(now_ns)}" for i in self._inputs}
        values |= self.stats.report(self.seconds()) | self.counters
        status = DiagnosticStatus(level=LEVELS[level], name=self.get_name(), message=message)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _on_task(self, msg: TaskMessage) -> None:
        assert self._tasks is not None
        task = Task(msg.episode, msg.instruction, msg.active, stamp_to_ns(msg.header.stamp))
        try:
            changed = self._tasks.take(task, self.now_ns())
        except HilamError as error:
            self._refuse_task(task, error)
            changed = False
        if changed and self.active:
            self._begin_task(task)
        self.report()

    def _begin_task(self, task: Task) -> None:
        """The task at hand has become another one, or none."""
        self.clear_problem()
        self.stats = StageStats() if self.task else self.stats
        try:
            self.on_task()
        except HilamError as error:
            self._refuse_task(task, error)

    def _refuse_task(self, task: Task, error: HilamError) -> None:
        """Nobody can follow the task: there is none at hand, and the arm holds."""
        assert self._tasks is not None
        self._tasks.drop()
        self.on_task()
        self.refuse(f"task of episode {task.episode}: {error}")
        self.note_problem(f"task of episode {task.episode}: {error}", for_s=math.inf)

    def _lacking(self, wanted: Input) -> str:
        topic = wanted.subscription.topic_name
        types = sorted({info.topic_type for info in self.get_publishers_info_by_topic(topic)})
        if not types:
            return f"a publisher of {topic}"
        return "" if wanted.type in types else f"{wanted.type} on {topic}, which has {', '.join(types)}"

    def _tick(self) -> None:
        """At 5 Hz until the work has begun, so that starting does not wait for it; then at 1 Hz."""
        self._ticks += 1
        # Here and not at every step: counting takes a millisecond.
        self._rival = next((topic for topic in self._claimed if self._count_claimants(topic) > 1), "")
        if self.stats.count == 0 or self._ticks % 5 == 0:
            self.report()


def camera_topics(node: StackNode) -> dict[str, str]:
    """The cameras by the policy's names, in order, and the topic of each."""
    cameras = node.parameter(
        "cameras",
        list(CAMERAS),
        "names the policy (in simulation: LIBERO) knows the cameras by",
    )
    default = [f"{camera}/image_raw" for camera in cameras]
    topics = node.parameter("camera_topics", default, "sensor_msgs/Image, one per camera")
    if len(topics) != len(cameras):
        raise NodeError(f"camera_topics has {len(topics)} entries for {len(cameras)} cameras")
    return dict(zip(cameras, topics, strict=True))


def ingest_settings(node: StackNode) -> IngestSettings:
    """What the profile says of cameras and state, from parameters of the same names."""
    topics = camera_topics(node)
    default: dict[str, tuple[Any, str]] = {
        "image_size": (128, "side of the square images the policy reads [px]"),
        "joint_states_topic": ("joint_states", "sensor_msgs/JointState"),
        "finger_joints": (["panda_finger_joint1", "panda_finger_joint2"], "joint names"),
        "finger_signs": ([1.0, -1.0], "the policy's finger positions over the arm's"),
        "ee_pose_topic": ("ee_pose", "geometry_msgs/PoseStamped of the end effector"),
        "pose_offset_m": ([0.0] * 3, "the arm's base in the frame the policy was trained in"),
        "control_hz": (float(CONTROL_HZ), "observations a second that the policy was trained at"),
        "pairing": ("asof", "exact or asof, see docs/deployment.md"),
        "pairing_tolerance_s": (0.01, "asof: largest difference of stamps in a set"),
        "pairing_wait_s": (0.01, "asof: how long a stream may be late before it is held"),
        "pairing_hold_s": (0.0, "asof: oldest sample that may be used again; 0: drop instead"),
        "max_frozen_s": (0.0, "how long a camera may send one picture; 0: it is not looked at"),
    }
    found = {name: node.parameter(name, value, text) for name, (value, text) in default.items()}
    values = {name: tuple(v) if isinstance(default[name][0], list) else v for name, v in found.items()}
    return IngestSettings(cameras=tuple(topics), camera_topics=tuple(topics.values()), **values)


def safety_limits(node: StackNode) -> Limits:
    """The arm's limits, from parameters of the same names: all must be given, because none fits every arm."""
    number, numbers, describe = 0.0, [0.0], "limit of this arm, see its profile"
    defaults: dict[str, Any] = {field.name: number for field in fields(Limits)}
    defaults |= {"workspace_min_m": [0.0] * 3, "workspace_max_m": [0.0] * 3}
    defaults |= {"arm_joints": ["none"], "joint_min_rad": numbers, "joint_max_rad": numbers}
    found = {name: node.parameter(name, default, describe) for name, default in defaults.items()}
    return Limits(**{name: tuple(v) if isinstance(defaults[name], list) else v for name, v in found.items()})


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

    Every way out goes through `StackNode.end`, while it can still publish. Further signals change nothing (a
    launch sends a second one), and the process does not wait for the interpreter to end.
    """
    node, code, told_to_stop = None, 0, False

    def stop(number: int, frame: object) -> None:
        nonlocal told_to_stop
        told_to_stop = True
        if node is not None and node.configuring:  # which may take long; nothing moves yet
            os._exit(0)

    def handle_signals() -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, stop)

    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        node = make()
        handle_signals()  # until here Ctrl-C ends the process at once, see main.py
        if node.autostart and node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            node.trigger_activate()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not (told_to_stop or node.done.done()):
            executor.spin_once(timeout_sec=0.1)  # a signal does not wake the wait
        if node.done.done():
            node.done.result()
    except HilamError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        code = 1
    except Exception:
        traceback.print_exc()
        code = 1
    finally:
        handle_signals()
        try:
            if node is not None:
                node.configuring = False
                node.end()
                node.destroy_node()
            rclpy.try_shutdown()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
