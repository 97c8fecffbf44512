"""Actions between a server's and a client's process: feedback, result, rejection, cancellation, failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ACTION = "int32 order\nbool fail\n---\nint32[] sequence\n---\nint32[] partial\n"
STUB = "from embedded_dds.types import install_package\n\ninstall_package(__name__)\n"

SERVER = """
import time
import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from count_msgs.action import Count

rclpy.init()
node = rclpy.create_node("counter")

def execute(goal):
    feedback = Count.Feedback()
    for i in range(goal.request.order):
        if goal.is_cancel_requested:
            goal.canceled()
            return Count.Result(sequence=feedback.partial)
        if goal.request.fail and i == 2:
            raise RuntimeError("counting failed")
        feedback.partial.append(i)
        goal.publish_feedback(feedback)
        time.sleep(0.02)
    goal.succeed()
    return Count.Result(sequence=feedback.partial)

ActionServer(
    node, Count, "count", execute,
    goal_callback=lambda goal: GoalResponse.ACCEPT if goal.order >= 0 else GoalResponse.REJECT,
    cancel_callback=lambda goal: CancelResponse.ACCEPT,
)
executor = MultiThreadedExecutor(3)
executor.add_node(node)
print("ready", flush=True)
try:
    executor.spin()
except ExternalShutdownException:
    pass
"""

CLIENT = """
import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient, get_action_names_and_types
from count_msgs.action import Count

rclpy.init()
node = rclpy.create_node("client")
client = ActionClient(node, Count, "count")
assert client.wait_for_server(timeout_sec=60.0)

def wait(future):
    rclpy.spin_until_future_complete(node, future, timeout_sec=60.0)
    assert future.done()
    return future.result()

seen = []
handle = wait(client.send_goal_async(Count.Goal(order=4), lambda m: seen.append(len(m.feedback.partial))))
answer = wait(handle.get_result_async())
print(handle.accepted, list(answer.result.sequence), answer.status == GoalStatus.STATUS_SUCCEEDED, seen)

print(wait(client.send_goal_async(Count.Goal(order=-1))).accepted)

handle = wait(client.send_goal_async(Count.Goal(order=1000)))
result = handle.get_result_async()
answer = wait(handle.cancel_goal_async())
print(len(answer.goals_canceling), wait(result).status == GoalStatus.STATUS_CANCELED)
print(wait(handle.cancel_goal_async()).return_code)

handle = wait(client.send_goal_async(Count.Goal(order=9, fail=True)))
print(wait(handle.get_result_async()).status == GoalStatus.STATUS_ABORTED)
print(get_action_names_and_types(node))
"""


@pytest.fixture
def env(ros_env, tmp_path):
    definition = tmp_path / "share" / "count_msgs" / "action" / "Count.action"
    stub = tmp_path / "lib" / "count_msgs" / "__init__.py"
    for path, text in ((definition, ACTION), (stub, STUB)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return {
        **ros_env,
        "AMENT_PREFIX_PATH": f"{tmp_path}:{ros_env['AMENT_PREFIX_PATH']}",
        "PYTHONPATH": f"{Path(tmp_path) / 'lib'}:{ros_env['PYTHONPATH']}",
    }


def test_goals_feedback_results_and_cancellation(env):
    pipes = {"env": env, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    server = subprocess.Popen([sys.executable, "-c", SERVER], **pipes)
    try:
        assert server.stdout.readline() == "ready\n"
        client = subprocess.run([sys.executable, "-c", CLIENT], timeout=240, check=False, **pipes)
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=120)
    assert client.stdout.splitlines() == [
        "True [0, 1, 2, 3] True [1, 2, 3, 4]",
        "False",
        "1 True",
        "3",
        "True",
        "[('/count', ['count_msgs/action/Count'])]",
    ], client.stderr + errors
    assert "counting failed" in errors and server.returncode == 0
