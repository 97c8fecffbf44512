"""What the built-in pack draws: one small, closed, correctly wound mesh and one texture an object."""

import itertools
import os
import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hilam_sim import LiberoEnv, contact_sheet
from hilam_sim.assets import articulated, resolve_assets
from hilam_sim.assets.objects import LOOKS
from hilam_sim.assets.paint import wood
from hilam_sim.assets.shapes import board, circle, loft, polygon, slab, tube
from hilam_sim.tasks import SUITES, list_tasks

OFFICIAL = os.environ.get("LIBERO_ASSETS")
ARENAS = {"floor", "kitchen_table", "living_room_table", "study_table", "table"}


def _normals(mesh):
    a, b, c = (mesh.points[mesh.triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _volume(mesh):
    """Positive if triangles face outwards, whatever the origin, as the mesh is closed."""
    return _volumes(mesh).sum()


def _volumes(mesh):
    """The volume of every part, that is of triangles connected by their corners."""
    _, place = np.unique(mesh.points.round(6), axis=0, return_inverse=True)
    a, b, c = place.reshape(-1)[mesh.triangles].T
    edges = (np.concatenate([a, b]), np.concatenate([b, c]))
    edges = coo_array((np.ones(2 * len(a)), edges), shape=(len(mesh.points),) * 2)
    _, part = connected_components(edges, directed=False)
    pyramids = (mesh.points[mesh.triangles[:, 0]] * _normals(mesh)).sum(1) / 6
    return np.bincount(part[a], pyramids)[np.unique(part[a])]


def _border(mesh):
    """How much of the surface is missing: the sum of the area vectors of a closed mesh is zero."""
    return np.linalg.norm(_normals(mesh).sum(0)) / np.abs(_normals(mesh)).sum()


def test_every_object_of_every_task_has_a_look():
    needed = set()
    for suite in SUITES:
        for task in list_tasks(suite):
            needed |= set(re.findall(r" - ([a-z0-9_]+)\s", task.bddl_path.read_text()))
    assert len(needed) == 38
    assert needed - articulated.ARTICULATED.keys() - ARENAS == LOOKS.keys()


@pytest.mark.parametrize("name", LOOKS)
def test_meshes_are_small_closed_and_face_outwards(name):
    mesh = LOOKS[name].mesh
    assert 12 <= len(mesh.triangles) <= 700
    for values in (mesh.points, mesh.normals, mesh.uv):
        assert np.isfinite(values).all()
    assert np.ptp(mesh.points, axis=0).max() < 0.5  # metres
    assert _border(mesh) < 1e-6
    assert (_volumes(mesh) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals[mesh.triangles], axis=2), 1, atol=1e-6)
    facing = (mesh.normals[mesh.triangles].mean(1) * _normals(mesh)).sum(1)
    assert (facing > 0).all()  # shading and winding agree: nothing is lit from behind


@pytest.mark.parametrize("name", LOOKS)
def test_numbers_survive_the_file(name):
    """OBJ files hold five decimals: no triangle may vanish, MuJoCo refuses a mesh of repeated points."""
    lines = LOOKS[name].mesh.obj().splitlines()
    points = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(points, LOOKS[name].mesh.points, atol=6e-6)
    faces = [line.split()[1:] for line in lines if line.startswith("f ")]
    corners = points[[[int(corner.split("/")[0]) - 1 for corner in face] for face in faces]]
    assert all(len(np.unique(triangle, axis=0)) == 3 for triangle in corners)


def _extent(xml, group):
    """Lowest and highest corner [2, 3], in metres, of an object's drawn (1) or solid (0) geoms."""
    model = mujoco.MjModel.from_xml_path(str(xml))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    corners = np.array(list(itertools.product((-1, 1), repeat=3)))
    points = []
    for geom in np.flatnonzero(model.geom_group == group):
        mesh = model.geom_dataid[geom]
        local = model.geom_aabb[geom, :3] + corners * model.geom_aabb[geom, 3:]
        if mesh >= 0:
            first = model.mesh_vertadr[mesh]
            local = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
        points.append(local @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom])
    points = np.concatenate(points)
    return np.array([points.min(0), points.max(0)])


def _xml(assets, name):
    (path,) = assets.glob(f"*_objects/{name}/{name}.xml")
    return path


