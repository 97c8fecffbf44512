"""run_tasks: asks task_server for one task after the other, and ends when they are done."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from hilam_msgs.action import ExecuteTask
from hilam_msgs.msg import SimulationStart
from rclpy.action import ActionClient

from hilam_core.conventions import CONTROL_HZ
from hilam_core.errors import DataError
from hilam_core.files import writable_folder
from hilam_core.runtime.episode import SUCCESS
from hilam_ros.node import NodeError, StackNode, run_node

START = ("suite", "task", "placement", "index", "seed")
CANCEL_S = 0.2  # how long the request to cancel may take to arrive before the node is gone


class RunTasks(StackNode):
    """Sends the goals of a file, or the one of the parameters.

    Without a file of results the exit code is 0 where all succeeded. With one, a line is added to it for each
    goal, and the exit code is 0 where all were performed.
    """

    def __init__(self) -> None:
        super().__init__("run_tasks")
        self.handle: Any = None

    def configure(self) -> None:
        self.control_hz = self.parameter("control_hz", float(CONTROL_HZ), "control steps a second")
        self.timeout_s = self.parameter("peer_timeout_s", 60.0, "how long task_server may take to be there")
        path = self.parameter("goals", "", "file of goals, a JSON object a line")
        results = self.parameter("results", "", "file to which results are appended, a JSON object a line")
        self.goals = read_goals(Path(path)) if path else [self.one_goal()]
        self.results = Path(results) if results else None
        if self.results is not None:
            writable_folder(self.results.parent)
        self.failures: list[str] = []
        self.asking, self.begun_s = False, 0.0
        self.client = ActionClient(self, ExecuteTask, "execute_task")
        self.create_steady_timer(0.05, self.send_next)

    def one_goal(self) -> dict[str, Any]:
        """The goal that the parameters describe."""
        return {
            "suite": self.parameter("suite", "libero_object", "LIBERO suite"),
            "task": self.parameter("task", "0", "index, name or instruction"),
            "instruction": self.parameter(
                "instruction", "", "what the policy is told; empty: the task's own"
            ),
            "placement": self.parameter("placement", "stored", "stored, fresh or scattered"),
            "index": self.parameter("init_state", 0, "index of the stored initial state"),
            "seed": self.parameter("seed", 0, "seed of the environment"),
            "max_steps": self.parameter("max_steps", 0, "time limit in control steps; 0: the suite's own"),
        }

    def activate(self) -> None:
        self.begun_s = time.monotonic()

    def send_next(self) -> None:
        """Ask for the next task, where none is under way."""
        if not self.active or self.asking or self.done.done():
            return
        if not self.goals:
            self.finish()
        elif self.client.server_is_ready():
            self.asking = True
            self.client.send_goal_async(goal_message(self.goals[0], self.control_hz)).add_done_callback(
                self.on_answer
            )
        elif time.monotonic() - self.begun_s > self.timeout_s:
            self.done.set_exception(NodeError(f"no task_server within {self.timeout_s:g} s"))

    def on_answer(self, future: Any) -> None:
        """The goal was accepted or rejected."""
        self.handle = future.result()
        if self.handle.accepted:
            self.handle.get_result_async().add_done_callback(self.on_result)
        else:
            self.done.set_exception(NodeError("the goal was rejected: task_server's log says why"))

    def on_result(self, future: Any) -> None:
        """A task is done."""
        result, goal, self.handle = future.result().result, self.goals.pop(0), None
        self.asking = False
        if result.outcome != SUCCESS:
            self.failures.append(f"{result.outcome}: {result.reason}")
        if self.results is not None:
            names = ("outcome", "reason", "episode", "steps", "duration_s", "record")
            row = {"goal": goal, **{name: getattr(result, name) for name in names}}
            with self.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
        self.send_next()

    def finish(self) -> None:
        """All are done."""
        if self.failures and self.results is None:
            self.done.set_exception(NodeError(f"no success; {'; '.join(self.failures)}"))
        else:
            self.done.set_result(None)

    def end(self) -> None:
        """A task that is under way is cancelled."""
        if self.handle is not None and self.handle.accepted:
            self.handle.cancel_goal_async()
            time.sleep(CANCEL_S)


def read_goals(path: Path) -> list[dict[str, Any]]:
    """The goals of a file.

    Raises:
        DataError: it cannot be read, or a line is no goal.
    """
    try:
        goals = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"goals '{path}' cannot be read: {error}") from None
    for number, goal in enumerate(goals, 1):
        try:
            goal_message(goal, CONTROL_HZ)
        except (TypeError, ValueError, AttributeError, AssertionError, KeyError) as error:
            raise DataError(f"goals '{path}', line {number}: {error!r}") from None
    return goals


def goal_message(goal: dict[str, Any], control_hz: float) -> ExecuteTask.Goal:
    """A goal as the action takes it."""
    start = SimulationStart(**{name: goal[name] for name in START if name in goal})
    limit_s = float(goal.get("max_steps", 0)) / control_hz
    return ExecuteTask.Goal(instruction=goal.get("instruction") or "", time_limit_s=limit_s, start=start)


def main() -> None:
    run_node(RunTasks)
