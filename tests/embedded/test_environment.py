"""Variables that no node can start with: one line instead of a traceback from every process."""

from __future__ import annotations

import subprocess

import pytest

LAUNCH_FILE = """
from launch import LaunchDescription
from launch.actions import ExecuteProcess

def generate_launch_description():
    return LaunchDescription([ExecuteProcess(cmd=["echo", "started"], output="screen")])
"""
INTERFACE = '<General><Interfaces><NetworkInterface name="no-card"/></Interfaces></General>'


@pytest.fixture
def packages(ros_env, tmp_path):
    """The environment with a package `tool` that has an executable `say`."""
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/tool").touch()
    program = tmp_path / "lib/tool/say"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho started\n")
    program.chmod(0o755)
    return {**ros_env, "AMENT_PREFIX_PATH": f"{tmp_path}:{ros_env['AMENT_PREFIX_PATH']}"}


@pytest.mark.parametrize("command", ["topic list", "launch", "run tool say"])
@pytest.mark.parametrize(
    ("variable", "value", "error"),
    [
        ("ROS_DOMAIN_ID", "300", "ROS_DOMAIN_ID is '300', not a number from 0 to 232"),
        ("ROS_DOMAIN_ID", "-1", "ROS_DOMAIN_ID is '-1'"),
        ("CYCLONEDDS_URI", "file:///no/such.xml", "can't open configuration file file:///no/such.xml"),
        ("CYCLONEDDS_URI", "{tmp_path}/broken.xml", "unknown element ({tmp_path}/broken.xml line 1)"),
        ("CYCLONEDDS_URI", INTERFACE, "no-card: does not match an available interface"),
    ],
)
def test_a_wrong_variable_is_one_line(packages, tmp_path, command, variable, value, error):
    (tmp_path / "broken.xml").write_text("<CycloneDDS><Domain><Gen")
    (tmp_path / "test.launch.py").write_text(LAUNCH_FILE)
    arguments = command.split() if command != "launch" else ["launch", str(tmp_path / "test.launch.py")]
    environment = {**packages, variable: value.format(tmp_path=tmp_path)}
    result = subprocess.run(
        ["ros2", *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 1
    assert "started" not in result.stdout
    assert result.stderr.count("\n") == 1, result.stderr
    assert error.format(tmp_path=tmp_path) in result.stderr


def test_a_right_configuration_file_is_taken(packages, tmp_path):
    (tmp_path / "right.xml").write_text(
        "<CycloneDDS><Domain><General><AllowMulticast>false</AllowMulticast></General></Domain></CycloneDDS>"
    )
    environment = {**packages, "CYCLONEDDS_URI": str(tmp_path / "right.xml")}
    result = subprocess.run(
        ["ros2", "run", "tool", "say"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "started\n", "")
