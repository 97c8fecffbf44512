"""The `ros2` command against a running node."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from domains import own_domain

NODE = """
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, DurabilityPolicy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from geometry_msgs.msg import PointStamped
from std_msgs.msg import String
from std_srvs.srv import SetBool

def enable(request, response):
    response.success, response.message = request.data, "done"
    return response

rclpy.init()
node = rclpy.create_node("talker", namespace="/demo")
node.declare_parameter("gain", 1.5, ParameterDescriptor(
    description="of the loop", floating_point_range=[FloatingPointRange(from_value=0.0, to_value=2.0)]))
node.declare_parameter("camera.names", ["left", "right"])
publisher = node.create_publisher(PointStamped, "point", 10)
message = PointStamped()
message.header.frame_id, message.point.x = "base", 0.5

def publish():
    message.header.stamp = (node.get_clock().now() - Duration(seconds=100)).to_msg()
    publisher.publish(message)

node.create_timer(0.02, publish)
latched_qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
latched = node.create_publisher(String, "latched", latched_qos)
latched.publish(String(data="kept"))
node.create_subscription(String, "ear", lambda message: print("heard", message.data, flush=True), 10)
node.create_service(SetBool, "enable", enable)
print("ready", flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


@pytest.fixture(scope="module")
def node_env(underlay) -> dict[str, str]:
    return own_domain(underlay)


@pytest.fixture(scope="module")
def node(node_env, tmp_path_factory):
    """The node's process; its stdout has what its subscription heard."""
    script = tmp_path_factory.mktemp("node") / "talker.py"
    script.write_text(NODE)
    process = subprocess.Popen([sys.executable, script], env=node_env, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def ros2(node, node_env):
    """Runs `ros2 ...` and returns its output; fails on another exit code than expected."""

    def run(*arguments: str, code: int = 0) -> str:
        result = subprocess.run(
            ["ros2", *arguments], env=node_env, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == code, result.stdout + result.stderr
        assert code == 0 or result.stderr.count("\n") == 1, result.stderr
        return result.stdout if code == 0 else result.stderr

    return run


def test_topics_are_listed_with_types_and_endpoints(ros2):
    listed = ros2("topic", "list", "-t").splitlines()
    assert {"/demo/point [geometry_msgs/msg/PointStamped]", "/demo/ear [std_msgs/msg/String]"} <= set(listed)
    info = ros2("topic", "info", "-v", "/demo/latched")
    assert "Type: std_msgs/msg/String" in info
    assert "Publisher count: 1" in info
    assert "Node name: talker\nNode namespace: /demo" in info
    assert "Durability: TRANSIENT_LOCAL" in info
    assert "Subscription count: 0" in info


def test_echo_prints_messages_latched_ones_too(ros2):
    message = next(yaml.safe_load_all(ros2("topic", "echo", "--once", "/demo/point")))
    assert message["header"]["frame_id"] == "base"
    assert message["point"] == {"x": 0.5, "y": 0.0, "z": 0.0}
    assert ros2("topic", "echo", "--once", "--field", "point.x", "/demo/point") == "0.5\n---\n"
    assert ros2("topic", "echo", "--once", "/demo/latched") == "data: kept\n---\n"
    assert "no field 'pont'" in ros2("topic", "echo", "--once", "--field", "pont.x", "/demo/point", code=1)
    assert "no message on '/demo/ear' for 0.2 s" in ros2(
        "topic", "echo", "--timeout", "0.2", "/demo/ear", code=1
    )


def test_pub_reaches_a_subscription(ros2, node):
    ros2("topic", "pub", "--once", "/demo/ear", "std_msgs/msg/String", "{data: hello}")
    assert node.stdout.readline() == "heard hello\n"
    ros2("topic", "pub", "-t", "2", "-r", "20", "/demo/ear", "std_msgs/String", "data: again")
    assert [node.stdout.readline() for _ in range(2)] == ["heard again\n"] * 2
    assert "unknown type 'std_msgs/msg/Strin'" in ros2("topic", "pub", "/x", "std_msgs/msg/Strin", code=1)
    assert "cannot fill String" in ros2("topic", "pub", "/x", "std_msgs/msg/String", "{dta: 1}", code=1)


@pytest.fixture
def ctrl_c(node, node_env):
    """Runs `ros2 ...` until `pattern` is in a line of its output, then presses Ctrl-C; that line."""
    started = []

    def run(pattern: str, *arguments: str) -> re.Match:
        process = subprocess.Popen(
            ["ros2", *arguments], env=node_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        for line in process.stdout:
            if match := re.search(pattern, line):
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
        assert (process.returncode, error) == (130, "")
        return match

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_statistics_of_a_topic_until_interrupted(ctrl_c):
    """50 Hz of 40 bytes, on a machine that may be busy."""
    rate = ctrl_c(r"average rate: ([\d.]+)", "topic", "hz", "/demo/point")[1]
    assert 10 < float(rate) < 60
    bandwidth = ctrl_c(r"([\d.]+) (K?B)/s from \d+ messages", "topic", "bw", "/demo/point")
    assert 400 < float(bandwidth[1]) * {"B": 1, "KB": 1000}[bandwidth[2]] < 4000
    delay = ctrl_c(r"average delay: ([\d.-]+)", "topic", "delay", "/demo/point")[1]
    assert 99 < float(delay) < 110  # the talker stamps 100 s late


def test_ctrl_c_ends_a_command_silently(ctrl_c):
    ctrl_c("frame_id: base", "topic", "echo", "/demo/point")
    ctrl_c("publishing #1", "topic", "pub", "-w", "0", "/demo/nobody", "std_msgs/msg/String")


def catches_sigint(process: subprocess.Popen) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (signal.SIGINT - 1) & 1)


def loads_modules(process: subprocess.Popen) -> bool:
    """Python has started, which catches SIGINT, and the command has not."""
    while not catches_sigint(process):
        time.sleep(0.001)
    while catches_sigint(process):
        time.sleep(0.001)
    return True


def joins_the_domain(process: subprocess.Popen) -> bool:
    return "libddsc" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize("moment", [loads_modules, joins_the_domain])
def test_ctrl_c_twice_is_silent_while_a_command_starts(node, node_env, moment):
    process = subprocess.Popen(
        ["ros2", "topic", "echo", "/demo/point"],
        env=node_env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not moment(process):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode in (130, -signal.SIGINT)
    assert error == ""


def test_topics_of_a_type_are_found(ros2):
    assert ros2("topic", "find", "geometry_msgs/msg/PointStamped") == "/demo/point\n"
    assert ros2("topic", "find", "std_msgs/String") == "/demo/ear\n/demo/latched\n"
    assert "have no header" in ros2("topic", "delay", "/demo/latched", code=1)


def test_nodes_show_what_they_offer(ros2):
    assert ros2("node", "list") == "/demo/talker\n"
    info = ros2("node", "info", "/demo/talker")
    sections = yaml.safe_load(info.split("\n", 1)[1])
    assert sections["Publishers"]["/demo/point"] == "geometry_msgs/msg/PointStamped"
    assert sections["Subscribers"]["/demo/ear"] == "std_msgs/msg/String"
    assert sections["Service Servers"]["/demo/enable"] == "std_srvs/srv/SetBool"


def test_parameters_are_read_set_and_dumped(ros2):
    names = ros2("param", "list", "/demo/talker").split()
    assert {"gain", "camera.names"} <= set(names)
    assert ros2("param", "get", "/demo/talker", "gain") == "Double value is: 1.5\n"
    assert ros2("param", "set", "/demo/talker", "gain", "0.25") == "Set parameter successful\n"
    assert ros2("param", "get", "/demo/talker", "gain") == "Double value is: 0.25\n"
    assert "setting parameter 'gain' failed" in ros2("param", "set", "/demo/talker", "gain", "7.0", code=1)
    assert "no parameter 'gian' in node '/demo/talker', choices: " in ros2(
        "param", "get", "/demo/talker", "gian", code=1
    )
    assert "of the loop" in ros2("param", "describe", "/demo/talker", "gain")
    parameters = yaml.safe_load(ros2("param", "dump", "/demo/talker"))["/demo/talker"]["ros__parameters"]
    assert parameters["camera"]["names"] == ["left", "right"]
    assert parameters["gain"] == 0.25


def test_services_are_listed_and_called(ros2):
    assert "/demo/enable [std_srvs/srv/SetBool]" in ros2("service", "list", "-t")
    assert ros2("service", "type", "/demo/enable") == "std_srvs/srv/SetBool\n"
    called = ros2("service", "call", "/demo/enable", "std_srvs/srv/SetBool", "{data: true}")
    assert "response:\nstd_srvs.srv.SetBool_Response(success=True, message='done')" in called
    wrong = ros2("service", "call", "/demo/enable", "std_srvs/srv/Trigger", code=1)
    assert "service '/demo/enable' has type std_srvs/srv/SetBool" in wrong


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("topic echo /nope", "no topic '/nope', choices: /demo/ear, /demo/latched, /demo/point"),
        ("node info /nope", "no node '/nope', choices: /demo/talker"),
        ("interface show std_msgs/msg/Strin", "std_msgs/msg/Strin"),
    ],
)
def test_what_is_not_there_is_named_with_the_choices(ros2, command, error):
    assert error in ros2(*command.split(), code=1)


def test_interfaces_are_shown(ros2):
    assert ros2("interface", "show", "std_srvs/srv/SetBool").split("---")[0].split()[:2] == ["bool", "data"]
    assert "float64 w 1" in ros2("interface", "show", "geometry_msgs/msg/Quaternion")


def test_the_command_says_what_it_can_do(ros2):
    assert "topic" in ros2()
    assert "echo" in ros2("topic", "-h")
