"""`ros2 action` and `ros2 lifecycle` against a running gripper."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

GRIPPER = """
import time
import rclpy
from control_msgs.action import GripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

class Gripper(LifecycleNode):
    def on_activate(self, state):
        return TransitionCallbackReturn.FAILURE

def close(handle):
    for step in range(handle.request.command.max_effort > 0 and 200 or 3):
        if handle.is_cancel_requested:
            handle.canceled()
            print("cancelled", flush=True)
            return GripperCommand.Result(position=0.5)
        handle.publish_feedback(GripperCommand.Feedback(position=step / 10))
        time.sleep(0.05)
    handle.succeed()
    return GripperCommand.Result(position=handle.request.command.position, reached_goal=True)

def judge(goal):
    return GoalResponse.REJECT if goal.command.position < 0 else GoalResponse.ACCEPT

rclpy.init()
node = Gripper("gripper", namespace="/arm")
server = ActionServer(node, GripperCommand, "close", close, goal_callback=judge,
                      cancel_callback=lambda goal: CancelResponse.ACCEPT)
print("ready", flush=True)
executor = MultiThreadedExecutor()
executor.add_node(node)
try:
    executor.spin()
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


@pytest.fixture
def gripper(ros_env):
    process = subprocess.Popen(
        [sys.executable, "-c", GRIPPER], env=ros_env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def ros2(gripper, ros_env):
    def run(*arguments: str, code: int = 0) -> str:
        result = subprocess.run(
            ["ros2", *arguments], env=ros_env, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout + result.stderr

    return run


TYPE = "control_msgs/action/GripperCommand"


def test_actions_are_listed(ros2):
    assert ros2("action", "list", "-t") == f"/arm/close [{TYPE}]\n"
    assert ros2("action", "type", "/arm/close") == f"{TYPE}\n"
    assert ros2("action", "info", "/arm/close") == (
        "Action: /arm/close\nAction clients: 0\nAction servers: 1\n    /arm/gripper\n"
    )
    assert "no action '/arm/open', choices: /arm/close" in ros2("action", "info", "/arm/open", code=1)


def test_a_goal_is_sent_with_feedback_and_result(ros2):
    done = ros2("action", "send_goal", "-f", "/arm/close", TYPE, "{command: {position: 0.2}}")
    steps = ["Sending goal:", "Feedback:\n    position: 0.0", "position: 0.1", "Result:"]
    positions = [done.index(step) for step in steps]
    assert positions == sorted(positions)
    assert "Goal accepted with ID: " in done
    assert "reached_goal: true" in done
    assert done.endswith("Goal finished with status: SUCCEEDED\n")
    refused = ros2("action", "send_goal", "/arm/close", TYPE, "{command: {position: -1.0}}", code=1)
    assert refused.endswith("the goal was rejected\n")
    wrong = ros2("action", "send_goal", "/arm/close", "control_msgs/action/ParallelGripperCommand", code=1)
    assert f"action '/arm/close' has type {TYPE}" in wrong


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_goal(gripper, ros2, ros_env, number):
    goal = "{command: {position: 0.2, max_effort: 1.0}}"
    process = subprocess.Popen(
        ["ros2", "action", "send_goal", "/arm/close", TYPE, goal],
        env=ros_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("Goal accepted"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "")
    assert out.endswith("Canceling goal...\nGoal canceled.\n")
    assert gripper.stdout.readline() == "cancelled\n"


def test_a_lifecycle_node_is_shown_and_driven(ros2):
    assert ros2("lifecycle", "nodes") == "/arm/gripper\n"
    assert ros2("lifecycle", "get", "/arm/gripper") == "unconfigured [1]\n"
    assert ros2("lifecycle", "list", "/arm/gripper").startswith(
        "- configure [1]\n\tStart: unconfigured\n\tGoal: configuring\n"
    )
    assert ros2("lifecycle", "set", "/arm/gripper", "configure") == "Transitioning successful\n"
    assert ros2("lifecycle", "get") == "/arm/gripper: inactive [2]\n"
    assert "transition 'activate' of node '/arm/gripper' failed" in ros2(
        "lifecycle", "set", "/arm/gripper", "activate", code=1
    )
    assert "no transition 'deactivate' now, choices: cleanup [2], activate [3]" in ros2(
        "lifecycle", "set", "/arm/gripper", "deactivate", code=1
    )
    assert "no node '/arm/hand' with a life cycle, choices: /arm/gripper" in ros2(
        "lifecycle", "get", "/arm/hand", code=1
    )
