"""Driving by hand: who drives, how fast, and that nobody does when messages stop."""

import numpy as np
import pytest

from hilam_core.errors import ConfigError
from hilam_core.runtime.teleop import JOYSTICK, KEYS, SILENT_S, Teleop, TeleopSettings

SETTINGS = TeleopSettings()
REST = [0.0] * 8


def buttons(*pressed):
    return [int(number in pressed) for number in range(8)]


def stick(**axes):
    values = list(REST)
    for name, value in axes.items():
        values[SETTINGS.joy_axes[["x", "y", "z", "rx", "ry", "rz"].index(name)]] = value
    return values


def test_the_joystick_drives_in_units_of_the_profile_while_its_deadman_button_is_down():
    teleop = Teleop(SETTINGS)
    teleop.joystick(stick(x=1.0, rz=-0.5), buttons(), 10.0)
    assert teleop.source(10.0) == "" and not teleop.twist(10.0).any()
    teleop.joystick(stick(x=1.0, y=0.05, rz=-0.5), buttons(SETTINGS.joy_deadman_button), 10.1)
    assert teleop.source(10.1) == JOYSTICK
    np.testing.assert_allclose(teleop.twist(10.1), [0.15, 0, 0, 0, 0, -0.25])  # y rests in the dead zone
    assert teleop.source(10.1 + SILENT_S + 0.01) == ""
    assert not teleop.twist(10.1 + SILENT_S + 0.01).any()
    teleop.joystick(stick(x=3.0), buttons(SETTINGS.joy_deadman_button), 11.0)
    assert teleop.twist(11.0)[0] == 0.15
    teleop.joystick(stick(x=1.0), buttons(), 11.05)
    assert teleop.source(11.05) == ""


def test_a_joystick_that_does_not_fit_or_is_not_finite_drives_nothing():
    teleop = Teleop(SETTINGS)
    for axes, given, problem in (
        (REST[:3], buttons(4), "the joystick has 3 axes, joy_axes names axis 7"),
        (REST, [1, 1], "the joystick has 2 buttons, the profile names button 4"),
        (stick(x=float("nan")), buttons(4), "an axis of the joystick is not finite"),
    ):
        teleop.joystick(stick(x=1.0), buttons(4), 0.0)
        assert teleop.source(0.0) == JOYSTICK and not teleop.problem
        teleop.joystick(axes, given, 0.0)
        assert (teleop.source(0.0), teleop.problem) == ("", problem)
    with pytest.raises(ConfigError, match="are both 4"):
        TeleopSettings(joy_gripper_button=4)


def test_keys_drive_while_one_is_down_and_the_joystick_does_not():
    teleop = Teleop(SETTINGS)
    teleop.keys(["w", "f", "escape"], 0.0)
    assert teleop.source(0.2) == KEYS
    np.testing.assert_allclose(teleop.twist(0.2), [0.15, 0, -0.15, 0, 0, 0])
    teleop.keys(["a", "d"], 0.3)
    assert not teleop.twist(0.3).any()
    teleop.joystick(stick(y=-1.0), buttons(SETTINGS.joy_deadman_button), 0.3)
    assert teleop.source(0.3) == JOYSTICK and teleop.twist(0.3)[1] == -0.15
    teleop.joystick(REST, buttons(), 0.35)
    assert teleop.source(0.35) == KEYS
    teleop.keys([], 0.4)
    assert teleop.source(0.4) == ""


def test_the_gripper_toggles_once_for_each_press_and_only_while_driving():
    teleop = Teleop(SETTINGS)
    deadman, gripper = SETTINGS.joy_deadman_button, SETTINGS.joy_gripper_button
    teleop.joystick(REST, buttons(gripper), 0.0)
    assert not teleop.toggled()
    teleop.joystick(REST, buttons(deadman), 0.1)
    for now_s in (0.2, 0.3):
        teleop.joystick(REST, buttons(deadman, gripper), now_s)
    assert teleop.toggled() and not teleop.toggled()
    teleop.joystick(REST, buttons(deadman), 0.4)
    teleop.keys(["g"], 0.5)
    teleop.keys(["g", "w"], 0.6)
    assert teleop.toggled()
