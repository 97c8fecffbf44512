"""The rooms: arenas and the floor and wall textures that LIBERO's arena classes ask for by file name.

Poses and sizes of walls, lights, cameras and tables are LIBERO's (MIT licence: `bodies/LICENSE`).
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable

from PIL import Image

from hilam_sim.assets.collision import parse_rows
from hilam_sim.assets.mjcf import DRAWN, add
from hilam_sim.assets.paint import planks, plaster, tiles, wood

Boxes = dict[str, tuple[str, str, str]]  # position, orientation wxyz, half sizes

_WALLS: Boxes = {
    "leftcorner": ("-1.25 2.25 1.5", "0.6532815 0.6532815 0.2705981 0.2705981", "1.06 1.5 0.01"),
    "rightcorner": ("-1.25 -2.25 1.5", "0.6532815 0.6532815 -0.2705981 -0.2705981", "1.06 1.5 0.01"),
    "left": ("1.25 3 1.5", "0.7071 0.7071 0 0", "1.75 1.5 0.01"),
    "right": ("1.25 -3 1.5", "0.7071 -0.7071 0 0", "1.75 1.5 0.01"),
    "rear": ("-2 0 1.5", "0.5 0.5 0.5 0.5", "1.5 1.5 0.01"),
    "front": ("3 0 1.5", "0.5 0.5 -0.5 -0.5", "3 1.5 0.01"),
}
_KITCHEN_WALLS: Boxes = {
    "left": ("0.5 3 1.5", "0.7071 0.7071 0 0", "2.5 1.5 0.01"),
    "right": ("0.5 -3 1.5", "0.7071 -0.7071 0 0", "2.5 1.5 0.01"),
    "rear": ("-2 0 1.5", "0.5 0.5 0.5 0.5", "3 1.5 0.01"),
    "front": _WALLS["front"],
}
_MATT = {"reflectance": "0", "shininess": "0.1", "texuniform": "true", "texrepeat": "3 3"}
_LAMP = {
    "diffuse": ".8 .8 .8",
    "specular": "0.3 0.3 0.3",
    "dir": "0 -.15 -1",
    "directional": "false",
    "castshadow": "false",
}
_LIGHTS = {"light1": "1 1 4", "light2": "-3 -3 4"}
_CAMERAS = {
    "frontview": ("1 0 1.45", "0.56 0.43 0.43 0.56"),
    "birdview": ("-0.2 0 3", "0.7071 0 0 0.7071"),
    "agentview": ("0.5 0 1.35", "0.653 0.271 0.271 0.653"),
    "sideview": (
        "-0.05651774593317116 1.2761224129427358 1.4879572214102434",
        "0.009905065491771751 0.006877963156909582 0.5912228352893879 0.806418094001364",
    ),
}

_DESK = """\
body study_table
  box 0 0 .84929 .5 -.5 .5 .5 .03584 .68946 1.39273
  box -.50048 -.69064 .39431 0 0 1 0 .02002 .05031 .39407
  box .49617 -.69064 .39431 .02002 .05031 .39407
  box .49617 .70968 .39431 0 0 1 0 .02002 .05032 .39407
  box -.50048 .71473 .39431 .02002 .05031 .39407
  box -.00488 .71473 .02528 .70811 0 -.7061 0 .02002 .05031 .51262
  box -.00488 -.69765 .02528 .70811 0 -.7061 0 .02002 .05032 .51262
"""
_LOW_TABLE = """\
body living_room_table 0 0 0 1 0 0 0
  body living_room_table_col -.25 .25 0 .707 0 0 .707
    box -.19761 0 .42492 .70711 0 .70711 0 .01184 .44432 .67171
    box .54936 0 .42492 .5 .5 .5 -.5 .01184 .10133 .41675
    box -.97006 0 .42492 .5 -.5 -.5 -.5 .01184 .10133 .41675
    box -.19761 -.51121 .42492 .70711 0 .70711 0 .01184 .07752 .67171
    box -.19761 .49665 .42492 .70711 0 .70711 0 .01184 .07752 .67171
    box 0 0 .20414 .70711 0 -.70711 0 .20884 .41162 .43516
"""


def floor_scene() -> ET.Element:
    """The arena of LIBERO-Object: a floor, walls, two lights; LIBERO's problem classes move the cameras."""
    return _room(floor_has_body=True)


def table_scene() -> ET.Element:
    """The arena of LIBERO-Spatial and LIBERO-Goal."""
    root = _room()
    _add_table(root)
    return root


def kitchen_scene() -> ET.Element:
    """A table before a kitchenette, with a third light."""
    root = _room(_KITCHEN_WALLS)
    _add_table(root)
    _furnish(root, "kitchen")
    light = {**_LAMP, "specular": "0.8 0.8 0.8", "dir": "0 0 -1", "directional": "true"}
    add(root[1], "light", light, name="light_kitchen", pos="-1.75 0 1.6")
    return root


def study_scene() -> ET.Element:
    """A desk before shelves and a plant."""
    root = _room()
    root[1].append(parse_rows(_DESK.splitlines()))
    _furnish(root, "desk", "study")
    return root


def living_room_scene() -> ET.Element:
    """A low table before a sofa."""
    root = _room(floor_has_body=True)
    root[1].append(parse_rows(_LOW_TABLE.splitlines()))
    _furnish(root, "low_table", "living_room")
    return root


