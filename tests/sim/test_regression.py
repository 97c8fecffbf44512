"""What version drift breaks elsewhere: how bright pictures are, where objects rest, how an episode ends.

MuJoCo 3.3.3 darkened the floors, 3.4.0 moved boxes that rest on boxes and with it LIBERO-Spatial task 5.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from hilam_core.conventions import CAMERAS
from hilam_sim import LiberoEnv

ACTIONS = Path(__file__).with_name("recorded_actions.csv")  # an expert's, one row [7] a step
ON_THE_PLATE = {"akita_black_bowl_1": (0.0821, 0.1702, 0.9082), "plate_1": (0.0759, 0.1877, 0.9025)}
SETTLED = {
    "akita_black_bowl_1": (-0.21142, 0.20216, 0.93440),  # on the ramekin
    "akita_black_bowl_2": (0.05685, 0.04237, 0.91716),  # on the cookies
    "cookies_1": (0.05681, 0.04254, 0.90935),
    "glazed_rim_porcelain_ramekin_1": (-0.19690, 0.20163, 0.89934),
    "plate_1": (0.07347, 0.18547, 0.90250),
}
official = pytest.mark.skipif("LIBERO_ASSETS" not in os.environ, reason="needs LIBERO's official assets")


@pytest.mark.parametrize(
    ("assets", "agentview", "eye_in_hand"),
    [
        ("builtin", (146.7, 139.0, 130.6), (153.3, 144.8, 137.0)),
        pytest.param("official", (142.9, 135.6, 128.3), (142.9, 135.8, 129.7), marks=official),
    ],
)
def test_pictures_are_as_bright_as_ever(assets, agentview, eye_in_hand):
    env = LiberoEnv("libero_object", 3, assets=assets)
    observation, _ = env.reset()
    for camera, expected in zip(CAMERAS, (agentview, eye_in_hand), strict=True):
        assert observation[camera].mean(axis=(0, 1)) == pytest.approx(expected, abs=0.5), camera
    env.close()


@pytest.fixture(scope="module", params=["builtin", pytest.param("official", marks=official)])
def bowl_on_ramekin(request):
    env = LiberoEnv("libero_spatial", 5, assets=request.param, render=False)
    yield env
    env.close()


def test_objects_settle_where_they_always_did(bowl_on_ramekin):
    env = bowl_on_ramekin
    env.reset()
    for name, position in SETTLED.items():
        assert env.data.xpos[env.problem.obj_body_id[name]] == pytest.approx(position, abs=1e-4), name


def test_a_recorded_episode_ends_as_it_did(bowl_on_ramekin):
    env = bowl_on_ramekin
    env.reset()
    successes = [env.step(action)[4]["success"] for action in np.loadtxt(ACTIONS, delimiter=",")]
    assert successes[-1]
    assert successes.index(True) == pytest.approx(93, abs=2)
    for name, position in ON_THE_PLATE.items():
        assert env.data.xpos[env.problem.obj_body_id[name]] == pytest.approx(position, abs=3e-3), name
