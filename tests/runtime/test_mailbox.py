"""Which command a control step applies: nothing stale or not finite."""

import numpy as np
import pytest

from hilam_core.runtime.mailbox import LockstepMailbox, RealtimeMailbox
from hilam_core.runtime.units import CommandScale, NonFiniteError

MS = 1_000_000
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
