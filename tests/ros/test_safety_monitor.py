"""safety_monitor in the command path, with any source of commands: limits, holds, the stop and its reset."""

import os
import re
import signal
import sys
from pathlib import Path

from domains import next_domain
from ros_workspace import PACKAGES

MONITORED_ARM = Path(__file__).with_name("monitored_arm.py")
PROFILE = PACKAGES / "hilam_ros" / "config" / "franka_servo.yaml"


def start_monitor(workspace, domain, tmp_path):
    parameters = f"--params-file {PROFILE} -p autostart:=true -p stop_file:={tmp_path}/stop.json"
    return workspace.start(f"ros2 run hilam_ros safety_monitor --ros-args {parameters}", domain)


def test_the_monitor_limits_holds_and_stops_whatever_proposes_commands(workspace, tmp_path):
    domain = next_domain()
    monitor = start_monitor(workspace, domain, tmp_path)
    arm = workspace.start(f"'{sys.executable}' '{MONITORED_ARM}'", domain)
    arm.wait_for("killed: now", 300)
    (pid,) = [pid for pid, command in monitor.processes().items() if "lib/hilam_ros/safety" in command]
    os.kill(pid, signal.SIGKILL)
    start_monitor(workspace, domain, tmp_path)
    assert arm.wait() == 0, arm.output
    (speed, height) = map(float, re.search(r"at most ([\d.]+) m/s, up to z = ([\d.]+)", arm.output).groups())
    assert speed <= 0.401
    assert 0.6 < height < 0.7 + 0.4 * 0.1 + 0.01  # beyond the workspace by what it goes in max_state_age_s
    assert "gripper: 0.040 m of 1 m" in arm.output
    for button in ("latched", "plain", "best effort"):
        refused = "reset refused: not reset, because the cause lasts: /emergency_stop is true"
        assert f"{button} topic: {refused}" in arm.output
    assert "restarted: stopped: stopped by service" in arm.output
    assert "Traceback" not in monitor.output


def test_a_monitor_without_limits_is_refused(workspace):
    node = workspace.run_node("safety_monitor")
    assert node.wait() == 1
    assert "error: " in node.output and "Traceback" not in node.output
    assert "max_linear_m_s is 0.0, must be greater than 0" in node.output
