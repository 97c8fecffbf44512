"""The rooms: arenas and the floor and wall textures that LIBERO's arena classes ask for by file name."""

import xml.etree.ElementTree as ET
from collections.abc import Callable

from hilam_sim.assets.mjcf import add
from hilam_sim.assets.paint import planks, plaster, tiles
from PIL import Image

# position, orientation wxyz, half sizes; visual only
_WALLS = {
    "leftcorner": ("-1.25 2.25 1.5", "0.6532815 0.6532815 0.2705981 0.2705981", "1.06 1.5 0.01"),
    "rightcorner": ("-1.25 -2.25 1.5", "0.6532815 0.6532815 -0.2705981 -0.2705981", "1.06 1.5 0.01"),
    "left": ("1.25 3 1.5", "0.7071 0.7071 0 0", "1.75 1.5 0.01"),
    "right": ("1.25 -3 1.5", "0.7071 -0.7071 0 0", "1.75 1.5 0.01"),
    "rear": ("-2 0 1.5", "0.5 0.5 0.5 0.5", "1.5 1.5 0.01"),
    "front": ("3 0 1.5", "0.5 0.5 -0.5 -0.5", "3 1.5 0.01"),
}
_WALL = {"type": "box", "contype": "0", "conaffinity": "0", "group": "1", "material": "walls_mat"}
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


def floor_scene() -> ET.Element:
    """The arena of LIBERO-Object: a floor, walls, two lights; LIBERO's problem classes move the cameras."""
    root = ET.Element("mujoco", model="floor_arena")
    asset = add(root, "asset")
    sky = {"rgb1": "0.9 0.9 1", "rgb2": "0.2 0.3 0.4", "width": "64", "height": "64"}
    add(asset, "texture", sky, type="skybox", builtin="gradient")
    # LIBERO replaces these two files by those of the scene's floor and wall style
    add(asset, "texture", name="texplane", file="../textures/light-gray-floor-tile.png", type="2d")
    add(asset, "texture", name="tex-wall", file="../textures/light-gray-plaster.png", type="2d")
    add(asset, "material", _MATT, name="floorplane", texture="texplane", specular="0")
    add(asset, "material", _MATT, name="walls_mat", texture="tex-wall", specular="0.8")

    world = add(root, "worldbody")
    floor = add(world, "body", name="floor", pos="0 0 0")
    plane = {"type": "plane", "size": "3 3 .125", "condim": "3"}
    add(floor, "geom", plane, name="floor", group="1", material="floorplane")
    for name, (pos, quat, size) in _WALLS.items():
        add(world, "geom", _WALL, name=f"wall_{name}_visual", pos=pos, quat=quat, size=size)
    for name, pos in _LIGHTS.items():
        add(world, "light", _LAMP, name=name, pos=pos)
    for name, (pos, quat) in _CAMERAS.items():
        add(world, "camera", name=name, mode="fixed", pos=pos, quat=quat)
    return root


SCENES: dict[str, Callable[[], ET.Element]] = {"libero_floor_base_style": floor_scene}

# file names fixed by LIBERO's floor and wall styles
TEXTURES: dict[str, Callable[[], Image.Image]] = {
    "light-gray-floor-tile.png": lambda: planks((198, 188, 178), (238, 236, 232), seed=1),
    "dark_floor_texture.png": lambda: planks((84, 66, 54), None, seed=2),
    "rustic_floor.png": lambda: planks((150, 112, 78), (90, 66, 48), seed=3),
    "white_marble_floor.png": lambda: tiles((232, 230, 228), (205, 203, 200), seed=4),
    "seamless_wood_planks_floor.png": lambda: planks((176, 130, 88), (120, 86, 58), seed=5),
    "brown_ceramic_tile.png": lambda: tiles((160, 120, 92), (110, 84, 66), seed=6),
    "gray_ceramic_tile.png": lambda: tiles((150, 150, 152), (112, 112, 114), seed=7),
    "tile_grigia_caldera_porcelain_floor.png": lambda: tiles((128, 126, 124), (96, 95, 94), seed=8, count=1),
    "light_blue_wall.png": lambda: plaster((176, 204, 222), seed=11),
    "dark_blue_wall.png": lambda: plaster((58, 80, 120), seed=12),
    "dark_gray_plaster.png": lambda: plaster((92, 92, 94), seed=13, roughness=8),
    "gray_plaster.png": lambda: plaster((150, 150, 150), seed=14, roughness=8),
    "dark_green_plaster_wall.png": lambda: plaster((58, 88, 70), seed=15),
    "light-gray-plaster.png": lambda: plaster((222, 219, 212), seed=16, roughness=3),
    "ceramic.png": lambda: tiles((222, 220, 214), (190, 188, 184), seed=17, count=4),
    "white_wall.png": lambda: plaster((238, 238, 238), seed=18, roughness=3),
    "yellow_linen_wall_texture.png": lambda: plaster((224, 204, 150), seed=19, roughness=6),
}