def _room(walls: Boxes = _WALLS, floor_has_body: bool = False) -> ET.Element:
    """Floor, walls, lights and cameras: (asset, worldbody). Some of LIBERO's floors are bodies."""
    root = ET.Element("mujoco", model="room")
    asset = add(root, "asset")
    sky = {"rgb1": "0.9 0.9 1", "rgb2": "0.2 0.3 0.4", "width": "64", "height": "64"}
    add(asset, "texture", sky, type="skybox", builtin="gradient")
    # LIBERO replaces these two files by those of the scene's floor and wall style
    add(asset, "texture", name="texplane", file="../textures/light-gray-floor-tile.png", type="2d")
    add(asset, "texture", name="tex-wall", file="../textures/light-gray-plaster.png", type="2d")
    add(asset, "material", _MATT, name="floorplane", texture="texplane", specular="0")
    add(asset, "material", _MATT, name="walls_mat", texture="tex-wall", specular="0.8")

    world = add(root, "worldbody")
    floor = add(world, "body", name="floor", pos="0 0 0") if floor_has_body else world
    plane = {"type": "plane", "size": "3 3 .125", "condim": "3"}
    add(floor, "geom", plane, name="floor", group="1", material="floorplane", pos="0 0 0")
    wall = {**DRAWN, "type": "box", "material": "walls_mat"}
    for name, (pos, quat, size) in walls.items():
        add(world, "geom", wall, name=f"wall_{name}_visual", pos=pos, quat=quat, size=size)
    for name, pos in _LIGHTS.items():
        add(world, "light", _LAMP, name=name, pos=pos)
    for name, (pos, quat) in _CAMERAS.items():
        add(world, "camera", name=name, mode="fixed", pos=pos, quat=quat)
    return root


def _add_table(root: ET.Element) -> None:
    """A table that LIBERO's arena class gives its size and place."""
    asset, world = root
    add(asset, "texture", name="tex-table", file="../textures/wood_table.png", type="cube")
    add(asset, "material", name="table_texture", texture="tex-table", specular="0.2", shininess="0")
    table = add(world, "body", name="table", pos="0 0 0.4")
    block = {"type": "box", "size": "0.4 0.4 0.4", "pos": "0 0 0"}
    add(table, "geom", block, name="table_collision", group="0", friction="1 0.005 0.0001")
    add(table, "geom", block, DRAWN, name="table_visual", material="table_texture")
    add(table, "site", name="table_top", pos="0 0 0.4", size="0.001 0.001 0.001", rgba="0 0 0 0")
    leg = {"type": "cylinder", "size": "0.05 0.1", "pos": "0 0 0", "material": "table_texture"}
    for number in range(1, 5):
        add(table, "geom", leg, DRAWN, name=f"table_leg{number}_visual")


def _furnish(root: ET.Element, *names: str) -> None:
    """Draws pieces of `furniture` where they stand."""
    asset, world = root
    for name in names:
        add(asset, "texture", name=f"tex-{name}", file=f"{name}.png", type="2d")
        add(
            asset,
            "material",
            name=name,
            texture=f"tex-{name}",
            texuniform="false",
            specular="0.2",
            shininess="0",
        )
        add(asset, "mesh", name=name, file=f"{name}.obj")
        add(world, "geom", DRAWN, type="mesh", mesh=name, material=name)


SCENES: dict[str, Callable[[], ET.Element]] = {
    "libero_floor_base_style": floor_scene,
    "libero_tabletop_base_style": table_scene,
    "libero_kitchen_tabletop_base_style": kitchen_scene,
    "libero_study_base_style": study_scene,
    "libero_living_room_tabletop_base_style": living_room_scene,
}

# file names fixed by LIBERO's floor and wall styles
TEXTURES: dict[str, Callable[[], Image.Image]] = {
    "light-gray-floor-tile.png": lambda: planks((198, 188, 178), (238, 236, 232), seed=1),
    "dark_floor_texture.png": lambda: planks((57, 53, 47), None, seed=2),
    "rustic_floor.png": lambda: planks((162, 162, 157), (110, 108, 102), seed=3),
    "white_marble_floor.png": lambda: tiles((233, 233, 233), (205, 203, 200), seed=4),
    "seamless_wood_planks_floor.png": lambda: planks((233, 200, 137), (186, 150, 96), seed=5),
    "brown_ceramic_tile.png": lambda: tiles((177, 152, 131), (128, 108, 92), seed=6),
    "gray_ceramic_tile.png": lambda: tiles((186, 171, 155), (206, 194, 180), seed=7, count=3),
    "tile_grigia_caldera_porcelain_floor.png": lambda: tiles(
        (195, 186, 177), (170, 162, 154), seed=8, count=1
    ),
    "light_blue_wall.png": lambda: plaster((186, 225, 244), seed=11),
    "dark_blue_wall.png": lambda: plaster((102, 145, 171), seed=12),
    "dark_gray_plaster.png": lambda: plaster((97, 106, 113), seed=13, roughness=8),
    "gray_plaster.png": lambda: plaster((236, 238, 235), seed=14, roughness=8),
    "dark_green_plaster_wall.png": lambda: plaster((39, 74, 54), seed=15),
    "light-gray-plaster.png": lambda: plaster((222, 219, 212), seed=16, roughness=3),
    "ceramic.png": lambda: tiles((249, 248, 243), (214, 212, 206), seed=17, count=4),
    "white_wall.png": lambda: plaster((234, 236, 233), seed=18, roughness=3),
    "yellow_linen_wall_texture.png": lambda: wood((220, 213, 180), seed=19, contrast=2).rotate(90),
    # not LIBERO's name: the table of the kitchen and of LIBERO-Spatial and LIBERO-Goal
    "wood_table.png": lambda: wood((200, 182, 164), seed=21, contrast=2),
}
