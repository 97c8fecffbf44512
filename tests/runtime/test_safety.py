"""The safety monitor never lets a limit be exceeded, holds when data stops, and stays stopped until reset."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from small_arm import LIMITS

from hilam_core.errors import ConfigError, FileError
from hilam_core.runtime.limits import Limits
from hilam_core.runtime.safety import LatchedStop, SafetyError, SafetyMonitor

START_M = np.array([0.5, 0.0, 0.3])
START_NS = 10**18
DOWN = np.array([1.0, 0.0, 0.0, 0.0])


class Arm:
    """An arm that does exactly what it is told, behind a monitor; times pass as this class says."""

    def __init__(self, tmp_path, limits=LIMITS, position=START_M, **options):
        options = {"control_hz": 20.0, "command_hz": 100.0, **options}
        self.limits, self.stop = limits, LatchedStop(tmp_path / "stop.json")
        self.monitor = SafetyMonitor(limits, self.stop, **options)
        self.position, self.quat = np.array(position, float), DOWN
        self.joints = np.zeros(2)
        self.joints_per_m = np.array([[2.0, 0, 0], [0, 0.5, 0]])  # joint motion for a motion of the tool
        self.now_s, self.commands = 0.0, []

    @property
    def now_ns(self):
        return START_NS + round(self.now_s * 1e9)

    def report(self, joints=None):
        self.monitor.observe_pose(self.position, self.quat, self.now_ns, self.now_s)
        joints = self.joints if joints is None else joints
        self.monitor.observe_joints(["elbow", "shoulder"], joints[::-1], self.now_ns, self.now_s)

    def propose(self, *twist):
        self.monitor.propose(np.array(twist), self.now_ns, self.now_ns, self.now_s)

    def step(self, dt_s=0.01):
        """The command, carried out until the next one."""
        command = self.monitor.step(self.now_ns, self.now_s)
        self.now_s += dt_s
        self.commands.append(command)
        if command is not None:
            moved = (
                command.twist[:3] * dt_s if command.pose is None else command.pose.position - self.position
            )
            self.position = self.position + moved
            self.joints = self.joints + self.joints_per_m @ moved
        return command

    def run(self, steps, *twist):
        for _ in range(steps):
            self.report()
            if twist:
                self.propose(*twist)
            self.step()
        return self.commands[-1]

    def still(self):
        return self.commands[-1] is None or np.abs(self.commands[-1].twist).max() < 1e-3


def random_proposals(rng, steps):
    """Twists that stay a while, jump, oscillate; many far above every limit."""
    twist, flip = np.zeros(6), 1
    for step in range(steps):
        if step % 5 == 0 and rng.random() < 0.3:
            twist = rng.uniform(-1, 1, 6) * np.repeat([1.0, 6.0], 3) * rng.choice([0.05, 0.4, 1, 5])
            flip = rng.choice([1, -1])
        twist = twist * flip
        yield twist


def norms(vectors):
    return np.linalg.norm(vectors, axis=-1)


def assert_within_limits(limits, positions, twists, period_s):
    positions, twists = np.array(positions), np.array([np.zeros(6), np.zeros(6), *twists])
    assert (positions >= np.array(limits.workspace_min_m) - 1e-6).all(), positions.min(0)
    assert (positions <= np.array(limits.workspace_max_m) + 1e-6).all(), positions.max(0)
    acceleration = np.diff(twists, axis=0) / period_s
    jerk = np.diff(acceleration, axis=0) / period_s
    for part, name in ((slice(0, 3), "linear_m"), (slice(3, 6), "angular_rad")):
        for values, unit in ((twists, "s"), (acceleration, "s2"), (jerk, "s3")):
            limit = getattr(limits, f"max_{name}_{unit}")
            assert norms(values[:, part]).max() <= limit * (1 + 1e-6), f"max_{name}_{unit}"


@pytest.mark.parametrize("poses", [False, True], ids=["twist", "pose"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_proposed_no_limit_is_exceeded(tmp_path, poses, seed):
    rng = np.random.default_rng(seed)
    wide = replace(LIMITS, joint_min_rad=(-9.0, -9.0), joint_max_rad=(9.0, 9.0))
    arm = Arm(tmp_path, wide, poses=poses)
    positions, twists = [], []
    silent = 0
    for twist in random_proposals(rng, 2000):
        arm.report()
        silent = silent - 1 if silent else rng.choice([0, 40], p=[0.99, 0.01])
        if not silent:  # now and then the source is silent, or sends what is no number
            arm.propose(*(twist if rng.random() > 0.01 else twist * np.nan))
        command = arm.step()
        positions.append(arm.position)
        twists.append(command.twist if command else np.zeros(6))
    moved = np.abs(np.diff(positions, axis=0)).sum(0)
    assert (moved > 0.5).all(), "the arm hardly moved: nothing was tested"
    assert_within_limits(wide, positions, twists, 0.01)


def test_a_command_at_any_time_stays_within_speed_acceleration_and_workspace(tmp_path):
    """Without a rate of its own, the monitor answers proposals as they come: early, late, in bursts."""
    rng = np.random.default_rng(0)
    wide = replace(LIMITS, joint_min_rad=(-9.0, -9.0), joint_max_rad=(9.0, 9.0))
    arm = Arm(tmp_path, wide, command_hz=0.0)
    before, last_s = np.zeros(6), 0.0
    for twist in random_proposals(rng, 4000):
        arm.report()
        arm.propose(*twist)
        gap_s = rng.uniform(0.005, 0.05)
        elapsed_s, last_s = arm.now_s - last_s, arm.now_s
        command = arm.step(gap_s)
        change = command.twist - before
        assert norms(command.twist[:3]) <= wide.max_linear_m_s * (1 + 1e-6)
        assert norms(change[:3]) <= wide.max_linear_m_s2 * max(elapsed_s, 0.05) * (1 + 1e-6)
        assert norms(change[3:]) <= wide.max_angular_rad_s2 * max(elapsed_s, 0.05) * (1 + 1e-6)
        outside = np.maximum(wide.workspace_min_m - arm.position, arm.position - wide.workspace_max_m)
        assert outside.max() <= 0.005  # a quarter of what the arm goes in a control period
        before = command.twist


def test_what_is_within_the_limits_passes_to_the_last_bit(tmp_path):
    fast = replace(LIMITS, max_linear_m_s=1.75, max_linear_m_s2=140.0, max_linear_m_s3=5600.0)
    fast = replace(fast, max_angular_rad_s=17.5, max_angular_rad_s2=1400.0, max_angular_rad_s3=56000.0)
    fast = replace(fast, workspace_min_m=(-9.0,) * 3, workspace_max_m=(9.0,) * 3, joint_max_rad=(99.0, 99.0))
    arm = Arm(tmp_path, replace(fast, joint_min_rad=(-99.0, -99.0)), command_hz=0.0, clocked=False)
    for twist in np.random.default_rng(0).uniform(-1, 1, (500, 6)) * np.repeat([1.0, 10.0], 3):
        arm.report()
        arm.propose(*twist)
        np.testing.assert_array_equal(arm.step(0.05).twist, twist)
    assert not arm.monitor.counters


def test_an_arm_that_stands_outside_may_come_back_and_not_go_further(tmp_path):
    arm = Arm(tmp_path, position=[0.8, 0.0, 0.3])
    arm.run(100, 0.4, 0, 0, 0, 0, 0)
    assert arm.position[0] == pytest.approx(0.8, abs=1e-6)
    assert arm.monitor.counters["limited workspace x max"] > 0
    arm.run(300, -0.2, 0, 0, 0, 0, 0)
    assert arm.position[0] < 0.7


def test_along_a_wall_the_arm_slides(tmp_path):
    arm = Arm(tmp_path)
    arm.run(200, 0.3, 0.1, 0, 0, 0, 0)
    assert arm.position[0] == pytest.approx(0.7, abs=0.01)
    assert arm.position[1] > 0.1


def test_a_joint_near_its_limit_stops_the_arm_and_lets_it_go_back(tmp_path):
    arm = Arm(tmp_path, replace(LIMITS, joint_margin_rad=0.7))
    arm.run(200, 0.3, 0, 0, 0, 0, 0)
    assert arm.still()
    assert 0.3 < arm.joints[0] < 1.0  # in the margin of `shoulder`, short of its limit
    assert "shoulder is" in arm.monitor.joints.explain()
    stuck = arm.joints[0]
    arm.run(50, 0, 0.3, 0, 0, 0, 0)
    assert arm.joints[0] == pytest.approx(stuck, abs=1e-3)
    arm.run(200, -0.1, 0, 0, 0, 0, 0)
    assert arm.joints[0] < 0.3
    assert not arm.monitor.joints.explain()


def test_a_joint_that_starts_in_its_margin_lets_nothing_move(tmp_path):
    arm = Arm(tmp_path)
    arm.joints = np.array([0.0, 1.9])
    arm.run(50, 0.1, 0.1, 0.1, 0, 0, 0)
    assert arm.still()
    assert "elbow is 0.100 rad from its limit: move it away by other means" in arm.monitor.joints.explain()


@pytest.mark.parametrize("poses", [False, True], ids=["twist", "pose"])
def test_when_proposals_stop_the_arm_stops_within_the_stated_time_and_is_told_to_hold(tmp_path, poses):
    arm = Arm(tmp_path, poses=poses)
    arm.run(40, 0.3, 0, 0.1, 0, 0, 1.0)
    assert arm.commands[-1].twist[0] > 0.05
    silent_s = arm.now_s
    while not arm.still():
        arm.report()
        arm.step()
        assert arm.now_s - silent_s < LIMITS.max_command_age_s + 2 * LIMITS.stop_time_s + 0.05
    assert "old, older than 0.2 s" in arm.monitor.holding
    stopped = arm.position
    arm.run(200)
    np.testing.assert_allclose(arm.position, stopped, atol=0.03)
    assert arm.commands[-1] is None  # said often enough
    arm.run(20, -0.1, 0, 0, 0, 0, 0)
    assert arm.commands[-1].twist[0] < -0.01


def test_a_hold_keeps_the_measured_pose_and_never_the_origin(tmp_path):
    """The arm lags behind its goal by 3 cm, as an impedance controller's does against an obstacle."""
    arm = Arm(tmp_path, poses=True)
    arm.run(100, 0.2, 0, 0, 0, 0, 0)
    measured = arm.position - np.array([0.03, 0, 0])
    sent = []
    for _ in range(100):
        arm.monitor.observe_pose(measured, DOWN, arm.now_ns, arm.now_s)
        arm.monitor.observe_joints(["elbow", "shoulder"], [0.0, 0.0], arm.now_ns, arm.now_s)
        command = arm.monitor.step(arm.now_ns, arm.now_s)
        sent += [command.pose.position] if command else []
        arm.now_s += 0.01
    np.testing.assert_allclose(sent[-1], measured, atol=1e-3)
    assert np.min(norms(sent)) > 0.4


