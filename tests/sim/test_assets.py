"""The built-in asset pack: complete, reproducible, and the same physics as LIBERO's own assets."""

import multiprocessing
import os
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from hilam_sim import LiberoEnv
from hilam_sim.assets import cache_folder, generate, lighten_robot, resolve_assets
from hilam_sim.assets.collision import body_names
from hilam_sim.backend import libero_envs
from hilam_sim.errors import SimError
from hilam_sim.rendering import Renderer

OFFICIAL = os.environ.get("LIBERO_ASSETS")
needs_official = pytest.mark.skipif(not OFFICIAL, reason="LIBERO_ASSETS is not set")
BODY_FACTS = ("body_mass", "body_inertia", "body_ipos", "body_iquat", "body_parentid")
JOINT_FACTS = [
    *("body_jntnum", "body_pos", "body_quat", "qpos0", "dof_damping", "dof_armature", "dof_frictionloss"),
    *(f"jnt_{fact}" for fact in ("type", "pos", "axis", "range", "limited", "stiffness", "solref", "solimp")),
]
GEOM_FACTS = [
    f"geom_{fact}"
    for fact in (
        *("type", "size", "pos", "quat", "friction", "solref", "solimp", "condim"),
        *("contype", "conaffinity", "margin", "gap", "priority", "bodyid"),
    )
]


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HILAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _resolve(queue) -> None:
    queue.put(resolve_assets("builtin").path)


