"""console: a web page from which an operator watches and runs the stack."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from action_msgs.srv import CancelGoal
from hilam_msgs.action import ExecuteTask
from hilam_msgs.msg import KnownInstructions, Outcome, RecorderState, SimulationStart, TeleopKeys, TeleopState
from hilam_msgs.srv import StartRecording
from rclpy.action import ActionClient
from std_srvs.srv import Trigger

from hilam_core.files import state_folder
from hilam_core.runtime.console import ConsoleState, Order, View
from hilam_ros.console_guard import is_loopback, read_token
from hilam_ros.console_page import Server
from hilam_ros.node import LATCHED, NodeError, run_node
from hilam_ros.watching import Watcher

VIEW_S = 0.2  # how often the page's content is made anew
RATES_S = 0.5
PRESENT_S = 1.0  # asking takes a millisecond each
KEYS_S = 0.05  # teleop holds still 0.3 s after the last message
ANSWER_S = 3.0  # what has not answered by then is said to be silent
# What a button asks: the service, and what the operator reads.
SERVICES = {
    "stop": "safety_monitor/stop",
    "reset": "safety_monitor/reset",
    "success": "task_server/declare_success",
    "failure": "task_server/declare_failure",
    "stop recording": "recorder/stop",
    "keep": "recorder/keep",
    "discard": "recorder/discard",
}


class Console(Watcher):
    """Serves the page. It reads without ever making a writer wait, and asks for what a button says.

    ROS runs in the main thread, the page in another: `view` is replaced as a whole, and `submit` gives work
    to the main thread.
    """

    def __init__(self) -> None:
        super().__init__("console")
        self.server: Server | None = None
        self.view = View()
        self.works: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def configure(self) -> None:
        super().configure()
        self.simulated = self.parameter("simulated", False, "the arm is a simulation that can be reset")
        self.suite = self.parameter("suite", "libero_object", "simulation: LIBERO suite of the scenes")
        self.scenes = list_scenes(self.suite) if self.simulated else []
        self.state = ConsoleState(tuple(self.image_topics))
        self.watch(self.state)
        self.create_subscription(Outcome, "outcome", self.on_outcome, LATCHED)
        self.create_subscription(KnownInstructions, "known_instructions", self.on_known, LATCHED)
        self.create_subscription(RecorderState, "recorder/state", self.on_recorder, LATCHED)
        self.create_subscription(TeleopState, "teleop/state", self.on_teleop, LATCHED)
        self.action = ActionClient(self, ExecuteTask, "execute_task")
        # Any goal, whoever has sent it, also before this node was started.
        self.cancel_client = self.create_client(CancelGoal, "execute_task/_action/cancel_goal")
        self.record_client = self.create_client(StartRecording, "recorder/start")
        self.asks = {name: self.create_client(Trigger, service) for name, service in SERVICES.items()}
        self.keys = self.create_publisher(TeleopKeys, "teleop_keys", 1)
        self.unanswered: dict[str, float] = {}
        self.wake = self.create_guard_condition(self.work)
        self.create_steady_timer(VIEW_S, self.look)
        self.create_steady_timer(RATES_S, lambda: self.state.sample_rates(time.monotonic()))
        self.create_steady_timer(PRESENT_S, self.look_around)
        self.create_steady_timer(KEYS_S, self.send_keys)
        if self.server is None:  # it goes on while the node is configured anew
            self.server = self.make_server()

    def make_server(self) -> Server:
        """The page's server, listening; it needs a token where other machines can reach it."""
        host = self.parameter("console_host", "127.0.0.1", "address of the page: others than this machine's")
        port = self.parameter("console_port", 8080, "port of the page; 0: one that is free")
        given = self.parameter("console_token_file", "", "file with the token; empty: the user's own")
        loopback = is_loopback(host)
        path = Path(given) if given else state_folder("console_token")
        token = "" if loopback and not given else read_token(path)
        try:
            listening = socket.create_server((host, port), family=family_of(host))
        except (OSError, OverflowError) as error:
            reason = f"{error.strerror or error}"
            raise NodeError(f"cannot listen at console_host {host}, console_port {port}: {reason}") from None
        where = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        self.get_logger().info(f"operator console: {where}{f', its token is in {path}' if token else ''}")
        return Server(self, listening, token, loopback)

    def activate(self) -> None:
        assert self.server is not None
        self.server.start()

    def end(self) -> None:
        if self.server is not None:
            self.server.stop()

    # What the page asks for, from its own thread

    def submit(self, ask: Callable[[], None]) -> None:
        """Have this node's thread do something, soon."""
        self.works.put(ask)
        self.wake.trigger()

    def work(self) -> None:
        """Do what was submitted."""
        while not self.works.empty():
            ask = self.works.get()
            if self.active:
                ask()
            else:
                self.state.note("the console is not active: nothing was done", bad=True)
        self.look()

    # In this node's thread

    def look(self) -> None:
        """Make the view of now."""
        now_s = time.monotonic()
        for name in [name for name, asked_s in self.unanswered.items() if now_s - asked_s > ANSWER_S]:
            del self.unanswered[name]
            self.state.note(f"{name}: no answer within {ANSWER_S:g} s", bad=True)
        self.view = self.state.view(now_s)

    def look_around(self) -> None:
        """Which nodes are there that buttons need."""
        there = {
            "task_server": self.action.server_is_ready(),
            "safety_monitor": self.asks["stop"].service_is_ready(),
            "recorder": self.record_client.service_is_ready(),
            "teleop": self.count_publishers("teleop/state") > 0,
        }
        self.state.present = frozenset(name for name, ready in there.items() if ready)

    def ask(self, name: str) -> None:
        """Call a service that takes nothing."""
        self.call(name, self.asks[name], Trigger.Request())

    def call(self, name: str, client: Any, request: Any) -> None:
        """Call a service, and tell the operator the answer."""
        if not client.service_is_ready():
            self.state.note(f"{name}: {client.srv_name} is not there", bad=True)
            return
        self.unanswered[name] = time.monotonic()
        client.call_async(request).add_done_callback(partial(self.on_answer, name))

    def on_answer(self, name: str, future: Any) -> None:
        """A service answered."""
        self.unanswered.pop(name, None)
        answer = future.result()
        words = answer.message or ("done" if answer.success else "refused")
        self.state.note(f"{name}: {words}", bad=not answer.success)

    def start_task(self, order: Order) -> None:
        """Ask task_server for a task."""
        if not self.action.server_is_ready():
            self.state.note("start: task_server is not there", bad=True)
            return
        start = SimulationStart()
        if self.simulated:
            start = SimulationStart(suite=self.suite, task=order.scene, placement=order.placement)
            start.index, start.seed = order.index, order.seed
        goal = ExecuteTask.Goal(instruction=order.instruction, time_limit_s=order.time_limit_s, start=start)
        self.unanswered["start"] = time.monotonic()
        self.action.send_goal_async(goal).add_done_callback(self.on_goal_answer)

    def on_goal_answer(self, future: Any) -> None:
        """The goal was accepted or rejected."""
        self.unanswered.pop("start", None)
        if future.result().accepted:
            self.state.note("start: accepted")
        else:  # why comes on /diagnostics
            self.state.note("start: rejected", bad=True)

    def cancel_task(self) -> None:
        """Cancel every goal: a request without a goal and a time means all of them."""
        if not self.cancel_client.service_is_ready():
            self.state.note("cancel: task_server is not there", bad=True)
            return
        self.unanswered["cancel"] = time.monotonic()
        self.cancel_client.call_async(CancelGoal.Request()).add_done_callback(self.on_cancel_answer)

    def on_cancel_answer(self, future: Any) -> None:
        """task_server cancels what is under way."""
        self.unanswered.pop("cancel", None)
        if future.result().goals_canceling:
            self.state.note("cancel: the task is being cancelled")
        else:
            self.state.note("cancel: no task is under way", bad=True)

    def press(self, keys: list[str]) -> None:
        """These keys are down in a window."""
        self.state.press(keys, time.monotonic())
        self.send_keys()

    def start_recording(self, instruction: str) -> None:
        """Record a demonstration."""
        self.call("record", self.record_client, StartRecording.Request(instruction=instruction))

    def send_keys(self) -> None:
        """Tell teleop which keys are down, and once that none is."""
        if (pressed := self.state.keys_to_send(time.monotonic())) is None or not self.active:
            return
        msg = TeleopKeys(pressed=pressed)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.keys.publish(msg)

    # What is heard beside what every watcher hears

    def on_outcome(self, msg: Outcome) -> None:
        """An episode is over."""
        self.state.on_outcome(msg.episode, msg.outcome, msg.reason)

    def on_known(self, msg: KnownInstructions) -> None:
        """Which instructions the policy knows."""
        self.state.on_instructions(msg.instructions, msg.others)

    def on_recorder(self, msg: RecorderState) -> None:
        """What the recorder does."""
        self.state.on_recorder(msg.state, msg.reason, msg.path, msg.duration_s, msg.bytes)

    def on_teleop(self, msg: TeleopState) -> None:
        """Whether a person drives the arm."""
        self.state.on_teleop(msg.active, msg.source)


def family_of(host: str) -> socket.AddressFamily:
    """The kind of network of an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def list_scenes(suite: str) -> list[str]:
    """The scenes that a simulation can be reset to, by the instruction of their tasks."""
    from hilam_sim.tasks import list_tasks

    return [task.instruction for task in list_tasks(suite)]


def main() -> None:
    run_node(Console)
