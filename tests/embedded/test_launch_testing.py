"""Launch tests as packages have them, run by pytest and by `launch_test`."""

from __future__ import annotations

import subprocess
import sys

import pytest

TEST = """
import sys
import unittest

import launch_testing
import launch_testing.actions
import launch_testing.markers
import pytest
import rclpy
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration
from launch_testing.asserts import assertExitCodes, assertInStdout, assertSequentialStdout
from std_msgs.msg import String

TALKER = '''
import sys, rclpy
from rclpy.executors import ExternalShutdownException
from std_msgs.msg import String
rclpy.init()
node = rclpy.create_node("talker")
publisher = node.create_publisher(String, "words", 10)
node.create_timer(0.05, lambda: publisher.publish(String(data=sys.argv[1])))
print("first", flush=True)
print("second", flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    print("third", flush=True)
'''

@pytest.mark.launch_test
@launch_testing.parametrize("word", ["hello", "bye"])
def generate_test_description(word):
    talker = ExecuteProcess(cmd=[sys.executable, "-c", TALKER, word], name="talker")
    return LaunchDescription([talker, launch_testing.actions.ReadyToTest()]), {"talker": talker}

class TestWhileItRuns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rclpy.init()

    @classmethod
    def tearDownClass(cls):
        rclpy.shutdown()

    def setUp(self):
        self.node = rclpy.create_node("ear")

    def tearDown(self):
        self.node.destroy_node()

    def test_it_talks(self, proc_output, talker, word):
        proc_output.assertWaitFor("second", process=talker, timeout=60, stream="stdout")
        heard = []
        self.node.create_subscription(String, "words", lambda message: heard.append(message.data), 10)
        while not heard:
            rclpy.spin_once(self.node, timeout_sec=0.1)
        self.assertEqual(heard[0], EXPECTED or word)

    def test_it_runs(self, proc_info):
        proc_info.assertWaitForStartup("talker", timeout=60)
        self.assertEqual(list(proc_info), [])

@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    def test_it_ended_cleanly(self, proc_info, talker):
        assertExitCodes(proc_info, process=talker)
        self.assertEqual(proc_info[talker].returncode, 0)

    def test_it_said_everything(self):
        assertInStdout(self.proc_output, ["first", "third"], "talker")
        with assertSequentialStdout(self.proc_output, self.talker) as output:
            for word in ("first", "second", "third"):
                output.assertInStdout(word)
"""
ENDS = """
import pytest, unittest
import launch_testing, launch_testing.actions, launch_testing.markers
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration

@pytest.mark.launch_test
{mark}
def generate_test_description():
    return LaunchDescription([DeclareLaunchArgument("code", default_value="3"),
        ExecuteProcess(cmd=["sh", "-c", ["exit ", LaunchConfiguration("code")]], name="short"), {ready}])

class TestIt(unittest.TestCase):
    def test_it_ends(self, proc_info, test_args):
        proc_info.assertWaitForShutdown("short", timeout=60)
        self.assertEqual(proc_info["short"].returncode, int(test_args.get("code", 3)))
"""
READY = "launch_testing.actions.ReadyToTest()"
ALIVE = "@launch_testing.markers.keep_alive"


@pytest.fixture
def run(ros_env, tmp_path):
    """Runs a launch test with one of the two programs."""

    def run_test(source: str, *arguments: str, program: str = "pytest", code: int = 0) -> str:
        path = tmp_path / "test_it.py"
        path.write_text(source)
        command = ["launch_test"] if program == "launch_test" else [sys.executable, "-m", "pytest", "-v"]
        result = subprocess.run(
            [*command, str(path), *arguments],
            env=ros_env, cwd=tmp_path, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        output = result.stdout + result.stderr
        assert result.returncode == code, output
        return output

    return run_test


@pytest.mark.parametrize("program", ["pytest", "launch_test"])
def test_a_launch_test_passes(run, program):
    output = run(f"EXPECTED = ''\n{TEST}", program=program)
    if program == "pytest":
        assert "test_it.py::launch[hello] PASSED" in output and "2 passed" in output
    else:
        assert output.endswith("Ran 8 tests, 0 failed\n")


@pytest.mark.parametrize("program", ["pytest", "launch_test"])
def test_a_failure_is_shown(run, program):
    output = run(f"EXPECTED = 'hello'\n{TEST}", program=program, code=1)
    assert "TestWhileItRuns.test_it_talks" in output
    assert "AssertionError: 'bye' != 'hello'" in output
    assert ("1 failed, 1 passed" if program == "pytest" else "Ran 8 tests, 1 failed") in output


def test_a_launch_that_ends_may_be_kept_alive(run):
    kept = ENDS.replace("{mark}", ALIVE).replace("{ready}", READY)
    run(kept)
    run(kept, "--launch-args", "code:=4")
    run(kept, "code:=5", program="launch_test")


def test_a_launch_that_cannot_be_tested_fails(run):
    never = ENDS.replace("{mark}", "").replace("{ready}", "")
    assert "the test description has no ReadyToTest action" in run(never, code=1)
    late = ENDS.replace("{mark}", "").replace("{ready}", f"ExecuteProcess(cmd=['no-such-program']), {READY}")
    assert "the launch failed, see its output" in run(late, code=1)


def test_other_modules_are_collected_as_ever(run):
    plain = "def test_one(): pass\ndef test_two(): pass\ndef generate_test_description(): pass\n"
    assert "2 passed" in run(plain)
