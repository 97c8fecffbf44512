"""Profiles are complete and free of typing errors, and are checked against the checkpoint."""

from dataclasses import asdict

import pytest
from hilam_ros.profile import (
    ProfileError,
    check_cameras,
    default_policy,
    load_profile,
    read_profile,
)
from ros_workspace import PACKAGES

from hilam_core.runtime.limits import SpeedLimits
from hilam_core.runtime.units import CommandScale

CONFIG = PACKAGES / "hilam_ros" / "config"
LIBERO = read_profile(CONFIG / "libero.yaml")


CARD = {"config": {"low": {"cameras": ["agentview", "eye_in_hand"]}, "image_size": 128}}


def test_shipped_profiles_load_and_differ_only_in_known_parameters():
    for path in CONFIG.glob("*.yaml"):
        found, parameters = load_profile(path.stem, CONFIG)
        assert found == path
        assert parameters["cameras"] == ["agentview", "eye_in_hand"]


def test_libero_profile_states_what_osc_pose_means():
    expected = asdict(CommandScale()) | asdict(SpeedLimits())
    assert {name: LIBERO[name] for name in expected} == expected


def test_misspelt_or_mistyped_parameter_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("/**:\n  ros__parameters:\n    max_linear_m_ss: 0.1\n")
    with pytest.raises(ProfileError, match="unknown parameter 'max_linear_m_ss'"):
        load_profile(str(path), CONFIG)
    path.write_text("/**:\n  ros__parameters:\n    max_linear_m_s: 1\n")
    with pytest.raises(ProfileError, match=r"max_linear_m_s is 1, expected a value like 1.75"):
        load_profile(str(path), CONFIG)
    path.write_text("just: words")
    with pytest.raises(ProfileError, match=r"has no '/\*\*: ros__parameters:'"):
        load_profile(str(path), CONFIG)


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
