"""Fresh and scattered placements."""

from contextlib import closing

import numpy as np
import pytest

from hilam_sim import LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.geometry import footprint
from hilam_sim.placements import scatterable
from hilam_sim.tasks import SUITES, list_tasks


def _task_env(suite, task):
    return closing(LiberoEnv(suite, task, render=False, assets="builtin"))


def _position(env, name):
    return env.data.xpos[env.problem.obj_body_id[name]].copy()


def _scatter(env, seed):
    """World positions of all objects of a scattered placement."""
    env.reset(seed=seed, options={"placement": "scattered"})
    return {name: _position(env, name) for name in env.problem.objects_dict}


def _positions(env, seeds, placement):
    names = scatterable(env.problem)
    rows = []
    for seed in seeds:
        env.reset(seed=seed, options={"placement": placement})
        rows.append([_position(env, name) for name in names])
    return np.array(rows)


def test_scattered_targets_cover_the_region_and_fresh_ones_do_not(env):
    scattered, fresh = (_positions(env, range(25), placement) for placement in ("scattered", "fresh"))
    assert (np.ptp(scattered[:, 0, :2], axis=0) > (0.2, 0.25)).all()
    assert (np.ptp(fresh[:, 0, :2], axis=0) < 0.1).all()
    assert (np.ptp(scattered[:, 1:, :2], axis=0) > 0.15).all()
    assert (scattered[..., 2] < 0.1).all()  # nothing hangs in the air or stands on something else


def test_scattered_objects_do_not_touch(env):
    names = list(env.problem.objects_dict)
    for seed in range(10):
        env.reset(seed=seed, options={"placement": "scattered"})
        boxes = [footprint(env.problem, n) + env.data.xpos[env.problem.obj_body_id[n]][:2] for n in names]
        for i, one in enumerate(boxes):
            for other in boxes[:i]:
                assert (one[0] > other[1]).any() or (one[1] < other[0]).any()


def test_the_target_comes_first_and_the_basket_stays(env):
    env.reset()
    names = scatterable(env.problem)
    assert names[0] == "bbq_sauce_1"
    assert "basket_1" not in names


def test_the_placements_that_policies_were_measured_on_are_the_same(env):
    places = _scatter(env, 1_000_000)
    np.testing.assert_allclose(places["bbq_sauce_1"][:2], (-0.05037, -0.20659), atol=1e-4)
    np.testing.assert_allclose(places["ketchup_1"][:2], (0.05374, -0.26900), atol=1e-4)


def _touching(env):
    """Pairs of names of objects and fixtures in contact."""
    names = {env.problem.obj_body_id[name]: name for name in env.problem.obj_body_id}
    pairs = set()
    for contact in env.data.contact[: env.data.ncon]:
        bodies = [env.model.body_rootid[env.model.geom_bodyid[geom]] for geom in contact.geom]
        if all(body in names for body in bodies):
            pairs.add(frozenset(names[body] for body in bodies))
    return {pair for pair in pairs if len(pair) == 2}


def _check_scattered(task):
    with _task_env(task.suite, task.index) as env:
        on_others = {
            frozenset((name, place[0]))
            for _, name, *place in env.problem.parsed_problem["initial_state"]
            if place and place[0] in env.problem.objects_dict
        }
        base = env.data.xpos[env.model.body("robot0_base").id][:2].copy()
        for seed in (0, 1):
            places = _scatter(env, seed)
            assert not env.success(), f"{task.name}: done already"
            moved = set(scatterable(env.problem))
            touching = {pair for pair in _touching(env) if pair & moved} - on_others
            assert not touching, f"{task.name}: {touching} touch"
            for name in moved:
                reach = np.linalg.norm(places[name][:2] - base)
                assert 0.25 < reach < 0.85, f"{task.name}: {name} is {reach:.2f} m from the robot"
                joint = env.problem.objects_dict[name].joints[-1]
                speed = np.linalg.norm(env.data.joint(joint).qvel[:3])
                assert speed < 0.1, f"{task.name}: {name} moves at {speed:.2f} m/s"


@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite != "libero_90"])
def test_every_task_of_the_four_suites_can_be_scattered(suite):
    for task in list_tasks(suite):
        _check_scattered(task)


@pytest.mark.slow
def test_every_task_of_libero_90_can_be_scattered():
    for task in list_tasks("libero_90"):
        _check_scattered(task)


