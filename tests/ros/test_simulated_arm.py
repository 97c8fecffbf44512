"""Every profile of an arm, driven through the monitor against drivers that behave as the profile says."""

import sys
from pathlib import Path

import cv2
import pytest
from domains import next_domain
from ros_workspace import PACKAGES

SCRIPT = Path(__file__).with_name("driving_script.py")
CONFIG = PACKAGES / "hilam_ros" / "config"


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["franka_crisp", "franka_servo", "ur_servo"])
def test_a_script_drives_the_arm_over_the_topics_of_its_profile(workspace, tmp_path, profile):
    domain, path = next_domain(), CONFIG / f"{profile}.yaml"
    # On a busy machine nothing comes in time, and drawing takes most of the time.
    busy = dict.fromkeys(("max_state_age_s", "max_command_age_s", "command_timeout_s"), 2.0)
    more = " ".join(f"-p {name}:={value}" for name, value in (busy | {"camera_hz": 3.0}).items())
    given = f"--ros-args --params-file {path} -p autostart:=true {more}"
    arm = workspace.start(f"ros2 run hilam_ros simulated_arm {given} -p assets:=builtin", domain)
    monitor = workspace.start(f"ros2 run hilam_ros safety_monitor {given}", domain)
    script = workspace.start(f"'{sys.executable}' '{SCRIPT}' {path}", domain)
    assert script.wait(900) == 0, script.output + arm.output + monitor.output
    assert "(128, 128, 3)" in script.output
    assert "wild proposals: simulated_arm says 'ready'" in script.output
    assert "Traceback" not in arm.output + monitor.output


def check(workspace, domain, *arguments):
    """Exit code, output and complaints of check_arm, but those of rates, which a busy machine cannot keep."""
    command = f"ros2 run hilam_ros check_arm profile:=franka_crisp watch_s:=10.0 {' '.join(arguments)}"
    done = workspace.start(command, domain)
    code = done.wait()
    assert "Traceback" not in done.output
    wrong = [line for line in done.output.splitlines() if line.startswith("WRONG")]
    return code, done.output, [line for line in wrong if "expected are" not in line and "; no " not in line]


@pytest.mark.slow
def test_what_is_wrong_with_an_arm_or_its_profile_is_found_before_it_moves(workspace, tmp_path):
    from hilam_sim import LiberoEnv

    env = LiberoEnv("libero_object", 0, assets="builtin")
    obs, _ = env.reset(options={"init_state": 7})
    for camera in ("agentview", "eye_in_hand"):
        cv2.imwrite(str(tmp_path / f"{camera}.png"), obs[camera][..., ::-1])
    env.close()
    domain, path = next_domain(), CONFIG / "franka_crisp.yaml"
    given = f"--ros-args --params-file {path} -p autostart:=true -p assets:=builtin"
    workspace.start(f"ros2 run hilam_ros simulated_arm {given}", domain)
    health = workspace.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
    health.wait_for("simulated_arm\n  message: ready")

    _, output, wrong = check(workspace, domain, f"pictures:={tmp_path}")
    assert not wrong, output
    for words in (
        "like the training data",
        "inside the workspace",
        "x forward: proposed 1.000 m/s, at first [",
    ):
        assert words in output
    topics = "camera_topics:=[eye_in_hand/color/image_raw,agentview/color/image_raw]"
    wrongly = ("base_frame:=world", "gripper_topic:=nowhere", "workspace_max_m:=[0.4,0.5,0.7]")
    code, output, _ = check(workspace, domain, f"pictures:={tmp_path}", topics, *wrongly)
    assert code == 1, output
    for words in (
        "agentview: 128x128, shows eye_in_hand",
        "base_frame: 'world'",
        "nowhere: nobody reads it",
    ):
        assert words in output, output
    assert "outside of the workspace: x beyond [0.25, 0.4]" in output
    assert "are wrong: do not let the arm move" in output
