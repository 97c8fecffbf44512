"""`ros2 doctor`: silent where all is well, and what it finds where it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLASH = """
import rclpy
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Int32, String

rclpy.init()
talker, ear = rclpy.create_node("talker"), rclpy.create_node("ear")
twin = rclpy.create_node("talker")
publisher = talker.create_publisher(String, "/words", qos_profile_sensor_data)
subscription = ear.create_subscription(String, "/words", print, 10)
publishers = [talker.create_publisher(String, "/mixed", 10), talker.create_publisher(Int32, "/mixed", 10)]
print("ready", flush=True)
rclpy.spin(talker)
"""


def doctor(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["ros2", "doctor", *arguments], env=env, capture_output=True, text=True, timeout=180
    )


def test_a_working_installation_passes(ros_env):
    result = doctor(ros_env, "-r")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("All 4 checks passed\n")
    assert "cyclonedds: 11." in result.stdout
    assert f"ROS_DOMAIN_ID: {ros_env['ROS_DOMAIN_ID']}" in result.stdout


def test_a_graph_that_does_not_fit_together_is_explained(ros_env):
    program = [sys.executable, "-c", CLASH]
    with subprocess.Popen(program, env=ros_env, stdout=subprocess.PIPE, text=True) as clash:
        assert clash.stdout.readline() == "ready\n"
        result = doctor(ros_env)
        clash.kill()
    assert result.returncode == 1
    assert "[ERROR] graph: 2 nodes have the name /talker" in result.stderr
    assert "topic /mixed has several types: std_msgs/msg/Int32, std_msgs/msg/String" in result.stderr
    assert "/ear does not hear /talker on /words: " in result.stderr
    assert "1 of 4 checks failed: graph" in result.stdout


@pytest.mark.parametrize(
    ("variable", "value", "level", "text"),
    [
        ("ROS_DOMAIN_ID", "300", "ERROR", "ROS_DOMAIN_ID is '300'"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNETS", "WARN", "not one of LOCALHOST, OFF"),
        ("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp", "WARN", "there is only rmw_cyclonedds_cpp here"),
    ],
)
def test_variables_are_checked(ros_env, variable, value, level, text):
    result = doctor({**ros_env, variable: value})
    assert result.returncode == (1 if level == "ERROR" else 0), result.stderr
    [line] = [line for line in result.stderr.splitlines() if "environment:" in line]
    assert line.startswith(f"[{level}]")
    assert text in line


def test_a_package_folder_that_is_gone_is_named(ros_env):
    result = doctor({**ros_env, "AMENT_PREFIX_PATH": f"/no/such/install:{ros_env['AMENT_PREFIX_PATH']}"})
    assert result.returncode == 0
    assert "[WARN] packages: AMENT_PREFIX_PATH names /no/such/install" in result.stderr
