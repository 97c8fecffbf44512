"""What the embedded rclpy promises beyond the behaviour that tests/conformance compares with the real one."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED_GROUP = """
import time
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from std_msgs.msg import Int32

rclpy.init()
node = rclpy.create_node("n")
publisher = node.create_publisher(Int32, "x", 10)
group = MutuallyExclusiveCallbackGroup()
node.create_subscription(Int32, "x", lambda _: time.sleep(0.4), 10, callback_group=group)
executor = MultiThreadedExecutor(3)
executor.add_node(node)
publisher.publish(Int32())
publisher.publish(Int32())
before, end = time.process_time(), time.monotonic() + 0.5
while time.monotonic() < end:
    executor.spin_once(timeout_sec=0.1)
print(time.process_time() - before)
"""


def run(source: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", source, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--nonsense"], "unknown ROS argument '--nonsense'"),
        (["--params-file", "/nowhere/missing.yaml"], "/nowhere/missing.yaml"),
        (["--log-level", "loud"], "'loud' is none of debug, info"),
        (["-p", "a:="], "parameter 'a:=': no value"),
        (["-p", "a"], "not of the form [node:]name:=value"),
        (["-p", "a:=[1, b]"], "a list holds values of one type"),
        (["-r", "a"], "not of the form [node:]from:=to"),
        (["-r", "__ns:=left"], "must be absolute"),
        (["-r"], "-r needs a value"),
    ],
)
def test_bad_arguments_are_named(ros_env, arguments, words):
    done = run("import rclpy; rclpy.init()", ros_env, "--ros-args", *arguments)
    assert done.returncode == 1 and words in done.stderr


def test_bad_parameter_files_are_named_with_the_line(ros_env, tmp_path):
    path = tmp_path / "p.yaml"
    for text, words in (
        ("n:\n  ros__parameters:\n    a: 1\n    b: [1, x]\n", "line 4: b: a list holds values of one type"),
        ("n:\n  ros__parameters: {a: \n", "no YAML, line 3"),
        ("n:\n  a: 1\n", "'n/a' is no node with 'ros__parameters'"),
    ):
        path.write_text(text)
        done = run("import rclpy; rclpy.init()", ros_env, "--ros-args", "--params-file", str(path))
        assert done.returncode == 1
        assert f"parameter file {path}: {words}" in done.stderr.splitlines()[-1]


def test_a_blocked_group_does_not_burn_cpu(ros_env):
    """A message for a group that is busy must not wake the executor again and again."""
    done = run(BLOCKED_GROUP, ros_env)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.2
