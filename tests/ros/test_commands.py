"""What an action means for an arm, and that nothing stale or not finite is ever applied."""

import numpy as np
import pytest
from hilam_ros.commands import CommandScale, NonFiniteCommand, PoseTarget
from hilam_ros.mailbox import LockstepMailbox, RealtimeMailbox

MS = 1_000_000
NAN_TWIST = np.array([0.1, np.nan, 0, 0, 0, 0])


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


def test_speed_limits_shorten_the_motion_without_turning_it():
    scale = CommandScale(max_linear_m_s=0.1, max_angular_rad_s=0.5, gripper_binary=True)
    twist = scale.to_twist(np.array([0.6, 0.8, 0, 0, 0.5, 0, 0.1]))
    np.testing.assert_allclose(twist, [0.06, 0.08, 0, 0, 0.5, 0])
    assert scale.to_gripper(np.array([0, 0, 0, 0, 0, 0, 0.1])) == 0.0


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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_actions_never_become_commands(bad):
    action = np.array([0, 0, 0, 0, 0, 0, bad])
    with pytest.raises(NonFiniteCommand, match="not finite"):
        CommandScale().to_gripper(action)
    with pytest.raises(NonFiniteCommand, match="not finite"):
        CommandScale().to_twist(action)


def test_lockstep_waits_for_both_commands_of_the_right_observation():
    mailbox = LockstepMailbox(CommandScale())
    mailbox.expect(100)
    mailbox.add_twist(50, np.ones(6))  # answers an earlier observation
    assert mailbox.missing() == ["twist", "gripper"]
    mailbox.add_twist(100, np.array([0.5, 0, 0, 0, 0, 0]))
    assert mailbox.action() is None
    assert mailbox.missing() == ["gripper"]
    mailbox.add_gripper(0.0)
    np.testing.assert_allclose(mailbox.action(), [0.5, 0, 0, 0, 0, 0, 1])
    mailbox.expect(150)
    assert mailbox.action() is None


def test_lockstep_refuses_commands_that_are_not_finite():
    mailbox = LockstepMailbox(CommandScale())
    mailbox.expect(100)
    mailbox.add_twist(100, NAN_TWIST)
    mailbox.add_gripper(0.0)
    with pytest.raises(NonFiniteCommand):
        mailbox.action()


def test_realtime_holds_before_the_first_command_and_when_it_is_old():
    mailbox = RealtimeMailbox(CommandScale(), max_age_s=0.2)
    np.testing.assert_allclose(mailbox.action(0), [0, 0, 0, 0, 0, 0, -1])
    mailbox.add_gripper(0.0)
    mailbox.add_twist(100 * MS, np.array([0.5, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(mailbox.action(300 * MS), [0.5, 0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(mailbox.action(301 * MS), [0, 0, 0, 0, 0, 0, 1])  # the gripper stays closed
    assert mailbox.held == 2


def test_realtime_holds_from_a_bad_command_until_the_next_good_one():
    mailbox = RealtimeMailbox(CommandScale(), max_age_s=0.2)
    mailbox.add_twist(100 * MS, np.array([0.5, 0, 0, 0, 0, 0]))
    mailbox.add_twist(150 * MS, NAN_TWIST)
    mailbox.add_gripper(float("nan"))
    np.testing.assert_allclose(mailbox.action(150 * MS), [0, 0, 0, 0, 0, 0, -1])
    assert mailbox.refused == 2
    mailbox.add_twist(200 * MS, np.array([0.25, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(mailbox.action(200 * MS), [0.25, 0, 0, 0, 0, 0, -1])
    mailbox.add_twist(180 * MS, np.ones(6))  # arrives late, is older
    np.testing.assert_allclose(mailbox.action(200 * MS), [0.25, 0, 0, 0, 0, 0, -1])
