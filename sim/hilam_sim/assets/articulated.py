"""How articulated objects look (cabinets, stove, microwave): a mesh a part, all on one texture atlas.

Sizes are those of the bodies in `collision`; a part's mesh is in the frame of the body that it moves with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from hilam_sim.assets.atlas import Point, atlas, bar, block, disc, plain, ring
from hilam_sim.assets.paint import plaster, wood
from hilam_sim.assets.shapes import Mesh, merge, slab


@dataclass(frozen=True)
class ArticulatedLook:
    """`meshes` by the name of the body; `panes` of glass, (centre, half sizes) by the name of the body."""

    meshes: dict[str, Mesh]
    paint: Callable[[], Image.Image]
    panes: dict[str, tuple[Point, Point]] = field(default_factory=dict)


_METAL, _DARK, _GLOSS, _LIGHT, _DISPLAY = (plain(number) for number in range(5))
_EDGE, _INSIDE = _GLOSS, _LIGHT  # of drawers


def _drawer(z: float, handle_z: float) -> Mesh:
    """A drawer that opens towards -y, with a bar handle; `z` is the height of its middle.

    Its front has an edge and its bottom a colour of their own, to tell drawers and whether they are open.
    """
    bottom, top = z - 0.0322, z + 0.0318
    return merge(
        block((-0.106, -0.0776, z - 0.0335), (0.1127, -0.065, z + 0.0335), _EDGE),
        block((-0.102, -0.0779, z - 0.0295), (0.1087, -0.077, z + 0.0295)),
        block((-0.1043, -0.0655, bottom), (-0.0995, 0.0943, top)),
        block((0.1065, -0.0655, bottom), (0.1113, 0.0943, top)),
        block((-0.1, 0.0872, bottom), (0.107, 0.0943, top)),
        block((-0.1, -0.0655, bottom), (0.107, 0.088, bottom + 0.0075), _INSIDE),
        bar(0.0444, 0.0078, "x", _METAL).moved(-0.0028, -0.1016, handle_z),
        *(bar(0.0095, 0.0053, "y", _METAL).moved(x, -0.087, handle_z) for x in (-0.0356, 0.0292)),
    )


def cabinet() -> dict[str, Mesh]:
    """A chest of three drawers, its front towards -y; dark joints between them."""
    base = [
        block((-0.1174, -0.0776, 0.005), (-0.107, 0.1117, 0.221)),
        block((0.1138, -0.0776, 0.005), (0.1242, 0.1117, 0.221)),
        block((-0.107, 0.107, 0.005), (0.1138, 0.1117, 0.221)),
        block((-0.107, -0.0776, 0.005), (0.1138, 0.107, 0.0095)),
        block((-0.1247, -0.079, 0.219), (0.1318, 0.1117, 0.2228)),
        *(
            block((-0.107, -0.0776, low), (0.1138, 0.107, high), _DARK)
            for low, high in ((0.0786, 0.0803), (0.1473, 0.1499))
        ),
    ]
    return {
        "base": merge(*base),
        "cabinet_top": _drawer(0.1834, 0.1839),
        "cabinet_middle": _drawer(0.1138, 0.1104),
        "cabinet_bottom": _drawer(0.0451, 0.0411),
    }


def stove() -> dict[str, Mesh]:
    """A hot plate with coils over a pan (lit from in between when it is on) and a knob with a mark."""
    coils = [ring(r - 0.009, r, 0.02, 0.0254, _METAL) for r in (0.064, 0.048, 0.032)]
    # a ridge with a sloping end; the slab's x and z become y and z
    ridge = [(-0.043, 0), (0.0495, 0), (0.0495, 0.05), (-0.017, 0.05), (-0.028, 0.045), (-0.043, 0.033)]
    mark = [(-0.044, 0.012), (-0.012, 0.03), (-0.012, 0.0512), (-0.0285, 0.0462), (-0.044, 0.0338)]
    return {
        "burner": block((-0.095, -0.095, -0.02), (0.095, 0.095, 0.02)),
        "burner_plate": merge(
            disc(0.066, 0.019, 0.0203, _DARK, 24), disc(0.014, 0.02, 0.0254, _METAL), *coils
        ),
        "button": merge(
            disc(0.0465, 0, 0.0128, _GLOSS).moved(0.0013, 0.0046),
            slab(ridge, 0.0121).patched(*_GLOSS).turned("z", 90).moved(0.0013),
            slab(mark, 0.005).patched(*_LIGHT).turned("z", 90).moved(0.0013),
        ),
    }


def microwave() -> dict[str, Mesh]:
    """A case with a turntable, a display and keys on the right; a door with a frame and a bar handle."""
    front = -0.111
    keys = [(0.0985 + 0.0225 * k, 0.045 + 0.022 * row) for k in range(3) for row in range(4)]
    case = [
        block((-0.1725, -0.088, 0.006), (-0.1435, 0.111, 0.187)),
        block((0.0635, -0.088, 0.006), (0.1725, 0.111, 0.187)),
        block((0.0875, -0.1105, 0.006), (0.1725, -0.0865, 0.187)),
        block((-0.1435, 0.0805, 0.006), (0.0635, 0.1105, 0.187)),
        block((-0.1435, -0.088, 0.168), (0.0635, 0.0805, 0.187)),
        block((-0.1435, -0.088, 0.006), (0.0635, 0.0805, 0.024)),
        disc(0.075, 0.0235, 0.0245, _LIGHT).moved(-0.04),
        block((0.0955, front, 0.146), (0.1645, -0.11, 0.172), _DISPLAY),
        block((0.0938, -0.1124, 0.0117), (0.1581, -0.11, 0.0303), _METAL),
        *(block((x, front, z), (x + 0.017, -0.11, z + 0.014), _LIGHT) for x, z in keys),
        *(
            block((x, y, 0), (x + 0.03, y + 0.03, 0.0065), _METAL)
            for x in (-0.157, 0.128)
            for y in (-0.06, 0.05)
        ),
    ]
    frame = [
        ((0.0005, -0.0913), (0.0425, 0.0913)),
        ((0.2163, -0.0913), (0.2586, 0.0913)),
        ((0.0425, 0.0613), (0.2163, 0.0913)),
        ((0.0425, -0.0913), (0.2163, -0.0613)),
    ]
    door = [block((x0, -0.0224, z0), (x1, -0.0024, z1)) for (x0, z0), (x1, z1) in frame]
    door.append(bar(0.0745, 0.0095, "z", _METAL).moved(0.2375, -0.054))
    door += [bar(0.0165, 0.0095, "y", _METAL).moved(0.2375, -0.0375, z) for z in (-0.065, 0.065)]
    return {"object": merge(*case), "microdoorroot": merge(*door)}


def _paint_white_cabinet() -> Image.Image:
    front = wood((212, 211, 211), seed=31, contrast=3).rotate(90)
    return atlas(front, (128, 128, 130), (22, 20, 19), (150, 150, 152), (132, 131, 131))


def _paint_wooden_cabinet() -> Image.Image:
    front = wood((58, 48, 41), seed=32, contrast=8).rotate(90)
    return atlas(front, (128, 128, 130), (22, 20, 19), (112, 92, 74), (116, 85, 59))


def _paint_stove() -> Image.Image:
    return atlas(
        plaster((176, 176, 178), seed=33), (112, 112, 114), (38, 38, 40), (26, 26, 27), (240, 240, 240)
    )


def _paint_microwave() -> Image.Image:
    case = plaster((52, 52, 54), seed=34, roughness=1)
    return atlas(case, (205, 205, 208), (30, 30, 30), (26, 26, 27), (150, 150, 154), (90, 225, 190))


ARTICULATED: dict[str, ArticulatedLook] = {
    "flat_stove": ArticulatedLook(stove(), _paint_stove),
    "microwave": ArticulatedLook(
        microwave(), _paint_microwave, {"microdoorroot": ((0.1294, -0.0125, 0), (0.087, 0.003, 0.0613))}
    ),
    "white_cabinet": ArticulatedLook(cabinet(), _paint_white_cabinet),
    "wooden_cabinet": ArticulatedLook(cabinet(), _paint_wooden_cabinet),
}
