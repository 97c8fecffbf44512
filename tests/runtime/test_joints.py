"""The policy's joints, out of whichever messages they come in."""

import numpy as np
import pytest

from hilam_core.observation import ObservationError
from hilam_core.runtime.joints import JointMerge

MS = 1_000_000
FINGERS = ("finger_1", "finger_2")


def test_arm_and_gripper_may_publish_separately_and_in_any_order():
    joints = JointMerge(FINGERS)
    assert joints.add(["arm_1", "arm_2"], [0.1, 0.2], 10 * MS) is None
    np.testing.assert_array_equal(joints.add(["finger_2", "finger_1"], [0.02, 0.01], 12 * MS), [0.01, 0.02])
    assert joints.add(["arm_1", "arm_2"], [0.3, 0.2], 15 * MS) is None
    assert joints.missing() == ""


def test_each_finger_may_have_a_publisher_but_an_old_position_is_not_used():
    joints = JointMerge(FINGERS, max_age_s=0.1)
    assert joints.add(["finger_1"], [0.01], 0) is None
    np.testing.assert_array_equal(joints.add(["finger_2"], [0.02], 50 * MS), [0.01, 0.02])
    assert joints.add(["finger_2"], [0.03], 150 * MS) is None
    np.testing.assert_array_equal(joints.add(["finger_1"], [0.04], 160 * MS), [0.04, 0.03])


def test_missing_joints_are_named_with_those_that_came():
    joints = JointMerge(FINGERS)
    joints.add(["arm_1"], [0.0], 0)
    joints.add(["finger_1"], [0.0], 0)
    assert joints.missing() == "joint states lack 'finger_2'; they have arm_1, finger_1"


def test_names_without_positions_are_refused():
    with pytest.raises(ObservationError, match="name 2 joints for 1 positions"):
        JointMerge(FINGERS).add(FINGERS, [0.0], 0)
