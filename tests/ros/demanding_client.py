"""Asks task_server for tasks, good and bad, and prints what came of each.

A second one while the first is under way; the first cancelled while the arm moves; one that is not there; one
of another scene; and a reset to an episode that is over.
"""

import sys
import time
from functools import partial

import rclpy
from geometry_msgs.msg import TwistStamped
from hilam_msgs.action import ExecuteTask
from hilam_msgs.msg import SimulationStart
from hilam_msgs.srv import ResetSimulation
from rclpy.action import ActionClient
from rclpy.node import Node

LIMIT_S = 180.0


class DemandingClient(Node):
    def __init__(self) -> None:
        super().__init__("demanding_client")
        self.action = ActionClient(self, ExecuteTask, "execute_task")
        self.reset = self.create_client(ResetSimulation, "reset_simulation")
        self.moves: list[bool] = []  # whether a command to the arm moves it
        self.proposals: list[bool] = []  # whether the policy proposes to move it
        for topic, seen in (("delta_twist_cmds", self.moves), ("proposed_twist", self.proposals)):
            self.create_subscription(TwistStamped, topic, partial(self.on_twist, seen), 10)
        self.feedback: list[ExecuteTask.Feedback] = []

    def on_twist(self, seen: list[bool], msg: TwistStamped) -> None:
        linear, angular = msg.twist.linear, msg.twist.angular
        seen.append(any((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)))

    def until(self, condition) -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, "nothing came"
            rclpy.spin_once(self, timeout_sec=0.1)

    def answer(self, future):
        self.until(future.done)
        return future.result()

    def ask(self, limit_s: float, **start):
        goal = ExecuteTask.Goal(time_limit_s=limit_s, start=SimulationStart(**start))
        return self.answer(self.action.send_goal_async(goal, feedback_callback=self.on_feedback))

    def on_feedback(self, msg) -> None:
        self.feedback.append(msg.feedback)

    def result(self, handle, name: str) -> ExecuteTask.Result:
        result = self.answer(handle.get_result_async()).result
        print(f"{name}: {result.outcome}: {result.reason}", flush=True)
        return result


def main() -> int:
    rclpy.init()
    node = DemandingClient()
    assert node.action.wait_for_server(LIMIT_S)
    first = node.ask(600.0, suite="libero_object", task="0")
    print("second accepted:", node.ask(600.0, suite="libero_object", task="1").accepted)
    node.until(lambda: len(node.moves) > 10 and node.moves[-1] and len(node.feedback) > 3)
    cancelled = node.answer(first.cancel_goal_async())
    commands, proposals = len(node.moves), len(node.proposals)
    node.until(lambda: len(node.moves) > commands and not node.moves[-1])
    print("goals cancelled:", len(cancelled.goals_canceling))
    print("proposals to move after the cancel:", sum(node.proposals[proposals:]))
    first_result = node.result(first, "first")
    print("feedback names its episode:", node.feedback[-1].episode == first_result.episode)
    print("feedback counts:", node.feedback[0].step < node.feedback[-1].step <= first_result.steps)
    node.result(node.ask(600.0, suite="libero_object", task="99"), "missing")
    other = node.result(
        node.ask(0.5, suite="libero_object", task="3", placement="scattered", seed=5), "other scene"
    )
    print("episodes grow:", 0 < first_result.episode < other.episode)
    start = SimulationStart(suite="libero_object", task="0")
    past = node.answer(node.reset.call_async(ResetSimulation.Request(episode=1, start=start)))
    print("past:", past.message, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
