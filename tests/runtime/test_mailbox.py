"""Which command a control step applies: nothing stale or not finite."""

import numpy as np
import pytest

from hilam_core.runtime.mailbox import LockstepMailbox, RealtimeMailbox
from hilam_core.runtime.units import CommandScale, NonFiniteError

MS = 1_000_000
HALF = np.array([0.5, 0, 0, 0, 0, 0])
NAN_TWIST = np.array([0.1, np.nan, 0, 0, 0, 0])


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
    with pytest.raises(NonFiniteError):
        mailbox.action()


def realtime(gripper_m=0.04):
    mailbox = RealtimeMailbox(CommandScale(), max_age_s=0.2)
    mailbox.add_gripper(gripper_m)
    return mailbox


def test_realtime_holds_before_the_first_command_and_when_it_is_old():
    mailbox = RealtimeMailbox(CommandScale(), max_age_s=0.2)
    np.testing.assert_allclose(mailbox.action(50 * MS), [0, 0, 0, 0, 0, 0, -1])
    mailbox.add_gripper(0.0)
    mailbox.add_twist(100 * MS, HALF, now_ns=101 * MS)
    np.testing.assert_allclose(mailbox.action(300 * MS), [0.5, 0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(mailbox.action(301 * MS), [0, 0, 0, 0, 0, 0, 1])  # the gripper stays closed
    assert mailbox.held == 2


@pytest.mark.parametrize(
    ("stamp", "twist", "problem"),
    [
        (150 * MS, NAN_TWIST, "not finite"),
        (0, np.ones(6), "no stamp"),
        (90_000 * MS, np.ones(6), "in the future"),
    ],
)
def test_realtime_holds_from_a_bad_command_until_the_next_good_one(stamp, twist, problem):
    mailbox = realtime()
    mailbox.add_twist(100 * MS, HALF, now_ns=101 * MS)
    mailbox.add_twist(stamp, twist, now_ns=150 * MS)
    mailbox.add_gripper(float("nan"))
    np.testing.assert_allclose(mailbox.action(150 * MS), [0, 0, 0, 0, 0, 0, -1])
    assert mailbox.refused == 2 and problem in mailbox.problem
    mailbox.add_twist(200 * MS, HALF / 2, now_ns=201 * MS)
    np.testing.assert_allclose(mailbox.action(202 * MS), [0.25, 0, 0, 0, 0, 0, -1])
    assert mailbox.problem == ""
    mailbox.add_twist(180 * MS, np.ones(6), now_ns=203 * MS)  # arrives late, is older
    np.testing.assert_allclose(mailbox.action(204 * MS), [0.25, 0, 0, 0, 0, 0, -1])


def test_a_command_stamped_in_the_future_is_not_applied_when_its_time_comes_either():
    mailbox = realtime()
    mailbox.add_twist(10_000 * MS, np.ones(6), now_ns=100 * MS)
    for now_ms in (100, 9_990, 10_000, 10_100):
        np.testing.assert_allclose(mailbox.action(now_ms * MS), [0, 0, 0, 0, 0, 0, -1])


def test_after_a_clock_was_set_back_the_old_command_is_void_and_new_ones_count_at_once():
    mailbox = realtime()
    mailbox.add_twist(50_000 * MS, np.ones(6), now_ns=50_001 * MS)
    np.testing.assert_allclose(mailbox.action(1_000 * MS), [0, 0, 0, 0, 0, 0, -1])
    mailbox.add_twist(1_010 * MS, HALF, now_ns=1_011 * MS)
    np.testing.assert_allclose(mailbox.action(1_012 * MS), [0.5, 0, 0, 0, 0, 0, -1])


def test_commands_of_an_earlier_episode_do_not_count_and_the_gripper_opens():
    mailbox = realtime(gripper_m=0.0)
    mailbox.add_twist(100 * MS, HALF, now_ns=101 * MS)
    assert mailbox.applied_ns(102 * MS) == 100 * MS
    mailbox.reset(after_ns=150 * MS)
    mailbox.add_twist(140 * MS, HALF, now_ns=151 * MS)
    np.testing.assert_allclose(mailbox.action(151 * MS), [0, 0, 0, 0, 0, 0, -1])
    assert (mailbox.applied_ns(151 * MS), mailbox.held, mailbox.refused) == (0, 1, 0)
    mailbox.add_twist(160 * MS, HALF, now_ns=161 * MS)
    assert mailbox.action(162 * MS)[0] == 0.5
    mailbox.reset(after_ns=10_000 * MS)
    mailbox.add_twist(200 * MS, HALF, now_ns=201 * MS)  # the clock was set back
    assert mailbox.action(202 * MS)[0] == 0.5