def test_an_arm_that_was_moved_by_hand_stays_there_when_it_is_told_to_stand_still(tmp_path):
    """Between two episodes somebody moves the arm; the next one begins with a zero twist."""
    arm = Arm(tmp_path, poses=True)
    arm.run(40, 0.2, 0, 0, 0, 0, 0)
    arm.run(300)
    assert arm.commands[-1] is None
    moved = arm.position = arm.position + np.array([-0.1, 0.2, 0.1])
    arm.run(100, 0, 0, 0, 0, 0, 0)
    np.testing.assert_allclose(arm.position, moved, atol=1e-6)


def test_a_stopped_arm_that_sags_is_held_where_it_stopped_while_proposals_go_on(tmp_path):
    """An impedance controller under load stands 1 cm below what it is told."""
    arm = Arm(tmp_path, poses=True)
    arm.run(40, 0.1, 0, 0, 0, 0, 0)
    arm.monitor.cause("operator", "someone stopped it")
    heights = []
    for _ in range(300):
        arm.run(1, 0.1, 0, 0, 0, 0, 0)
        if (command := arm.commands[-1]) is not None:
            heights.append(command.pose.position[2])
            arm.position = command.pose.position - np.array([0, 0, 0.01])
    assert heights[-1] > START_M[2] - 0.011
    assert arm.commands[-1] is None  # at rest


