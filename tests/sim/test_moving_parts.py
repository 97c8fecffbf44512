"""Experts for drawers, doors and knobs, and for what is put behind them."""

import numpy as np
import pytest

from hilam_sim import LiberoEnv
from hilam_sim.experts.arm import Arm
from hilam_sim.experts.operating import facing
from hilam_sim.experts.parts import Part
from hilam_sim.recording import record_expert

OPEN_DRAWER = ("libero_goal", "open_the_middle_drawer_of_the_cabinet")
CLOSE_DRAWER = ("libero_90", "KITCHEN_SCENE4_close_the_bottom_drawer_of_the_cabinet")
FILL_DRAWER = (
    "libero_10",
    "KITCHEN_SCENE4_put_the_black_bowl_in_the_bottom_drawer_of_the_cabinet_and_close_it",
)
TALL_IN_DRAWER = ("libero_90", "KITCHEN_SCENE5_put_the_ketchup_in_the_top_drawer_of_the_cabinet")
OPEN_DOOR = ("libero_90", "KITCHEN_SCENE7_open_the_microwave")
FILL_MICROWAVE = (
    "libero_10",
    "KITCHEN_SCENE6_put_the_yellow_and_white_mug_in_the_microwave_and_close_it",
)
KNOB_ON = ("libero_goal", "turn_on_the_stove")
KNOB_OFF = ("libero_90", "KITCHEN_SCENE8_turn_off_the_stove")


def _perform(env, state):
    """The phases of an episode, in order, and whether it ended with success, the hand empty and all still."""
    recording = record_expert(env, "stored", state, init_state=state)
    if recording is None:
        return [], False
    for _ in range(10):
        env.step(np.array([0, 0, 0, 0, 0, 0, -1.0]))
    phases = recording.phases
    return [p for i, p in enumerate(phases) if i == 0 or p != phases[i - 1]], env.success()


@pytest.mark.parametrize(
    ("task", "state", "phases"),
    [
        (OPEN_DRAWER, 0, {"pull"}),
        (CLOSE_DRAWER, 0, {"push"}),
        (KNOB_ON, 0, {"grasp", "turn", "release"}),
        (KNOB_OFF, 2, {"grasp", "turn", "release"}),
        (OPEN_DOOR, 0, {"grasp", "pull", "release", "push"}),
        (FILL_DRAWER, 0, {"grasp", "carry", "place", "release", "push"}),
        (FILL_MICROWAVE, 0, {"grasp", "carry", "place", "release", "push"}),
    ],
    ids=lambda value: value[1][:50] if isinstance(value, tuple) else "",
)
def test_an_episode_of_each_move(task, state, phases):
    env = LiberoEnv(*task, render=False, assets="builtin")
    seen, success = _perform(env, state)
    assert success
    assert phases <= set(seen)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [FILL_DRAWER, FILL_MICROWAVE, TALL_IN_DRAWER, OPEN_DOOR], ids=lambda t: t[1][:50]
)
def test_the_hard_ones_mostly_succeed(task):
    env = LiberoEnv(*task, render=False, assets="builtin")
    assert sum(_perform(env, state)[1] for state in range(3, 9)) >= 5


def test_what_is_put_in_is_closed_last():
    env = LiberoEnv(*FILL_DRAWER, render=False, assets="builtin")
    assert env.problem.parsed_problem["goal_state"][0][0] == "close"
    seen, success = _perform(env, 1)
    assert success
    assert seen.index("release") < seen.index("push")


def test_a_handle_is_found_in_the_model():
    """Of the bottom drawer, 15 cm open: in front of its panel, in the middle of its width."""
    env = LiberoEnv(*CLOSE_DRAWER, render=False, assets="builtin")
    env.reset()
    part = Part.named(Arm(env, np.random.default_rng(0)), "white_cabinet_1_bottom_region")
    np.testing.assert_allclose(part.outwards(), [0.0, -1.0, 0.0], atol=1e-3)
    low, high = part.handle()
    cabinet = env.data.xpos[env.problem.obj_body_id["white_cabinet_1"]]
    assert part.slides
    assert high[0] - low[0] > 0.08
    assert abs((low + high)[0] / 2 - cabinet[0]) < 0.02
    assert cabinet[1] - high[1] > 0.22
    assert low[2] - cabinet[2] < 0.05


def test_a_door_swings_about_its_hinge():
    env = LiberoEnv(*OPEN_DOOR, render=False, assets="builtin")
    env.reset()
    part = Part.named(Arm(env, np.random.default_rng(0)), "microwave_1")
    assert not part.slides
    assert part.outwards()[1] > 0.95  # closed, it opens towards the middle of the table
    assert part.holds("close")
    assert part.top() > part.handle()[1, 2]


@pytest.mark.parametrize("heading", [-1.5, -0.4, 0.0, 1.2, 2.8])
def test_a_hand_faces_where_it_is_told(heading):
    direction = np.array([np.cos(heading), np.sin(heading), 0.0])
    rotation = facing(direction, 0.6)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-9)
    np.testing.assert_allclose(rotation[:, 2] @ direction, np.sin(0.6), atol=1e-9)
    np.testing.assert_allclose(rotation[2], [0.0, rotation[2, 1], -np.cos(0.6)], atol=1e-9)


def test_a_disturbed_start_at_a_drawer():
    env = LiberoEnv(*OPEN_DRAWER, render=False, assets="builtin")
    assert record_expert(env, "fresh", 3, disturbed=True) is not None


def test_styles_differ_and_repeat():
    env = LiberoEnv(*OPEN_DRAWER, render=False, assets="builtin")
    first, again, other = (record_expert(env, "fresh", seed).actions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or np.abs(np.subtract(first, other)).max() > 0.1