@pytest.mark.parametrize("name", LOOKS)
def test_what_is_drawn_is_where_the_body_is(name):
    xml = _xml(resolve_assets("builtin").path, name)
    np.testing.assert_allclose(_extent(xml, 1), _extent(xml, 0), atol=0.011)


@pytest.mark.skipif(not OFFICIAL, reason="LIBERO_ASSETS is not set")
@pytest.mark.parametrize("name", LOOKS)
def test_objects_are_as_large_as_the_official_ones(name):
    ours, theirs = (_xml(folder, name) for folder in (resolve_assets("builtin").path, Path(OFFICIAL)))
    np.testing.assert_allclose(_extent(ours, 1), _extent(theirs, 1), atol=0.003)


# RGB of the whole texture, held loosely: an object must not become another one's colour unnoticed
MEAN_COLOUR = {
    "alphabet_soup": (169, 158, 122),
    "tomato_sauce": (177, 123, 108),
    "ketchup": (221, 124, 114),
    "salad_dressing": (152, 193, 148),
    "bbq_sauce": (147, 73, 21),
    "milk": (161, 185, 193),
    "orange_juice": (232, 172, 28),
    "butter": (235, 144, 47),
    "cream_cheese": (157, 175, 215),
    "chocolate_pudding": (151, 89, 65),
    "cookies": (213, 144, 121),
    "basket": (140, 107, 65),
    "new_salad_dressing": (150, 196, 151),
    "akita_black_bowl": (44, 44, 49),
    "white_bowl": (221, 222, 219),
    "plate": (238, 228, 225),
    "glazed_rim_porcelain_ramekin": (204, 200, 192),
    "porcelain_mug": (226, 226, 224),
    "red_coffee_mug": (165, 21, 19),
    "white_yellow_mug": (219, 184, 68),
    "chefmate_8_frypan": (61, 61, 64),
    "moka_pot": (176, 177, 180),
    "wine_bottle": (80, 68, 55),
    "black_book": (66, 62, 54),
    "yellow_book": (225, 188, 68),
    "desk_caddy": (87, 56, 34),
    "wooden_tray": (195, 148, 92),
    "wine_rack": (154, 115, 81),
    "wooden_two_layer_shelf": (58, 46, 38),
}


@pytest.mark.parametrize("name", LOOKS)
def test_colours_are_those_the_names_promise(name):
    picture = LOOKS[name].paint()
    assert picture.size == (256, 256)
    assert picture.tobytes() == LOOKS[name].paint().tobytes()  # the same every time
    np.testing.assert_allclose(np.asarray(picture, float).mean((0, 1)), MEAN_COLOUR[name], atol=8)


def _brightness(look, mesh, axis, sign, where):
    """Mean brightness, by area, of the faces of a mesh towards an axis whose middle `where` says yes to."""
    normals = _normals(mesh)
    area = np.linalg.norm(normals, axis=1)
    wanted = (sign * normals[:, axis] > 0.99 * area) & where(mesh.points[mesh.triangles].mean(1))
    u, v = mesh.uv[mesh.triangles[wanted]].mean(1).T % 1
    picture = np.asarray(look.paint(), float).mean(2)
    return np.average(picture[((1 - v) * 255).astype(int), (u * 255).astype(int)], weights=area[wanted])


@pytest.mark.parametrize(("name", "lighter"), [("white_cabinet", False), ("wooden_cabinet", True)])
@pytest.mark.parametrize("drawer", ["top", "middle", "bottom"])
def test_an_open_drawer_shows_its_bottom_and_drawers_their_edges(name, lighter, drawer):
    look = articulated.ARTICULATED[name]
    mesh = look.meshes[f"cabinet_{drawer}"]
    middle = (mesh.points[:, 2].min() + mesh.points[:, 2].max()) / 2
    bottom = _brightness(look, mesh, 2, 1, lambda p: (p[:, 2] < middle - 0.02) & (np.abs(p[:, 1]) < 0.05))
    rim = _brightness(look, mesh, 2, 1, lambda p: (p[:, 2] > middle + 0.02) & (p[:, 1] > -0.06))
    edge = _brightness(look, mesh, 1, -1, lambda p: np.isclose(p[:, 1], -0.0776))
    front = _brightness(look, mesh, 1, -1, lambda p: np.isclose(p[:, 1], -0.0779))
    assert ((bottom - rim) * (1 if lighter else -1)) > 30
    assert ((edge - front) * (1 if lighter else -1)) > 30


