"""The built-in asset pack: complete, reproducible, and the same physics as LIBERO's own assets."""

import importlib.metadata
import multiprocessing
import os
import pwd
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from hilam_core.files import cache_folder
from hilam_sim import LiberoEnv
from hilam_sim.assets import Assets, generate, lighten_robot, resolve, resolve_assets
from hilam_sim.assets.collision import body_names, read_body
from hilam_sim.backend import libero_envs
from hilam_sim.errors import SimError
from hilam_sim.rendering import Renderer
from hilam_sim.tasks import SUITES, list_tasks

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
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # nothing is downloaded here
    assert resolve_assets("auto").kind == "builtin"
    with pytest.raises(SimError, match="no official LIBERO assets in"):
        resolve_assets("official")


def test_a_user_without_a_home_has_the_builtin_assets(monkeypatch):
    def no_entry(uid: int) -> None:  # as for a container's user without a name
        raise KeyError(uid)

    monkeypatch.setenv("HILAM_CACHE", str(cache_folder()))
    monkeypatch.delenv("LIBERO_ASSETS", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert resolve_assets("auto").kind == "builtin"
    with pytest.raises(SimError, match="no home folder for the official assets: set LIBERO_ASSETS"):
        resolve_assets("official")


def test_an_unwritable_cache_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HILAM_CACHE", str(tmp_path / "file"))
    with pytest.raises(SimError, match="set HILAM_CACHE"):
        resolve_assets("builtin")


def test_liberos_licence_stands_where_its_numbers_do():
    theirs = next(file for file in importlib.metadata.files("hf-libero") if file.name == "LICENSE")
    ours = Path(resolve.__file__).parent / "bodies" / "LICENSE"
    assert ours.read_text() == theirs.read_text()
    assert "Copyright (c) 2023 Lifelong Robot Learning" in ours.read_text()


def test_another_body_is_another_pack(tmp_path):
    package = Path(shutil.copytree(Path(resolve.__file__).parent, tmp_path / "assets"))
    before = resolve.generator_hash(package)
    assert before == resolve.generator_hash(Path(resolve.__file__).parent)
    body = package / "bodies" / "butter.txt"
    body.write_text(body.read_text().replace("extent", "extent ", 1))
    assert resolve.generator_hash(package) != before


def test_a_pack_with_another_picture_has_another_content_hash(tmp_path):
    pack = resolve_assets("builtin")
    copy = Assets("builtin", Path(shutil.copytree(pack.path, tmp_path / "copy")))
    other = Assets("builtin", Path(shutil.copytree(pack.path, tmp_path / "other")))
    texture = next((other.path / "textures").iterdir())
    texture.write_bytes(texture.read_bytes()[::-1])
    assert copy.content_hash == pack.content_hash != other.content_hash


# the fewest tasks that hold every object, fixture and room
SCENES = [
    *(("libero_object", 0), ("libero_object", 6), ("libero_spatial", 0), ("libero_goal", 0)),
    *(("libero_10", task) for task in (2, 3, 4, 5, 9)),
    *(("libero_90", task) for task in (40, 60, 86)),
]


def _settled(suite: str, task: int, assets: str = "builtin", render: bool = False) -> LiberoEnv:
    env = LiberoEnv(suite, task, assets=assets, render=render)
    env.reset(seed=0)
    return env


def _objects(env: LiberoEnv) -> list[str]:
    """The first of every kind that can be carried."""
    names = [env.model.joint(i).name for i in range(env.model.njnt)]
    return [name.removesuffix("_1_joint0") for name in names if name.endswith("_1_joint0")]


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_every_task_builds_settles_and_is_not_solved_yet(suite):
    for task in list_tasks(suite):
        env = _settled(suite, task.index)
        assert env.assets == "builtin"
        assert set(_objects(env)) <= set(body_names())
        floor = 0 if suite == "libero_object" else 0.4  # the lowest table
        heights = [joint.qpos[2] for joint in _free_joints(env)]
        assert min(heights) > floor - 0.01, task.name
        assert max(np.abs(joint.qvel[:3]).max() for joint in _free_joints(env)) < 0.2, task.name
        _, _, _, _, info = env.step(np.zeros(7))
        assert not info["success"], task.name


def _free_joints(env: LiberoEnv) -> list[Any]:
    joints = [env.data.joint(i) for i in range(env.model.njnt)]
    return [joint for joint in joints if joint.qpos.size == 7]


@pytest.mark.parametrize(
    ("suite", "task", "joint", "position"),
    [
        ("libero_goal", 7, "flat_stove_1_button", 1.0),  # turn on
        ("libero_goal", 0, "wooden_cabinet_1_middle_level", -0.15),  # open
        ("libero_90", 28, "white_cabinet_1_top_level", 0.005),  # close
        ("libero_90", 33, "microwave_1_microjoint", 0.0),  # close
        ("libero_90", 35, "microwave_1_microjoint", -1.6),  # open
        ("libero_90", 39, "flat_stove_1_button", -0.003),  # turn off
    ],
)
def test_a_moved_part_fulfils_its_goal(suite, task, joint, position):
    env = _settled(suite, task)
    assert not env.success()
    env.data.joint(joint).qpos[:] = position
    env.set_state(env.get_state())
    assert env.success()


@pytest.mark.parametrize(
    ("suite", "task", "carried", "region"),
    [
        ("libero_10", 5, "black_book_1", "desk_caddy_1_back_contain_region"),
        ("libero_90", 60, "akita_black_bowl_1", "wooden_tray_1_contain_region"),
        ("libero_90", 86, "black_book_1", "wooden_two_layer_shelf_1_top_region"),
    ],
)
def test_an_object_in_its_region_fulfils_the_goal(suite, task, carried, region):
    env = _settled(suite, task)
    assert not env.success()
    env.data.joint(f"{carried}_joint0").qpos[:3] = env.data.site(region).xpos
    env.set_state(env.get_state())
    assert env.success()


# measured on the official assets with MuJoCo 3.3.2: mass in kg, height of the resting object's origin in m
MASS_AND_HEIGHT = {
    "alphabet_soup": (0.02585144589, 0.03839291),
    "basket": (0.1361069262, -0.004582345),
    "salad_dressing": (0.02178453342, 0.07270545),
    "cream_cheese": (0.006193808164, 0.008921477),
    "milk": (0.03166591046, 0.06973548),
    "tomato_sauce": (0.02663278259, 0.0383926),
    "butter": (0.005247177842, 0.008695477),
    "orange_juice": (0.03166591046, 0.06973548),
    "chocolate_pudding": (0.01018615709, 0.01306548),
    "bbq_sauce": (0.01218031034, 0.05462548),
    "ketchup": (0.02321682522, 0.07240547),
    "akita_black_bowl": (0.005591296581, 0.8984039),
    "cookies": (0.009642613248, 0.9093707),
    "glazed_rim_porcelain_ramekin": (0.009659550682, 0.8993411),
    "plate": (0.01152208158, 0.9024996),
    "wine_bottle": (0.01539414807, 0.8988607),
    "chefmate_8_frypan": (0.05024708665, 0.8991707),
    "moka_pot": (0.06824281106, 0.9661058),
    "porcelain_mug": (0.01646300408, 0.43437),
    "red_coffee_mug": (0.02935321299, 0.438599),
    "white_yellow_mug": (0.03091178516, 0.436857),
    "black_book": (0.0425469865, 0.8829598),
    "white_bowl": (0.002085810714, 0.8994107),
    "new_salad_dressing": (0.02178453342, 0.4594798),
    "wooden_tray": (0.05715366951, 0.4373801),
    "yellow_book": (0.02812497431, 0.8831599),
}


def test_masses_and_resting_poses_are_the_published_ones():
    seen: dict[str, tuple[float, float]] = {}
    for suite, task in SCENES:
        env = _settled(suite, task)
        for name in _objects(env):
            mass = float(env.model.body(f"{name}_1_main").subtreemass[0])
            seen.setdefault(name, (mass, float(env.data.joint(f"{name}_1_joint0").qpos[2])))
    assert seen.keys() == MASS_AND_HEIGHT.keys()
    for name, (mass, height) in MASS_AND_HEIGHT.items():
        assert seen[name][0] == pytest.approx(mass, rel=1e-8), name
        assert seen[name][1] == pytest.approx(height, abs=1e-6), name


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
def test_the_data_files_are_what_the_import_tool_writes():
    root = Path(__file__).parents[2]
    body_rows = runpy.run_path(str(root / "tools" / "import_body.py"))["body_rows"]
    for name in body_names():
        written = "\n".join(body_rows(Path(OFFICIAL) / read_body(name).xml(name))) + "\n"
        assert written == (root / "sim" / "hilam_sim" / "assets" / "bodies" / f"{name}.txt").read_text(), name


def _assert_same_bodies(ours: mujoco.MjModel, theirs: mujoco.MjModel) -> None:
    for fact in (*BODY_FACTS, *JOINT_FACTS):
        np.testing.assert_array_equal(getattr(ours, fact), getattr(theirs, fact), err_msg=fact)
    for fact in GEOM_FACTS:
        numbers = [getattr(model, fact)[_solid(model)] for model in (ours, theirs)]
        np.testing.assert_array_equal(*numbers, err_msg=fact)


@needs_official
@pytest.mark.parametrize("name", body_names())
def test_each_body_equals_the_official_one(name):
    builtin = resolve_assets("builtin").path
    ours, theirs = _compile(builtin, name), _compile(Path(OFFICIAL), name)
    _assert_same_bodies(ours, theirs)
    assert ours.nsite == theirs.nsite
    for site in range(theirs.nsite):
        assert ours.site(site).name == theirs.site(site).name
        for fact in ("site_pos", "site_quat", "site_size", "site_type", "site_bodyid"):
            np.testing.assert_array_equal(getattr(ours, fact)[site], getattr(theirs, fact)[site])
    for offset in ("bottom_offset", "top_offset", "horizontal_radius"):  # where LIBERO places it
        values = [getattr(_load(assets, name), offset) for assets in (builtin, Path(OFFICIAL))]
        np.testing.assert_array_equal(*values)


@needs_official
@pytest.mark.slow
@pytest.mark.parametrize(("suite", "task"), SCENES)
def test_a_trajectory_is_the_same_with_either_assets(suite, task):
    ours, theirs = (_settled(suite, task, assets) for assets in ("builtin", "official"))
    _assert_same_bodies(ours.model, theirs.model)
    np.testing.assert_array_equal(ours.get_state(), theirs.get_state())  # at rest
    contacts = ours.data.ncon
    for env in (ours, theirs):
        env.data.qvel[9:] += 0.3  # objects slide, drawers and doors move
        env.set_state(env.get_state())
    rng = np.random.default_rng(task)
    for _ in range(40):
        action = np.append(rng.uniform(-1, 1, 6) * 0.5, 1.0)
        action[2] = -1.0
        ours.step(action)
        theirs.step(action)
        contacts = max(contacts, ours.data.ncon)
    assert contacts > 8
    np.testing.assert_array_equal(ours.get_state(), theirs.get_state())


@pytest.fixture(scope="module")
def scene() -> LiberoEnv:
    return _settled("libero_object", 7)


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

    assert _triangles(light) < 20_000 < 100_000 < _triangles(full)
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


def _triangles(model: mujoco.MjModel) -> int:
    drawn = model.geom_dataid[(model.geom_group == 1) & (model.geom_type == mujoco.mjtGeom.mjGEOM_MESH)]
    return int(model.mesh_facenum[drawn].sum())


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "task"), SCENES)
def test_every_room_is_cheap_to_draw_and_not_blank(suite, task):
    env = _settled(suite, task, render=True)
    views = env.set_state(env.get_state())
    triangles = _triangles(env.model)
    env.close()
    assert triangles < 24_000
    for camera in ("agentview", "eye_in_hand"):
        assert 50 < views[camera].mean() < 200
        assert views[camera].std() > 25


def test_a_stove_glows_when_it_is_on():
    env = _settled("libero_goal", 7, render=True)
    off = env.set_state(env.get_state())["agentview"].astype(int)
    env.data.joint("flat_stove_1_button").qpos[:] = 1.0
    on = env.set_state(env.get_state())["agentview"].astype(int)
    env.close()
    red = (on[..., 0] > on[..., 1] + 80) & (off[..., 0] < off[..., 1] + 20)
    assert red.sum() > 20


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