def test_the_instruction_stays_true_where_it_names_a_neighbour():
    cases = ((1, "glazed_rim_porcelain_ramekin_1"), (6, "cookies_1"), (8, "plate_1"))
    for task, neighbour in cases:
        with _task_env("libero_spatial", task) as env:
            for seed in range(6):
                places = _scatter(env, seed)
                near = np.linalg.norm(places["akita_black_bowl_1"] - places[neighbour])
                far = np.linalg.norm(places["akita_black_bowl_2"] - places[neighbour])
                assert near < 0.19 < far


def test_between_stays_between():
    with _task_env("libero_spatial", 0) as env:
        for seed in range(6):
            places = {name: place[:2] for name, place in _scatter(env, seed).items()}
            ends = places["plate_1"], places["glazed_rim_porcelain_ramekin_1"]
            way = ends[1] - ends[0]
            offset = places["akita_black_bowl_1"] - ends[0]
            along = offset @ way / (way @ way)
            aside = np.linalg.norm(offset - along * way)
            assert 0.3 < along < 0.7
            assert aside < 0.06


def test_objects_told_apart_by_their_order_keep_it():
    cases = (
        ("libero_90", 14, ("akita_black_bowl_3", "akita_black_bowl_2", "akita_black_bowl_1"), 0),
        ("libero_90", 60, ("akita_black_bowl_1", "akita_black_bowl_2"), 1),
        ("libero_90", 86, ("yellow_book_2", "black_book_1", "yellow_book_1"), 1),
    )
    for suite, task, names, axis in cases:
        with _task_env(suite, task) as env:
            for seed in range(6):
                places = _scatter(env, seed)
                assert (np.diff([places[name][axis] for name in names]) > 0.05).all()


def test_what_stands_on_a_moved_object_moves_with_it():
    with _task_env("libero_spatial", 3) as env:
        cookies = []
        for seed in range(6):
            places = _scatter(env, seed)
            cookies.append(places["cookies_1"])
            assert np.linalg.norm((places["akita_black_bowl_1"] - places["cookies_1"])[:2]) < 0.03
        assert (np.ptp(cookies, axis=0)[:2] > 0.1).all()


def test_what_the_goal_puts_something_beside_stays():
    with _task_env("libero_10", 6) as env:
        places = [_scatter(env, seed) for seed in range(6)]
        plates = np.array([place["plate_1"][:2] for place in places])
        puddings = np.array([place["chocolate_pudding_1"][:2] for place in places])
        assert (np.ptp(plates, axis=0) < 0.06).all()
        assert (np.ptp(puddings, axis=0) > 0.1).all()


def test_drawers_that_are_to_be_opened_have_room():
    with _task_env("libero_goal", 3) as env:
        for seed in range(4):
            _scatter(env, seed)
            joint = env.data.joint("wooden_cabinet_1_top_level")
            joint.qpos = env.model.joint("wooden_cabinet_1_top_level").range[0]
            env.problem.sim.forward()
            touching = [pair for pair in _touching(env) if "wooden_cabinet_1" in pair]
            assert not touching


def test_a_swapped_target_stands_where_another_object_stood(env):
    names = list(env.problem.objects_dict)
    partners = set()
    for state in range(6):
        placed = {}
        for placement in ("stored", "swapped"):
            env.reset(seed=state, options={"placement": placement, "init_state": state})
            placed[placement] = {name: _position(env, name)[:2] for name in names}
        before, after = placed["stored"], placed["swapped"]
        moved = [name for name in names if np.linalg.norm(after[name] - before[name]) > 0.03]
        assert len(moved) == 2 and "bbq_sauce_1" in moved
        (other,) = set(moved) - {"bbq_sauce_1"}
        assert np.linalg.norm(after["bbq_sauce_1"] - before[other]) < 0.02  # they rock while they settle
        assert np.linalg.norm(after[other] - before["bbq_sauce_1"]) < 0.02
        partners.add(other)
    assert len(partners) > 1


def test_an_episode_begins_in_the_states_of_another_task_of_the_scene():
    with _task_env("libero_goal", 0) as env:
        positions = []
        for states_of in (None, 3):
            env.reset(options={"states_of": states_of, "init_state": 2})
            positions.append(np.stack([_position(env, name) for name in env.problem.objects_dict]))
        assert not env.success() and not np.array_equal(*positions)
        np.testing.assert_allclose(*positions, atol=0.05)
        with pytest.raises(SimError, match="unknown initial state 50"):
            env.reset(options={"states_of": 3, "init_state": 50})