def test_processes_that_ask_at_once_share_one_complete_pack(empty_cache, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_resolve, args=(queue,)) for _ in range(2)]
    for process in processes:
        process.start()
    paths = {queue.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    (pack,) = paths
    assert list(empty_cache.iterdir()) == [pack]  # no drafts left behind
    (tmp_path / "again").mkdir()
    generate.generate(tmp_path / "again")
    assert _files(pack) == _files(tmp_path / "again")


def test_an_interrupted_generation_leaves_nothing_that_looks_complete(empty_cache, monkeypatch):
    def fail_late(folder: Path) -> None:
        (folder / "scenes").mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(generate, "generate", fail_late)
        with pytest.raises(SimError, match="No space left on device"):
            resolve_assets("builtin")
    assert list(empty_cache.iterdir()) == []
    assert (resolve_assets("builtin").path / "scenes" / "libero_floor_base_style.xml").is_file()


def test_choices_and_errors(tmp_path, monkeypatch):
    with pytest.raises(SimError, match=r"'pretty'.*auto, builtin, official"):
        resolve_assets("pretty")
    monkeypatch.setenv("LIBERO_ASSETS", str(tmp_path))
    for choice in ("auto", "official"):
        with pytest.raises(SimError, match=f"LIBERO_ASSETS='{tmp_path}' is not a LIBERO asset folder"):
            resolve_assets(choice)
    assert resolve_assets("builtin").kind == "builtin"
    for name in ("stable_hope_objects", "stable_scanned_objects", "scenes", "textures"):
        (tmp_path / name).mkdir()
    assert resolve_assets("auto").kind == "official"
    monkeypatch.delenv("LIBERO_ASSETS")
    monkeypatch.setenv("HILAM_CACHE", str(cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_assets("auto").kind == "builtin"
    with pytest.raises(SimError, match="no official LIBERO assets in"):
        resolve_assets("official")


def test_an_unwritable_cache_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HILAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(SimError, match="set HILAM_CACHE"):
        resolve_assets("builtin")


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("HILAM_CACHE", raising=False)
    assert cache_folder() == Path("/somewhere/hilam")
    monkeypatch.setenv("HILAM_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def _settled(task: int, assets: str) -> LiberoEnv:
    env = LiberoEnv("libero_object", task, assets=assets, render=False)
    env.reset(seed=0)
    return env


def _objects(env: LiberoEnv) -> list[str]:
    names = [env.model.joint(i).name for i in range(env.model.njnt)]
    return [name.removesuffix("_1_joint0") for name in names if name.endswith("_1_joint0")]


@pytest.mark.parametrize("task", range(10))
def test_every_libero_object_scene_builds_and_settles(task):
    env = _settled(task, "builtin")
    assert env.assets == "builtin"
    objects = _objects(env)
    assert len(objects) == 7
    assert set(objects) <= set(body_names())
    speed = np.abs(env.data.qvel[9:]).max()
    heights = [env.data.joint(f"{name}_1_joint0").qpos[2] for name in objects]
    assert speed < 0.5
    assert min(heights) > -0.01  # on the floor, not through it


# measured on the official assets with MuJoCo 3.3.2: mass in kg, height of the resting object's origin in m
MASS_AND_HEIGHT = {
    "alphabet_soup": (0.025851445888, 0.03839291),
    "basket": (0.136106926208, -0.004582345),
    "salad_dressing": (0.0217845334248, 0.07270545),
    "cream_cheese": (0.0061938081645, 0.008921477),
    "milk": (0.0316659104568, 0.069735476),
    "tomato_sauce": (0.026632782592, 0.038392596),
    "butter": (0.0052471778424, 0.008695477),
    "bbq_sauce": (0.0121803103408, 0.054625477),
    "chocolate_pudding": (0.010186157088, 0.013065477),
    "ketchup": (0.0232168252216, 0.072405473),
    "orange_juice": (0.0316659104568, 0.069735476),
}


def test_masses_and_resting_poses_are_the_published_ones():
    seen = {}
    for task in (0, 3, 9):
        env = _settled(task, "builtin")
        for name in _objects(env):
            mass = float(env.model.body(f"{name}_1_main").mass[0])
            seen[name] = (mass, float(env.data.joint(f"{name}_1_joint0").qpos[2]))
    assert seen.keys() == MASS_AND_HEIGHT.keys()
    for name, (mass, height) in MASS_AND_HEIGHT.items():
        assert seen[name][0] == pytest.approx(mass, rel=1e-9)
        assert seen[name][1] == pytest.approx(height, abs=1e-6)


def _load(assets: Path, name: str) -> Any:
    return libero_envs(assets).objects.get_object_fn(name)(name=name)


def _compile(assets: Path, name: str) -> mujoco.MjModel:
    """The object alone, read by LIBERO's own class and compiled as in a scene."""
    loaded = _load(assets, name)
    from robosuite.models.world import MujocoWorldBase

    world = MujocoWorldBase()
    world.merge_assets(loaded)
    world.worldbody.append(loaded.get_obj())
    return mujoco.MjModel.from_xml_string(world.get_xml())


def _solid(model: mujoco.MjModel) -> np.ndarray:
    return (model.geom_contype != 0) | (model.geom_conaffinity != 0) | (model.geom_group == 0)


@needs_official
@pytest.mark.parametrize("name", body_names())
def test_each_body_equals_the_official_one(name):
    builtin = resolve_assets("builtin").path
    ours, theirs = _compile(builtin, name), _compile(Path(OFFICIAL), name)
    for fact in (*BODY_FACTS, *JOINT_FACTS):
        np.testing.assert_array_equal(getattr(ours, fact), getattr(theirs, fact), err_msg=fact)
    for fact in GEOM_FACTS:
        numbers = [getattr(model, fact)[_solid(model)] for model in (ours, theirs)]
        np.testing.assert_array_equal(*numbers, err_msg=fact)
    assert ours.nsite == theirs.nsite
    for site in range(theirs.nsite):
        assert ours.site(site).name == theirs.site(site).name
        for fact in ("site_pos", "site_quat", "site_size", "site_type", "site_bodyid"):
            np.testing.assert_array_equal(getattr(ours, fact)[site], getattr(theirs, fact)[site])
    for offset in ("bottom_offset", "top_offset", "horizontal_radius"):  # where LIBERO places it
        values = [getattr(_load(assets, name), offset) for assets in (builtin, Path(OFFICIAL))]
        np.testing.assert_array_equal(*values)


@needs_official
@pytest.mark.parametrize("task", [0, 3, 9])
def test_a_trajectory_is_the_same_with_either_assets(task):
    ours, theirs = _settled(task, "builtin"), _settled(task, "official")
    np.testing.assert_array_equal(ours.get_state(), theirs.get_state())
    rng = np.random.default_rng(task)
    for _ in range(40):  # down into the objects
        action = np.append(rng.uniform(-1, 1, 6) * 0.5, 1.0)
        action[2] = -1.0
        ours.step(action)
        theirs.step(action)
    assert ours.data.ncon > 28  # more than seven resting objects
    np.testing.assert_allclose(ours.get_state(), theirs.get_state(), rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def scene() -> LiberoEnv:
    return _settled(7, "builtin")


def _render(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    renderer = Renderer(model, 128)
    picture = renderer.render(data, "agentview")
    renderer.close()
    return picture.astype(float)


def test_the_light_robot_moves_and_looks_like_the_full_one(scene):
    xml = scene.problem.model.get_xml()
    full, light = (mujoco.MjModel.from_xml_string(text) for text in (xml, lighten_robot(xml)))
    solid = full.geom_group == 0
    for fact in BODY_FACTS:
        np.testing.assert_array_equal(getattr(light, fact), getattr(full, fact), err_msg=fact)
    for fact in GEOM_FACTS:
        np.testing.assert_array_equal(getattr(light, fact)[solid], getattr(full, fact)[solid], err_msg=fact)
    assert [light.geom(i).name for i in range(light.ngeom)] == [full.geom(i).name for i in range(full.ngeom)]

    def triangles(model):
        drawn = model.geom_dataid[(model.geom_group == 1) & (model.geom_type == mujoco.mjtGeom.mjGEOM_MESH)]
        return int(model.mesh_facenum[drawn].sum())

    assert triangles(light) < 20_000 < 100_000 < triangles(full)
    pictures = []
    for model in (full, light):
        data = mujoco.MjData(model)
        mujoco.mj_setState(model, data, scene.get_state(), mujoco.mjtState.mjSTATE_PHYSICS | 1)
        mujoco.mj_forward(model, data)
        pictures.append(_render(model, data))
    difference = np.abs(pictures[0] - pictures[1]).mean(-1)
    assert difference.mean() < 1.5  # grey levels of 255
    assert (difference > 40).mean() < 0.02


MEAN_COLOUR_OF_QUARTERS = {  # RGB: upper left, upper right, lower left, lower right
    "agentview": [[121, 116, 112], [120, 114, 107], [174, 166, 156], [175, 162, 146]],
    "eye_in_hand": [[171, 162, 152], [192, 180, 169], [137, 132, 127], [132, 123, 117]],
}


def test_the_pictures_stay_as_shipped_policies_know_them():
    """Looks are the input of every policy: who changes these numbers makes the shipped checkpoints anew."""
    env = LiberoEnv("libero_object", 7, assets="builtin")
    views, _ = env.reset(seed=0)
    env.close()
    for camera, expected in MEAN_COLOUR_OF_QUARTERS.items():
        quarters = views[camera].reshape(2, 64, 2, 64, 3).mean((1, 3)).reshape(4, 3)
        np.testing.assert_allclose(quarters, expected, atol=1.5, err_msg=camera)


def test_objects_are_visible_and_told_apart_by_colour(scene):
    picture = _render(scene.model, scene.data)
    colours = {}
    for name in _objects(scene):
        body = scene.model.body(f"{name}_1_main").id
        drawn = (scene.model.geom_bodyid == body) & (scene.model.geom_group == 1)
        scene.model.geom_group[drawn] = 3  # hidden
        pixels = picture[(picture != _render(scene.model, scene.data)).any(-1)]
        scene.model.geom_group[drawn] = 1
        assert len(pixels) >= 15, name
        colours[name] = pixels.mean(0)
    names = sorted(colours)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.linalg.norm(colours[one] - colours[other]) > 15, (one, other)
