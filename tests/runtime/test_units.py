"""What an action means for an arm, and that nothing that is not finite becomes a command."""

import numpy as np
import pytest

from hilam_core.runtime.units import CommandScale, NonFiniteError, PoseTarget


def test_actions_survive_the_way_to_the_arm_and_back():
    scale = CommandScale()
    for action in np.random.default_rng(0).uniform(-1, 1, (200, 7)).astype(np.float32):
        back = scale.to_action(scale.to_twist(action), scale.to_gripper(action))
        np.testing.assert_allclose(back, action, atol=1e-6)


def test_full_action_is_what_osc_pose_means_by_it():
    scale = CommandScale()
    twist = scale.to_twist(np.array([1, 0, 0, 0, 0, -1, 0]))
    assert twist[0] / scale.control_hz == pytest.approx(0.05)
    assert twist[5] / scale.control_hz == pytest.approx(-0.5)
    assert scale.to_gripper(np.array([0, 0, 0, 0, 0, 0, -1])) == 0.04
    assert scale.to_gripper(np.array([0, 0, 0, 0, 0, 0, 1])) == 0.0


def test_a_binary_gripper_is_commanded_by_the_sign():
    assert CommandScale(gripper_binary=True).to_gripper(np.array([0, 0, 0, 0, 0, 0, 0.1])) == 0.0


def test_pose_target_adds_the_rotation_in_base_axes_and_keeps_the_last_goal_without_one():
    target = PoseTarget(control_hz=20)
    half = np.sqrt(0.5)
    quarter_turn_about_z = np.array([0, 0, 0, 0, 0, np.pi / 2 * 20])
    down = np.array([1.0, 0, 0, 0])
    position, goal = target.target(np.array([0.5, 0, 0.3]), down, quarter_turn_about_z)
    np.testing.assert_allclose(position, [0.5, 0, 0.3])
    np.testing.assert_allclose(goal, [half, half, 0, 0], atol=1e-12)
    position, goal = target.target(np.array([0.5, 0, 0.3]), down, np.array([0.2, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(position, [0.51, 0, 0.3])
    np.testing.assert_allclose(goal, [half, half, 0, 0], atol=1e-12)


def test_goals_are_unit_quaternions_and_poses_that_cannot_be_give_none():
    target, at, still = PoseTarget(control_hz=20), np.array([0.5, 0, 0.3]), np.zeros(6)
    _, goal = target.target(at, np.array([2.0, 0, 0, 0]), still)
    np.testing.assert_allclose(goal, [1, 0, 0, 0])
    for position, quat in (([np.nan, 0, 0], [1, 0, 0, 0]), (at, [np.inf, 0, 0, 0]), (at, [0, 0, 0, 0])):
        with pytest.raises(NonFiniteError):
            target.target(np.array(position, float), np.array(quat, float), still)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_actions_never_become_commands(bad):
    action = np.array([0, 0, 0, 0, 0, 0, bad])
    with pytest.raises(NonFiniteError, match="not finite"):
        CommandScale().to_gripper(action)
    with pytest.raises(NonFiniteError, match="not finite"):
        CommandScale().to_twist(action)