def test_the_shelf_is_dark_outside_and_light_inside():
    look = LOOKS["wooden_two_layer_shelf"]
    high = look.mesh.points.max(0)
    inside = _brightness(look, look.mesh, 1, -1, lambda p: np.isclose(p[:, 1], 0.1068))
    back = _brightness(look, look.mesh, 1, 1, lambda p: (p[:, 1] > high[1] - 1e-6) & (p[:, 2] < 0.2))
    top = _brightness(look, look.mesh, 2, 1, lambda p: p[:, 2] > high[2] - 1e-6)
    side = _brightness(look, look.mesh, 0, -1, lambda p: np.isclose(p[:, 0], -0.1605))
    assert inside - max(back, top, side) > 50


@pytest.mark.parametrize(
    ("suite", "task"), [("libero_object", 0), ("libero_spatial", 0), ("libero_10", 0), ("libero_10", 3)]
)
def test_a_scene_is_cheap_to_draw(suite, task):
    """Software rendering costs what its triangles cost; stock LIBERO draws 200 thousand."""
    env = LiberoEnv(suite, task, assets="builtin", render=False)
    drawn = (env.model.geom_group == 1) & (env.model.geom_type == mujoco.mjtGeom.mjGEOM_MESH)
    assert 10_000 < env.model.mesh_facenum[env.model.geom_dataid[drawn]].sum() < 22_000


def test_tubes_and_slabs_have_the_volume_of_their_shape():
    straight = tube([(0, 0, 0.1, 0.2), (0, 1, 0.1, 0.2)], count=64)
    assert _volume(straight) == pytest.approx(np.pi * 0.1 * 0.2, rel=0.01)
    assert _volume(slab([(0, 0), (1, 0), (0, 1)], 0.2)) == pytest.approx(0.2)
    assert _volume(board(0.1, 0.2, 0.3)) == pytest.approx(8 * 0.1 * 0.2 * 0.3)
    prism = loft(
        [(0, 0, 0, 0), (0, 1, 1, 0), (0, 1, 1, 0), (1, 1, 1, 1), (1, 1, 1, 1), (1, 0, 0, 1)], polygon(8)
    )
    assert _volume(prism) == pytest.approx(2 * np.sqrt(2))


def test_moving_and_turning_a_mesh():
    mesh = board(0.1, 0.2, 0.3)
    turned = mesh.turned("z", 90).moved(1, 2, 3)
    np.testing.assert_allclose(turned.points.min(0), (0.8, 1.9, 2.7))
    np.testing.assert_allclose(turned.points.max(0), (1.2, 2.1, 3.3))
    quarter = loft([(0, 1, 1, 0), (1, 1, 1, 1)], circle()).turned("x", 90)  # z to -y
    np.testing.assert_allclose(quarter.points[:, 1].min(), -1)
    assert (mesh.turned("y", 35).normals * mesh.turned("y", 35).points > -1).all()


def test_patches_share_a_texture():
    uv = tube([(0, 0, 0.1, 0.1), (0, 1, 0.1, 0.1)]).patched(0.25, 0.5, 0.75, 0.6).uv
    np.testing.assert_allclose(uv.min(0), (0.25, 0.5))
    np.testing.assert_allclose(uv.max(0), (0.75, 0.6))


def test_wood_tiles():
    picture = np.asarray(wood((120, 80, 50), seed=1), float)
    inside = np.abs(np.diff(picture, axis=0)).mean()
    assert np.abs(picture[0] - picture[-1]).mean() < 1.5 * inside


def test_a_contact_sheet_shows_every_task_with_both_cameras(monkeypatch):
    asked = []

    def views(task, assets, size):
        asked.append((task.name, assets))
        return Image.new("RGB", (size, 2 * size), (len(asked), 0, 0))

    monkeypatch.setattr(contact_sheet, "_views", views)
    sheet = contact_sheet.contact_sheet("libero_90", ("builtin", "official"), size=16, scenes=True)
    assert len(asked) == 2 * 20  # LIBERO-90 has twenty scenes
    assert len({name for name, _ in asked}) == 20
    shown = sheet.getcolors(1_000_000)
    assert {colour[0]: count for count, colour in shown if colour[1:] == (0, 0) and colour[0]} == {
        k: 16 * 32 for k in range(1, 41)
    }
