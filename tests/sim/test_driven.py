"""The arm of a scene under continuous control: it reaches goals, follows velocities, and holds."""

import numpy as np
import pytest

from hilam_sim import LiberoEnv
from hilam_sim.driven import SERVO_STIFFNESS, DrivenArm, Reflexes


@pytest.fixture(scope="module")
def env():
    env = LiberoEnv("libero_object", 0, assets="builtin", render=False)
    yield env
    env.close()


def arm_of(env, *stiffness):
    env.reset(seed=0)
    return DrivenArm(env, *stiffness)


def run(arm, seconds):
    for _ in range(round(seconds / 0.01)):
        arm.advance(0.01)
    return arm.pose()


def test_the_arm_holds_its_pose(env):
    arm = arm_of(env)
    before, quat = arm.pose()
    after, quat_after = run(arm, 2.0)
    np.testing.assert_allclose(after, before, atol=0.01)
    assert abs(quat @ quat_after) > 0.999


def test_the_arm_reaches_a_goal_pose(env):
    arm = arm_of(env)
    position, quat = arm.pose()
    goal = position + np.array([0.05, -0.05, -0.05])
    arm.aim(goal, quat)
    reached, _ = run(arm, 1.5)
    np.testing.assert_allclose(reached, goal, atol=0.01)


def test_a_servo_moves_at_the_commanded_velocity_and_stops(env):
    arm = arm_of(env, SERVO_STIFFNESS)
    start, _ = arm.pose()
    arm.move(np.array([0.0, 0.1, -0.05, 0, 0, 0.3]))
    moved, _ = run(arm, 1.0)
    np.testing.assert_allclose(moved - start, [0, 0.1, -0.05], atol=0.015)
    arm.move(np.zeros(6))
    stopped, _ = run(arm, 0.3)
    still, _ = run(arm, 0.5)
    np.testing.assert_allclose(still, stopped, atol=0.003)


def test_the_fingers_close_and_open(env):
    arm = arm_of(env)
    arm.grip(1.0)
    run(arm, 1.0)
    assert np.abs(env.proprioception()["gripper_qpos"]).max() < 0.01
    arm.grip(-1.0)
    run(arm, 1.0)
    assert np.abs(env.proprioception()["gripper_qpos"]).min() > 0.03


def test_reflexes_let_smooth_commands_pass_and_feel_a_policys_steps():
    position, quat, step = np.zeros(3), np.array([1.0, 0, 0, 0]), np.array([0.05, 0, 0])
    reflexes = Reflexes(position, quat)
    assert not any(reflexes.feel_goal(step * n / 12, quat, n * 0.01) for n in range(100))
    assert not reflexes.feel_goal(step * 99 / 12, quat, 1.0)
    assert "a goal 0.050 m" in reflexes.feel_goal(step * 99 / 12 + step, quat, 1.01)
    twists = [np.array([0.04 * n, 0, 0, 0, 0, 0]) for n in range(10)]
    assert not any(reflexes.feel_twist(twist, 2 + n * 0.02) for n, twist in enumerate(twists))
    assert "a velocity 1.00 m/s" in reflexes.feel_twist(twists[-1] - [1.0, 0, 0, 0, 0, 0], 2.2)