def test_a_goal_is_reached_without_swinging_about_it(tmp_path):
    arm = Arm(tmp_path, poses=True)
    arm.run(3, 0.4, 0, 0, 0, 0, 0)
    goal = arm.monitor.goals.goal.position[0]
    reached = []
    for _ in range(60):  # the proposal's age is no subject here: it is stamped anew, the goal stays
        arm.monitor._stamp_ns, arm.monitor._arrived_s = arm.now_ns, arm.now_s
        arm.report()
        reached.append(arm.step().pose.position[0])
    assert max(reached) < goal + 0.002
    assert reached[-1] == pytest.approx(goal, abs=1e-4)


def test_turning_adds_up_to_the_proposed_rotation(tmp_path):
    arm = Arm(tmp_path, poses=True)
    for _ in range(150):
        arm.report()
        arm.propose(0, 0, 0, 0, 0, 1.0)
        command = arm.step()
        arm.quat = command.pose.quat_xyzw
    assert norms(arm.quat) == pytest.approx(1)
    angle = 2 * np.arctan2(arm.quat[1], arm.quat[0])  # about z, from pointing down
    assert 0.5 < angle < 1.5
    assert arm.quat[2] == pytest.approx(0, abs=1e-9) and arm.quat[3] == pytest.approx(0, abs=1e-9)


