"""The scripted experts."""

from itertools import pairwise

import numpy as np
import pytest
from hilam_sim import LiberoEnv, SimError, experts
from hilam_sim.experts import PHASES, make_expert
from hilam_sim.recording import record_expert


def _perform(env, seed, limit=300, **options):
    env.reset(seed=seed, options=options)
    expert, actions, phases = make_expert(env, seed), [], []
    for _ in range(limit):
        action, phase = expert.act()
        if expert.done:
            break
        env.step(action)
        actions.append(action)
        phases.append(phase)
    return np.array(actions), phases, expert.done and env.success()


def test_it_lets_go_and_waits_until_the_object_lies_still(env):
    actions, phases, success = _perform(env, 0, init_state=2)
    assert success
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1.0
    assert [p for i, p in enumerate(phases) if i == 0 or p != phases[i - 1]] == list(PHASES[:9])
    assert 90 <= len(actions) <= 170
    observation, *_ = env.step(np.array([0, 0, 0, 0, 0, 0, -1.0]))
    assert observation["gripper_qpos"][0] > 0.03
    body = env.model.body(env.problem.obj_body_id["bbq_sauce_1"])
    assert np.abs(env.data.qvel[body.dofadr[0] :][:3]).max() < 0.05


def test_a_seed_repeats_a_demonstration_and_another_varies_it(env):
    first, again, other = (_perform(env, seed, placement="stored")[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or np.abs(first - other).max() > 0.1


def test_it_recovers_from_a_disturbed_start(env):
    results = [record_expert(env, "scattered", seed, disturbed=True) for seed in range(4)]
    assert sum(result is not None for result in results) >= 3
    assert all(abs(result.observations[0]["ee_pos"][2]) < 0.3 for result in results if result)


def test_a_missed_grasp_is_tried_again(env):
    """The object is moved away while the fingers close."""
    env.reset(seed=1, options={"placement": "fresh"})
    expert, phases = make_expert(env, 1), []
    address = env.problem.sim.model.get_joint_qpos_addr("bbq_sauce_1_joint0")[0]
    for _ in range(300):
        action, phase = expert.act()
        if expert.done:
            break
        if phase == "grasp" and "grasp" not in phases:
            env.data.qpos[address] -= 0.08
        env.step(action)
        phases.append(phase)
    grasps = sum(b == "grasp" != a for a, b in pairwise(phases))
    assert grasps == 2
    assert env.success()


def test_a_goal_without_a_recipe_is_told(env, monkeypatch):
    monkeypatch.setitem(experts.RECIPES, "on", experts.RECIPES["in"])
    monkeypatch.delitem(experts.RECIPES, "in")
    env.reset()
    with pytest.raises(SimError, match="no recipe for 'in'"):
        make_expert(env, 0)


@pytest.mark.slow
@pytest.mark.parametrize("task", range(10))
def test_every_object_task_is_solved(task):
    env = LiberoEnv("libero_object", task, render=False, assets="builtin")
    stored = [_perform(env, seed, init_state=seed)[2] for seed in (0, 17, 33, 49)]
    scattered = [_perform(env, seed, placement="scattered")[2] for seed in (100, 101)]
    assert sum(stored) >= 3
    assert sum(stored) + sum(scattered) >= 5
