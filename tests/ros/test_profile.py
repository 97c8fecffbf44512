"""Profiles are complete and free of typing errors, and are checked against the checkpoint."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from hilam_ros.profile import (
    LIMITS,
    ProfileError,
    check_cameras,
    default_policy,
    load_settings,
    read_comments,
    read_profile,
    require_limits,
)
from ros_workspace import PACKAGES

from hilam_core.runtime.limits import Limits
from hilam_core.runtime.safety import LatchedStop, SafetyMonitor
from hilam_core.runtime.units import CommandScale

CONFIG = PACKAGES / "hilam_ros" / "config"
SIMULATION = ("mode", "policy", "device", "suite", "task", "init_state", "seed", "max_steps", "output")
LIBERO = read_profile(CONFIG / "libero.yaml")


CARD = {"config": {"low": {"cameras": ["agentview", "eye_in_hand"]}, "image_size": 128}}


def write_profile(path, **parameters):
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    return str(path)


def test_shipped_profiles_load_and_differ_only_in_known_parameters():
    for path in CONFIG.glob("*.yaml"):
        found, settings = load_settings(path.stem, CONFIG)
        assert found == path
        assert settings.keys() == LIBERO.keys()
        require_limits(path)
    assert load_settings("franka_crisp", CONFIG)[1]["max_linear_m_s"] == 0.4


def test_libero_profile_states_what_osc_pose_means():
    expected = asdict(CommandScale())
    assert {name: LIBERO[name] for name in expected} == expected


def test_misspelt_or_mistyped_parameter_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(ProfileError, match=r"mine.yaml': unknown parameter 'max_linear_m_ss'"):
        load_settings(write_profile(path, max_linear_m_ss=0.1), CONFIG)
    with pytest.raises(ProfileError, match=r"max_linear_m_s is 1, expected a value like 1.75"):
        load_settings(write_profile(path, max_linear_m_s=1), CONFIG)
    with pytest.raises(ProfileError, match=r"finger_signs is \[1, -1\], expected a value like \[1.0, -1.0\]"):
        load_settings(write_profile(path, finger_signs=[1, -1]), CONFIG)
    path.write_text("just: words")
    with pytest.raises(ProfileError, match=r"has no '/\*\*: ros__parameters:'"):
        load_settings(str(path), CONFIG)
    path.write_text("/**: {ros__parameters: {}}\n/camera_ingest: {ros__parameters: {image_size: 64}}\n")
    with pytest.raises(ProfileError, match="section '/camera_ingest' would be ignored"):
        load_settings(str(path), CONFIG)


def test_the_comments_of_libero_yaml_are_the_help_of_the_launch():
    comments = read_comments(CONFIG / "libero.yaml")
    assert comments["max_steps"] == "0: the suite's own limit"
    assert set(SIMULATION) <= comments.keys() <= LIBERO.keys()


def test_the_profile_of_an_arm_must_state_every_limit_itself(tmp_path):
    stated = {name: LIBERO[name] for name in (*LIMITS, "command_hz")}
    whole = write_profile(tmp_path / "whole.yaml", **stated)
    require_limits(Path(whole))
    del stated["max_linear_m_s2"]
    profile = write_profile(tmp_path / "mine.yaml", **stated)
    load_settings(profile, CONFIG)  # in simulation another's limits are as good
    with pytest.raises(ProfileError, match=r"mine.yaml' lacks limits of this arm: max_linear_m_s2$"):
        require_limits(Path(profile))
    require_limits(Path(profile), {"max_linear_m_s2": "1.0", "max_linear_m_s": ""})


BAD_VALUES = {
    "max_linear_m_s is nan, must be finite": {"max_linear_m_s": float("nan")},
    "the workspace is empty: z from 1 to 0 m": {
        "workspace_min_m": [0.0, 0.0, 1.0],
        "workspace_max_m": [9.0] * 2 + [0.0],
    },
    "joint_min_rad has 1 entries, must have 7": {"joint_min_rad": [0.0]},
    "gripper_open_m is 0.04, the gripper may go from 0.0 to 0.03 m": {"gripper_max_m": 0.03},
    "max_command_age_s is 0.04: at a control_hz of 20.0 the next command is too late": {
        "max_command_age_s": 0.04
    },
    "command_hz is 10.0, less than control_hz 20.0": {"command_hz": 10.0},
    "command_hz is 0: goal poses are interpolated": {"command_mode": "pose"},
    "gripper_interface 'magic' is not one of topic, gripper_command": {"gripper_interface": "magic"},
    "max_angular_rad_s is -1.0, must be greater than 0": {"max_angular_rad_s": -1.0},
    "control_hz is 0.0, must be greater than 0": {"control_hz": 0.0},
    "pairing_wait_s is -0.1, must not be negative": {"pairing_wait_s": -0.1},
    "pose_offset_m has 2 entries, must have 3": {"pose_offset_m": [0.0, 0.0]},
    "finger_signs has 1 entries, must have 2": {"finger_signs": [1.0]},
    "finger_signs is .*, must not be 0": {"finger_signs": [1.0, 0.0]},
    "camera_topics has 1 entries for 2 cameras": {"camera_topics": ["front"]},
    "cameras is .*, must be names that differ": {"cameras": ["front", "front"]},
    "command_mode 'joint' is not one of twist, pose": {"command_mode": "joint"},
    "pairing 'nearest' is not one of exact, asof": {"pairing": "nearest"},
    "unknown device 'gpu'; choices: auto, cpu, cuda, cuda:N": {"device": "gpu"},
    "gripper_open_m and gripper_closed_m are both 0": {"gripper_open_m": 0.0},
}


@pytest.mark.parametrize("message", BAD_VALUES)
def test_values_that_cannot_work_are_refused_in_one_line_with_the_file(tmp_path, message):
    profile = write_profile(tmp_path / "mine.yaml", **BAD_VALUES[message])
    with pytest.raises(ProfileError, match=f"mine.yaml': {message}") as error:
        load_settings(profile, CONFIG)
    assert "\n" not in str(error.value)


def test_the_command_line_overrides_the_profile_and_the_profile_libero(tmp_path):
    profile = write_profile(tmp_path / "mine.yaml", control_hz=10.0, task="3", use_sim_time=True)
    given = {
        "control_hz": "5",
        "max_command_age_s": "0.5",
        "device": "cuda:1",
        "camera_topics": "[a, b]",
        "seed": "",
        "task": "7",
    }
    _, settings = load_settings(profile, CONFIG, given)
    chosen = {
        "control_hz": 5.0,
        "max_command_age_s": 0.5,
        "device": "cuda:1",
        "camera_topics": ["a", "b"],
        "task": "7",
    }
    assert settings == LIBERO | {"use_sim_time": True} | chosen
    assert isinstance(settings["control_hz"], float)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("seed", "many", "seed is 'many', expected a value like 0"),
        ("seed", "-1", "seed is -1, must not be negative"),
        ("use_sim_time", "perhaps", "use_sim_time is 'perhaps', expected a value like False"),
        ("max_linear_m_s", ".nan", "max_linear_m_s is nan, must be finite"),
        ("cameras", "[1, 2]", r"cameras is '\[1, 2\]', expected a value like \['agentview'"),
    ],
)
def test_the_command_line_is_checked_like_a_profile(name, text, message):
    with pytest.raises(ProfileError, match=f"^{message}"):
        load_settings("libero", CONFIG, {name: text})


def test_policy_that_reads_what_the_profile_does_not_offer_is_refused(tmp_path):
    check_cameras(CARD, tmp_path, LIBERO, CONFIG / "libero.yaml")
    for change in ({"cameras": ["front"]}, {"image_size": 96}):
        with pytest.raises(ProfileError, match=r"reads cameras .* but profile 'libero.yaml' offers"):
            check_cameras(CARD, tmp_path, LIBERO | change, CONFIG / "libero.yaml")


def test_default_policy_is_the_shipped_one_or_the_environments(monkeypatch):
    monkeypatch.delenv("HILAM_POLICY", raising=False)
    assert default_policy() == PACKAGES.parents[1] / "checkpoints" / "libero_object"
    monkeypatch.setenv("HILAM_POLICY", "/models/mine")
    assert str(default_policy()) == "/models/mine"


def test_no_limit_of_libero_touches_what_a_policy_can_do(tmp_path):
    limits = Limits(**{n: tuple(v) if isinstance(v := LIBERO[n], list) else v for n in LIMITS})
    monitor = SafetyMonitor(limits, LatchedStop(tmp_path / "stop.json"), LIBERO["control_hz"], clocked=False)
    scale, rng = CommandScale(), np.random.default_rng(0)
    extreme = rng.choice([-1.0, 1.0], (200, 7))
    home_rad = [0.0, -0.16, 0.0, -2.44, 0.0, 2.23, 0.79]
    for step, action in enumerate([*extreme, *rng.uniform(-1, 1, (200, 7))], start=1):
        monitor.observe_pose(np.zeros(3), np.array([1.0, 0, 0, 0]), step, 0.0)
        monitor.observe_joints(LIBERO["arm_joints"], home_rad, step, 0.0)
        monitor.propose(scale.to_twist(action), step, step, 0.0)
        np.testing.assert_array_equal(monitor.step(step, 0.0).twist, scale.to_twist(action))
        gripper_m = scale.to_gripper(action)
        assert monitor.propose_gripper(gripper_m) == pytest.approx(gripper_m, abs=1e-9)
    assert not monitor.counters