BAD_PROPOSALS = {
    "is not finite": lambda arm: arm.propose(np.nan, 0, 0, 0, 0, 0),
    "has no stamp": lambda arm: arm.monitor.propose(np.ones(6), 0, arm.now_ns, arm.now_s),
    "in the future": lambda arm: arm.monitor.propose(np.ones(6), arm.now_ns + 10**9, arm.now_ns, arm.now_s),
    "older than": lambda arm: arm.monitor.propose(np.ones(6), arm.now_ns - 10**9, arm.now_ns, arm.now_s),
}


@pytest.mark.parametrize("problem", BAD_PROPOSALS)
def test_a_proposal_that_cannot_be_followed_makes_the_arm_hold(tmp_path, problem):
    arm = Arm(tmp_path)
    arm.run(50, 0.3, 0, 0, 0, 0, 0)
    for _ in range(60):
        arm.report()
        BAD_PROPOSALS[problem](arm)
        arm.step()
    assert arm.still()
    assert problem in arm.monitor.holding


def test_a_state_that_fails_holds_the_arm_and_then_stops_it_for_good(tmp_path):
    arm = Arm(tmp_path)
    arm.run(50, 0, 0.1, 0, 0, 0, 0)
    for _ in range(60):  # 0.6 s: a hiccup
        arm.propose(0, 0.1, 0, 0, 0, 0)
        arm.step()
    assert arm.still() and "the arm's pose is" in arm.monitor.holding
    assert not arm.stop.reason
    arm.run(30, 0, 0.1, 0, 0, 0, 0)
    assert not arm.still()
    for _ in range(150):
        arm.propose(0, 0.1, 0, 0, 0, 0)
        arm.step()
    assert "the arm's pose is" in arm.stop.reason
    with pytest.raises(SafetyError, match=r"not reset, because the cause lasts: the arm's pose is .* old"):
        arm.monitor.reset(arm.now_ns, arm.now_s)
    arm.report()
    arm.monitor.reset(arm.now_ns, arm.now_s)
    arm.run(30, 0, 0.1, 0, 0, 0, 0)
    assert not arm.still()


BAD_JOINTS = {
    "the position of elbow is not finite": (["shoulder", "elbow"], [0.0, np.nan]),
    "name 2 joints for 1 positions": (["shoulder", "elbow"], [0.0]),
    "lack 'elbow'; they have shoulder, elbow2": (["shoulder", "elbow2"], [0.0, 0.0]),
}


@pytest.mark.parametrize("problem", BAD_JOINTS)
def test_joint_states_that_cannot_be_read_hold_the_arm_and_are_named(tmp_path, problem):
    arm = Arm(tmp_path)
    for _ in range(50):
        arm.monitor.observe_pose(arm.position, arm.quat, arm.now_ns, arm.now_s)
        arm.monitor.observe_joints(*BAD_JOINTS[problem], arm.now_ns, arm.now_s)
        arm.propose(0.1, 0, 0, 0, 0, 0)
        arm.step()
    assert arm.still()
    assert problem in arm.monitor.holding


def test_a_gripper_that_reports_between_does_not_make_bad_joints_good(tmp_path):
    arm = Arm(tmp_path)
    arm.run(50, 0.3, 0, 0, 0, 0, 0)
    arm.monitor.observe_joints(["shoulder", "elbow"], [0.0, np.nan], arm.now_ns, arm.now_s)
    arm.monitor.observe_joints(["finger"], [0.02], arm.now_ns, arm.now_s)
    assert arm.monitor.state_problem(arm.now_ns, arm.now_s) == "the position of elbow is not finite"
    arm.report()
    assert not arm.monitor.state_problem(arm.now_ns, arm.now_s)


