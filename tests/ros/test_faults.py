"""What goes wrong around a moving arm: named, refused, and never the end of the stack."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml
from domains import next_domain

DRIVER = Path(__file__).with_name("faulty_driver.py")
MOTION_WATCH = Path(__file__).with_name("motion_watch.py")
STOPPED_CLOCK = Path(__file__).with_name("stopped_clock.py")
TWIST = "ros2 topic echo /delta_twist_cmds geometry_msgs/msg/TwistStamped"
ZERO = "linear:\n    x: 0.0\n    y: 0.0\n    z: 0.0\n  angular:\n    x: 0.0\n    y: 0.0\n    z: 0.0\n"


def last_twist(echo):
    twist = yaml.safe_load(echo.output.split("---\n")[-2])["twist"]
    return [*twist["linear"].values(), *twist["angular"].values()]


def node_pid(launch, name):
    (pid,) = [pid for pid, command in launch.processes().items() if f"lib/hilam_ros/{name}" in command]
    return pid


def watch_driver(workspace, scenario, domain, parameters):
    """What the faulty driver printed of camera_ingest's health, phase by phase."""
    driver = workspace.start(f"'{sys.executable}' '{DRIVER}' {scenario}", domain)
    topics = "[agentview/image_raw,eye_in_hand/image_raw/compressed]"
    workspace.run_node("camera_ingest", domain, camera_topics=topics, **parameters)
    assert driver.wait(540) == 0, driver.output
    assert "nothing fitted" not in driver.output, driver.output
    return driver.output


@pytest.mark.slow
def test_faults_of_drivers_are_named_while_they_last_and_every_sound_form_is_read(workspace):
    output = watch_driver(workspace, "stamps", next_domain(), {})
    assert output.count(": ready") == 3
    assert "images exact: True" in output
    assert "fingers: [0.01, -0.02]" in output  # two publishers; the policy's sign of the second


@pytest.mark.slow
def test_observations_go_on_at_once_when_the_clock_is_set_back(workspace):
    output = watch_driver(workspace, "clock", next_domain(), {"use_sim_time": "true"})
    assert output.count(": ready") == 3


def test_a_frozen_camera_and_fingers_that_are_no_numbers_are_refused_while_they_last(workspace):
    output = watch_driver(workspace, "frozen", next_domain(), {"max_frozen_s": 0.5})
    assert output.count(": ready") == 3


def test_the_arm_holds_when_the_clock_stops_with_everything_else(workspace, random_checkpoint):
    from hilam_core.policy import load_policy

    domain = next_domain()
    length = load_policy(random_checkpoint).skill_dim
    driver = workspace.start(f"'{sys.executable}' '{STOPPED_CLOCK}' {length}", domain)
    workspace.run_node("action_executor", domain, use_sim_time="true", policy=random_checkpoint)
    assert driver.wait() == 0, driver.output
    assert driver.output.splitlines() == ["moves", "holds"]


WRONG_SURROUNDINGS = {
    "type": (
        "ros2 topic pub -r 20 /agentview/image_raw sensor_msgs/msg/CompressedImage '{}'",
        {},
        "sensor_msgs/msg/Image on /agentview/image_raw, which has sensor_msgs/msg/CompressedImage",
    ),
    "clock": ("sleep 60", {"use_sim_time": "true"}, "waiting for /clock (use_sim_time is set)"),
}


@pytest.mark.parametrize("case", WRONG_SURROUNDINGS)
def test_what_a_node_cannot_work_with_is_named(workspace, case):
    beside, parameters, message = WRONG_SURROUNDINGS[case]
    domain = next_domain()
    workspace.start(beside, domain)
    workspace.run_node("camera_ingest", domain, **parameters)
    health = workspace.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
    health.wait_for(message)


