"""Pictures: what is left undrawn is what cannot be seen."""

import os

import numpy as np
import pytest

from hilam_sim import LiberoEnv, SimError, rendering
from hilam_sim.assets import resolve_assets
from hilam_sim.backend import libero_envs
from hilam_sim.culling import Culler
from hilam_sim.env import ROBOSUITE_CAMERAS

official = pytest.mark.skipif("LIBERO_ASSETS" not in os.environ, reason="needs LIBERO's official assets")


class Everything(Culler):
    """Leaves nothing out."""

    def views(self, data, camera):
        return [], np.ones(self._model.ngeom, dtype=bool)

    def shrink_meshes(self, *_):
        pass


@pytest.mark.parametrize(
    ("suite", "task", "assets", "quality"),
    [
        ("libero_object", 3, "builtin", "fast"),
        ("libero_10", 9, "builtin", "fast"),
        ("libero_spatial", 0, "builtin", "stock"),
        pytest.param("libero_object", 3, "official", "stock", marks=official),
        pytest.param("libero_spatial", 0, "official", "stock", marks=official),  # the stove is a mirror
        pytest.param("libero_10", 9, "official", "stock", marks=official),  # a window to see through
        pytest.param("libero_10", 4, "official", "fast", marks=official),
    ],
)
def test_what_is_left_undrawn_changes_no_bit_of_the_picture(suite, task, assets, quality, monkeypatch):
    env = LiberoEnv(suite, task, assets=assets, quality=quality)
    monkeypatch.setattr(rendering, "Culler", Everything)
    reference = rendering.Renderer(env.model, env.image_size)
    rng = np.random.default_rng(0)
    observation, _ = env.reset()
    for _ in range(6):
        for key, camera in ROBOSUITE_CAMERAS.items():
            np.testing.assert_array_equal(observation[key], reference.render(env.data, camera))
        for _ in range(5):
            observation, *_ = env.step(np.append(rng.uniform(-1, 1, 6), 1.0))
    assert observation["agentview"].std() > 20
    reference.close()
    env.close()


def test_stock_quality_is_what_stock_libero_draws():
    env = LiberoEnv("libero_object", 3, assets="builtin", quality="stock")
    env.reset()
    stock = libero_envs(resolve_assets("builtin").path).env_wrapper.OffScreenRenderEnv(
        bddl_file_name=str(env.task.bddl_path), camera_heights=128, camera_widths=128
    )
    stock.reset()
    stock.sim.set_state_from_flattened(env.get_state())
    stock.sim.model.body_pos[:], stock.sim.model.body_quat[:] = env.model.body_pos, env.model.body_quat
    stock.sim.forward()
    observation = env.set_state(env.get_state())
    stock.sim._render_context_offscreen.gl_ctx.make_current()
    theirs = {
        key: stock.sim.render(128, 128, camera_name=name)[::-1] for key, name in ROBOSUITE_CAMERAS.items()
    }
    for key, image in theirs.items():
        np.testing.assert_array_equal(observation[key], image)
    stock.close()
    env.close()


def test_quality_follows_the_assets_and_is_a_choice():
    env = LiberoEnv("libero_object", 3, assets="builtin", render=False)
    assert env.quality == "fast"
    full = LiberoEnv("libero_object", 3, assets="builtin", render=False, quality="stock")
    assert full.model.nmeshface > 2 * env.model.nmeshface
    assert (env.model.vis.quality.offsamples, full.model.vis.quality.offsamples) == (0, 4)
    with pytest.raises(SimError, match="unknown quality 'best': choose from auto, fast, stock"):
        LiberoEnv("libero_object", 3, quality="best")


@official
def test_official_assets_are_drawn_in_stock_quality_unless_asked_otherwise():
    assert LiberoEnv("libero_object", 3, assets="official", render=False).quality == "stock"
