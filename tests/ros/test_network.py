"""The two halves of the stack on two machines: a slow and lossy network, and one that is cut."""

import subprocess
import time

import pytest
from domains import next_domain
from ros_workspace import PACKAGES
from wire import Wire

PROFILE = PACKAGES / "hilam_ros" / "config" / "franka_servo.yaml"
GOAL = "{instruction: pick up the milk and place it in the basket, time_limit_s: 600}"
# On a busy machine nothing comes in time.
BUSY = {"max_command_age_s": 2.0, "max_state_age_s": 2.0, "max_observation_age_s": 2.0}


@pytest.fixture
def wire():
    try:
        with Wire(delay_s=0.005, jitter_s=0.001, loss=0.01) as found:
            yield found
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")


@pytest.mark.slow
def test_the_halves_work_over_a_bad_network_and_the_arm_holds_while_it_is_cut(
    workspace, random_checkpoint, wire
):
    domain = next_domain()
    busy = " ".join(f"{name}:={value}" for name, value in BUSY.items())

    def start(place, command):
        reach = "env ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET"
        return workspace.start(f"ip netns exec {place} {reach} {command}", domain)

    given = f"--params-file {PROFILE} -p autostart:=true -p assets:=builtin -p camera_hz:=10.0"
    start(wire.arm, f"ros2 run hilam_ros simulated_arm --ros-args {given}")
    arm = start(wire.arm, f"ros2 launch hilam_ros arm.launch.py profile:=franka_servo output:=none {busy}")
    policy = f"policy:={random_checkpoint} {busy}"
    brain = start(wire.brain, f"ros2 launch hilam_ros policy.launch.py profile:=franka_servo {policy}")
    state = start(wire.arm, "ros2 topic echo /safety_monitor/state hilam_msgs/msg/SafetyState")
    arm.wait_for("task_server")
    health = start(wire.arm, "ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray")
    health.wait_for("name: task_server\n  message: ready\n")
    start(wire.arm, f"ros2 action send_goal -f /execute_task hilam_msgs/action/ExecuteTask '{GOAL}'")
    state.wait_for("state: following")
    time.sleep(2.0)
    seen = len(state.output)

    wire.whole = False
    until(lambda: "state: holding\nreason: the last proposed command" in state.output[seen:])
    seen = len(state.output)
    wire.whole = True
    until(lambda: "state: following" in state.output[seen:])
    assert "Traceback" not in arm.output + brain.output


def until(condition, limit_s=180.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