@pytest.mark.slow
def test_a_task_that_cannot_be_followed_is_refused_and_the_arm_holds(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    echo = workspace.start(TWIST, domain)
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path, max_steps=5000
    )
    launch.wait_for("episode begins")
    echo.wait_for("---\n")
    other = "{episode: 2, active: true, instruction: pick up the milk and place it in the basket}"
    workspace.start(
        f"ros2 topic pub --once --qos-durability transient_local /task hilam_msgs/msg/Task '{other}'", domain
    )
    echo.wait_for(ZERO)  # between two tasks the arm holds
    misspelt = "{episode: 3, active: true, instruction: pik up the mlik}"
    workspace.start(
        f"ros2 topic pub -r 2 --qos-durability transient_local /task hilam_msgs/msg/Task '{misspelt}'", domain
    )
    launch.wait_for("refused: task of episode 3: instruction 'pik up the mlik'")
    health = workspace.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
    health.wait_for("message: 'task of episode 3")
    assert not any(last_twist(echo))
    assert launch.process.poll() is None, launch.output
    assert "Traceback" not in launch.output


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_second_launch_in_the_domain_is_refused_and_the_first_goes_on(
    workspace, random_checkpoint, tmp_path
):
    domain = next_domain()
    given = {"mode": "realtime", "policy": random_checkpoint, "max_steps": 1000}
    first = workspace.simulate(domain, output=tmp_path / "first", **given)
    first.wait_for("episode begins")
    second = workspace.simulate(domain, output=tmp_path / "second", **given)
    assert second.wait() == 1, second.output
    assert "error: another node publishes /" in second.output
    assert "set another ROS_DOMAIN_ID" in second.output
    assert "Traceback" not in second.output
    assert not list((tmp_path / "second").iterdir())
    # The policy knows nothing; 1000 steps take 50 s, and minutes on a busy machine.
    assert first.wait(800) == 1, first.output
    assert "after 1000 steps" in first.output
    # Nothing of the other stack's; an observation may be too old while both start on a busy machine.
    assert not re.findall(r"refused: (?!observation \d+: observation \d+ is .* old)", first.output)


@pytest.mark.slow
def test_beside_another_source_of_commands_the_executor_holds_until_it_is_gone(
    workspace, random_checkpoint, tmp_path
):
    domain = next_domain()
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path, max_steps=5000
    )
    launch.wait_for("episode begins")
    other = workspace.start("ros2 topic pub -r 5 /proposed_twist geometry_msgs/msg/TwistStamped '{}'", domain)
    health = workspace.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
    health.wait_for("another node publishes /proposed_twist: stop one")
    other.interrupt()
    health = workspace.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
    health.wait_for("name: action_executor\n  message: ready")
    assert launch.process.poll() is None and "Traceback" not in launch.output, launch.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_executor_that_is_told_to_stop_leaves_the_arm_holding(
    workspace, random_checkpoint, tmp_path, number
):
    domain = next_domain()
    echo = workspace.start(TWIST, domain)
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path, max_steps=5000
    )
    launch.wait_for("episode begins")
    echo.wait_for("---\n")
    pid = node_pid(launch, "action_executor")
    for _ in range(3):
        os.kill(pid, number)  # as a terminal and then a launch do
    assert launch.wait() == 1, launch.output
    assert "action_executor ended with 0" in launch.output
    assert "Traceback" not in launch.output
    assert not any(last_twist(echo)), echo.output[-2000:]


def last_line(launch):
    return launch.output.rsplit("\n", 2)[-2] if "\n" in launch.output else ""


def wait_until(condition, what, timeout_s=180.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.mark.slow
def test_the_arm_holds_while_a_node_hangs_goes_on_after_it_and_ends_with_a_killed_one(
    workspace, random_checkpoint, tmp_path
):
    domain = next_domain()
    watch = workspace.start(f"'{sys.executable}' '{MOTION_WATCH}'", domain)
    patient = {"max_observation_age_s": 1.0, "max_command_age_s": 1.0, "max_state_age_s": 1.0}
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path, max_steps=50_000, **patient
    )
    for name in ("camera_ingest", "skill_planner", "action_executor", "safety_monitor"):
        wait_until(lambda: last_line(watch) == "moves", f"no motion before {name} hangs: {launch.output}")
        pid = node_pid(launch, name)
        os.kill(pid, signal.SIGSTOP)
        hung_s = time.monotonic()
        wait_until(lambda: last_line(watch).startswith("holds"), f"the arm moves on without {name}")
        print(f"{name} hangs: no motion is commanded after {time.monotonic() - hung_s:.1f} s at most")
        time.sleep(1.5)
        assert last_line(watch).startswith("holds"), name
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: last_line(watch) == "moves", launch.output)
    os.kill(node_pid(launch, "safety_monitor"), signal.SIGKILL)
    assert launch.wait() == 1, launch.output
    assert "safety_monitor was killed by signal 9" in launch.output
    assert last_line(watch).startswith("holds")