def test_a_pose_that_is_not_finite_holds_the_arm(tmp_path):
    arm = Arm(tmp_path)
    arm.run(50, 0.3, 0, 0, 0, 0, 0)
    arm.position = np.array([np.inf, 0, 0])
    arm.run(40, 0.3, 0, 0, 0, 0, 0)
    assert arm.still()
    assert "the measured pose is not finite" in arm.monitor.holding


def test_the_arm_holds_when_its_clock_stands_still(tmp_path):
    arm = Arm(tmp_path)
    arm.run(50, 0.3, 0, 0, 0, 0, 0)
    now_ns = arm.now_ns
    for _ in range(200):
        arm.monitor.step(now_ns, arm.now_s)
        arm.now_s += 0.01
    assert "by the steady clock" in arm.monitor.holding


def test_the_gripper_stays_in_its_range_and_keeps_what_it_had_when_the_proposal_is_none(tmp_path):
    monitor = Arm(tmp_path).monitor
    assert monitor.propose_gripper(0.02) == 0.02
    assert monitor.propose_gripper(1.0) == 0.04
    assert monitor.propose_gripper(-1.0) == 0.0
    assert monitor.propose_gripper(np.nan) is None
    monitor.cause("operator", "someone stopped it")
    assert monitor.propose_gripper(0.02) is None


def test_a_stop_outlives_the_monitor_and_needs_a_reset_once_its_cause_is_over(tmp_path):
    arm = Arm(tmp_path)
    arm.run(50, 0.3, 0, 0, 0, 0, 0)
    arm.monitor.cause("rival", "another node publishes /delta_twist_cmds")
    arm.run(40, 0.3, 0, 0, 0, 0, 0)
    assert arm.still() and arm.monitor.holding == "stopped: another node publishes /delta_twist_cmds"
    with pytest.raises(SafetyError, match="cause lasts: another node publishes /delta_twist_cmds"):
        arm.monitor.reset(arm.now_ns, arm.now_s)

    again = Arm(tmp_path)
    again.run(40, 0.3, 0, 0, 0, 0, 0)
    assert again.still() and "another node" in again.monitor.holding
    assert again.monitor.reset(again.now_ns, again.now_s) == "another node publishes /delta_twist_cmds"
    assert again.still()
    again.run(20, 0.3, 0, 0, 0, 0, 0)
    assert not again.still()
    assert not Arm(tmp_path).stop.reason


def test_a_stop_file_that_cannot_be_read_stops_and_one_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "stop.json").write_text('{"rea')
    assert "cannot be read" in LatchedStop(tmp_path / "stop.json").reason
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot write"):
        LatchedStop(tmp_path / "file" / "stop.json")
    stop = LatchedStop(tmp_path / "new" / "stop.json")
    stop.latch("first")
    stop.latch("second")
    assert json.loads(stop.path.read_text())["reason"] == "first"


def test_a_stop_whose_file_cannot_be_removed_goes_on_and_says_what_to_do(tmp_path):
    (tmp_path / "stop.json").mkdir()
    arm = Arm(tmp_path)
    arm.report()
    with pytest.raises(FileError, match=r"remove the stop file '.*stop.json' by hand"):
        arm.monitor.reset(arm.now_ns, arm.now_s)
    arm.run(20, 0.1, 0, 0, 0, 0, 0)
    assert arm.still() and arm.stop.reason


CONTRADICTIONS = {
    "the workspace is empty: x from 0.3 to 0.2 m": {"workspace_max_m": (0.2, 0.3, 0.6)},
    "workspace_min_m has 2 entries, must have 3": {"workspace_min_m": (0.3, -0.3)},
    "joint_max_rad has 1 entries, must have 2": {"joint_max_rad": (1.0,)},
    "shoulder may go from -1 to 1 rad: nothing is left": {"joint_margin_rad": 1.0},
    "joint_margin_rad is -0.1, must not be negative": {"joint_margin_rad": -0.1},
    "the gripper's range is empty": {"gripper_min_m": 0.05},
    "max_linear_m_s3 is 0.0, must be greater than 0": {"max_linear_m_s3": 0.0},
    "max_state_age_s is inf, must be finite": {"max_state_age_s": float("inf")},
    "an arm at max_linear_m_s 1.7 needs .* m to stop": {"max_linear_m_s": 1.7},
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_limits_that_contradict_each_other_are_refused_in_one_line(message):
    with pytest.raises(ConfigError, match=message) as error:
        Limits(**asdict(LIMITS) | CONTRADICTIONS[message])
    assert "\n" not in str(error.value)
