"""Launch files that take lifecycle nodes through their states, and timers in ROS time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

HEADER = """
import sys
from launch import LaunchDescription
from launch.actions import *
from launch.event_handlers import *
from launch.events import Shutdown as ShutdownEvent, matches_action
from launch_ros.actions import *
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

def node(name, *arguments, **options):
    options = {"namespace": "arm", **options}
    return LifecycleNode(executable=sys.executable, arguments=[PROGRAM, *arguments], name=name,
                         output="screen", **options)

def change(target, number):
    event = ChangeState(lifecycle_node_matcher=matches_action(target), transition_id=number)
    return EmitEvent(event=event)

def when(target, goal_state, *entities):
    return RegisterEventHandler(OnStateTransition(
        target_lifecycle_node=target, goal_state=goal_state, entities=list(entities)))

END = EmitEvent(event=ShutdownEvent())
"""
NODE = """
import sys
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

class Node(LifecycleNode):
    def step(self, what):
        print(self.get_name(), what, flush=True)
        if "die" in sys.argv:
            raise SystemExit(3)
        failed = "fail" in sys.argv and what == "activates"
        return TransitionCallbackReturn.FAILURE if failed else TransitionCallbackReturn.SUCCESS

    def on_configure(self, state):
        return self.step("configures")

    def on_activate(self, state):
        return self.step("activates")

    def on_deactivate(self, state):
        return self.step("deactivates")

rclpy.init()
try:
    rclpy.spin(Node("unnamed"))
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""
CLOCK = """
import signal
import sys
import time
import rclpy
from rosgraph_msgs.msg import Clock

from rclpy.signals import SignalHandlerOptions

rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
signal.signal(signal.SIGINT, lambda *_: sys.exit())
node = rclpy.create_node("clock")
publisher = node.create_publisher(Clock, "/clock", 10)
message = Clock()
while publisher.get_subscription_count() == 0:
    time.sleep(0.01)
while True:
    message.clock.sec += 10
    publisher.publish(message)
    time.sleep(0.05)
"""


@pytest.fixture
def launch(ros_env, tmp_path):
    """Runs a launch file with these entities; (exit code, what nodes and LogInfo said, stderr)."""
    (tmp_path / "node.py").write_text(NODE)
    (tmp_path / "clock.py").write_text(CLOCK)

    def run(entities: str, before: str = "") -> tuple[int, list[str], str]:
        path = Path(tmp_path, "test.launch.py")
        names = f"PROGRAM = '{tmp_path}/node.py'\nCLOCK = '{tmp_path}/clock.py'\n"
        description = f"def generate_launch_description():\n    return LaunchDescription([{entities}])\n"
        path.write_text(f"{HEADER}{names}{before}\n{description}")
        command = ["ros2", "launch", path]
        result = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=120)
        lines = [line for line in result.stdout.splitlines() if "python" in line or "launch.user" in line]
        said = [
            line.split("] ", 1)[1].removeprefix("[launch.user]: ") for line in lines if "process" not in line
        ]
        return result.returncode, said, result.stderr

    return run


def of_nodes(said):
    """What nodes printed. It may reach the launch after the event that makes it log something itself."""
    return [line for line in said if " is up" not in line]


def test_nodes_come_up_in_order(launch):
    """The second node is configured only once the first one is active."""
    code, said, error = launch(
        """
        camera, planner, change(camera, Transition.TRANSITION_CONFIGURE),
        when(camera, "inactive", change(camera, Transition.TRANSITION_ACTIVATE)),
        when(camera, "active", LogInfo(msg="camera is up"),
             change(planner, Transition.TRANSITION_CONFIGURE)),
        when(planner, "inactive", change(planner, Transition.TRANSITION_ACTIVATE)),
        when(planner, "active", LogInfo(msg="planner is up"), END),
        """,
        "camera, planner = node('camera'), node('planner')",
    )
    assert code == 0, error
    assert of_nodes(said) == [
        "camera configures", "camera activates", "planner configures", "planner activates",
    ]  # fmt: skip
    assert said.index("camera is up") < said.index("planner configures")
    assert said.count("planner is up") == 1
    assert "Traceback" not in error


def test_a_node_starts_itself_or_is_taken_through_a_list_of_transitions(launch):
    code, said, error = launch(
        """
        RegisterEventHandler(OnStateTransition(target_lifecycle_node=eager, goal_state="active",
                             handle_once=True, entities=[LogInfo(msg="eager is up"), led,
            LifecycleTransition(lifecycle_node_names=["/led"], transition_ids=[1, 3, 4, 3])])),
        RegisterEventHandler(OnStateTransition(target_lifecycle_node=led, start_state="deactivating",
                             entities=[when(led, "active", LogInfo(msg="led is up again"), END)])),
        eager,
        """,
        "eager, led = node('eager', autostart=True), node('led', namespace='')",
    )
    assert code == 0, error
    assert of_nodes(said) == [
        "eager configures", "eager activates",
        "led configures", "led activates", "led deactivates", "led activates",
    ]  # fmt: skip
    assert said.index("eager is up") < said.index("led configures")
    assert said.count("led is up again") == 1


def test_a_transition_that_fails_is_named(launch):
    _, said, error = launch(
        'broken, when(broken, "inactive", TimerAction(period=2.0, actions=[END]))',
        "broken = node('broken', 'fail', autostart=True)",
    )
    assert said[:2] == ["broken configures", "broken activates"]
    assert "Failed to make transition 'activate' for LifecycleNode '/arm/broken'" in error


def test_a_node_that_dies_in_a_transition_is_not_waited_for(launch):
    code, said, error = launch("node('dead', 'die', autostart=True)")
    assert (code, said) == (0, ["dead configures"])
    assert "process has died" in error and "exit code 3" in error


def test_a_timer_in_ros_time_follows_the_clock(launch):
    """1000 s of /clock, which runs 200 times too fast."""
    code, said, error = launch(
        """
        SetUseSimTime(True), ExecuteProcess(cmd=[sys.executable, CLOCK]),
        RosTimer(period=1000.0, actions=[LogInfo(msg="late"), END]),
        ROSTimer(period=500.0, actions=[LogInfo(msg="early")]),
        TimerAction(period=500.0, actions=[LogInfo(msg="never")]),
        """
    )
    assert code == 0, error
    assert said == ["early", "late"]


def test_a_timer_in_ros_time_without_simulation_is_a_timer(launch):
    code, said, error = launch("RosTimer(period=0.3, actions=[LogInfo(msg='rang')])")
    assert (code, said, error) == (0, ["rang"], "")
