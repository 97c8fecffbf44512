"""The furniture of the rooms, in world coordinates: tables as large as LIBERO's, and what they stand before.

The cameras see the room from above the table and to the rear, hence mostly what is below a metre.
"""

import numpy as np
from PIL import Image

from hilam_sim.assets.atlas import SURFACE, Patch, atlas, bar, block, disc, plain
from hilam_sim.assets.objects import Look
from hilam_sim.assets.paint import plaster, wood
from hilam_sim.assets.shapes import Mesh, board, loft, merge, rounded_square, slab

_A, _B, _C, _D, _E, _F, _G, _H = (plain(number) for number in range(8))


def desk() -> Mesh:
    """The study's table: a board on two frames."""
    parts = [board(1.3927, 0.0358, 0.6895, tile_m=1).turned("x", 90).turned("z", 90).moved(z=0.8493)]
    for y in (-0.692, 0.712):
        parts += [board(0.02, 0.05, 0.394, tile_m=1).moved(x, y, 0.394) for x in (-0.5, 0.496)]
        parts.append(board(0.51, 0.05, 0.02, tile_m=1).moved(y=y, z=0.025))
    return merge(*parts)


def low_table() -> Mesh:
    """The living room's table: a large board with round corners on a round foot."""
    x, z, _ = rounded_square(32, power=3).T
    top = slab(np.stack([x * 0.585, z * 0.9], 1)[:0:-1], 0.0118, tile_m=1).turned("x", 90)
    foot = disc(0.4, 0, 0.413, (0, 0, 1, 1), 32)
    return merge(top.moved(z=0.4249), foot).moved(-0.24, 0.04)


def kitchen() -> Mesh:
    """Cupboards with a black counter, a cooker with an oven, two pots, wall cupboards and a fridge."""
    black, dark, metal = _A, _B, _C
    parts = [
        block((-1.98, -1.7, 0.1), (-1.3, 1.7, 0.86), dark),
        block((-1.98, -1.7, 0.86), (-1.25, 1.7, 0.9), black),
        block((-1.93, -0.38, 0.9), (-1.37, 0.38, 0.925), black),
        block((-1.3, -0.37, 0.14), (-1.275, 0.37, 0.84), black),
        block((-1.28, -0.28, 0.3), (-1.27, 0.28, 0.62), dark),
        bar(0.28, 0.012, "y", metal).moved(-1.25, 0, 0.72),
        block((-1.98, -1.7, 1.45), (-1.66, 1.7, 2.1), dark),
        disc(0.12, 0.925, 1.06, metal).moved(-1.55, 0.24),
        disc(0.1, 0.9, 1.02, metal).moved(-1.75, -0.85),
        block((-1.97, -2.83, 0), (-1.55, -1.97, 1.77), black),
        block((-1.56, -2.82, 0.02), (-1.53, -1.98, 0.66), dark),
        block((-1.56, -2.82, 0.68), (-1.53, -1.98, 1.75), dark),
        bar(0.3, 0.012, "z", metal).moved(-1.51, -2.06, 1.1),
    ]
    for left in (-1.7, -1.26, -0.82, 0.38, 0.82, 1.26):
        parts.append(block((-1.3, left + 0.01, 0.14), (-1.28, left + 0.43, 0.62)))
        parts.append(block((-1.3, left + 0.01, 0.64), (-1.28, left + 0.43, 0.84)))
        parts.append(bar(0.07, 0.008, "y", metal).moved(-1.265, left + 0.22, 0.79))
        parts.append(bar(0.07, 0.008, "y", metal).moved(-1.265, left + 0.22, 0.57))
        parts.append(block((-1.68, left + 0.01, 1.46), (-1.64, left + 0.43, 2.09)))
    return merge(*parts)


def living_room() -> Mesh:
    """A sofa with round arms, loose cushions and two pillows, and a picture above it."""
    foot, red, frame, blue, sand = _A, _B, _C, _D, _E
    parts = [
        block((-1.92, -0.7, 0), (-1.3, 0.7, 0.08), foot),
        block((-1.95, -0.72, 0.08), (-1.27, 0.72, 0.26)),
        block((-1.97, -0.72, 0.26), (-1.72, 0.72, 0.86)),
        block((-1.98, -0.43, 1.12), (-1.96, 0.43, 1.82), frame),
        block((-1.97, -0.38, 1.17), (-1.955, 0.38, 1.5), blue),
        block((-1.97, -0.38, 1.5), (-1.955, 0.38, 1.77), sand),
    ]
    for side in (-1, 1):
        low, high = sorted((side * 0.56, side * 0.74))
        parts.append(block((-1.95, low, 0.08), (-1.24, high, 0.48)))
        parts.append(bar(0.365, 0.115, "x", SURFACE).moved(-1.595, side * 0.65, 0.48))
        parts.append(_cushion(0.09, 0.28, 0.36).turned("y", 90).moved(-1.56, side * 0.28, 0.33))
        parts.append(_cushion(0.1, 0.28, 0.26).moved(-1.65, side * 0.28, 0.66))
        pillow = _cushion(0.065, 0.13, 0.13, red).turned("y", -15).turned("x", 12 * side)
        parts.append(pillow.moved(-1.47, side * 0.41, 0.54))
    return merge(*parts)


def _cushion(half_x: float, half_y: float, half_z: float, patch: Patch = SURFACE) -> Mesh:
    """A stuffed square, upright: its edges and corners round."""
    outline = [(-1, 0), (-1, 0.84), (-0.6, 0.97), (0, 1), (0.6, 0.97), (1, 0.84), (1, 0)]
    rows = [(x * half_x, width * half_z, width * half_y, (x + 1) / 2) for x, width in outline]
    return loft(rows, rounded_square(20, power=5)).turned("y", 90).patched(*patch)


def study() -> Mesh:
    """White shelves with books, a plant in a pot, a picture and a lamp."""
    green, pot, soil, ink = _A, _B, _C, _D
    parts = [
        block((-1.87, -1.61, 0), (-1.85, -0.38, 1.79)),
        *(block((-1.87, y, 0), (-1.56, y + 0.03, 1.79)) for y in (-1.61, -1.01, -0.41)),
        *(block((-1.87, -1.61, z), (-1.56, -0.38, z + 0.03)) for z in (0, 0.43, 0.87, 1.32, 1.77)),
        disc(0.14, 0, 0.33, pot).moved(-1.84, 0.56),
        disc(0.125, 0.33, 0.335, soil).moved(-1.84, 0.56),
        block((-1.94, 0, 1), (-1.91, 0.98, 1.98), ink),
        block((-1.925, 0.05, 1.05), (-1.905, 0.5, 1.5), _E),
        block((-1.925, 0.5, 1.05), (-1.905, 0.93, 1.3), _F),
        block((-1.925, 0.05, 1.5), (-1.905, 0.4, 1.93), _G),
        block((-1.925, 0.4, 1.5), (-1.905, 0.93, 1.93), _H),
        disc(0.1, 0.885, 0.9, ink).moved(0.3, -0.6),
        bar(0.15, 0.008, "z", ink).moved(0.3, -0.6, 1.05),
        disc(0.09, 1.2, 1.34, pot).moved(0.3, -0.6),
    ]
    books = (_E, _F, ink, _G, _H, _D)
    for shelf, z in enumerate((0.03, 0.46, 0.9)):
        for number in range(6):
            y = -1.56 + 0.075 * number + 0.6 * (shelf % 2)
            parts.append(
                block((-1.83, y, z), (-1.63, y + 0.05, z + 0.24), books[(number + shelf) % len(books)])
            )
    blade = np.array([(-0.03, 0), (0.03, 0), (0.035, 0.35), (0, 0.85), (-0.035, 0.35)])
    for number in range(9):
        leaf = slab(blade * (1, 0.75 + 0.06 * (number % 5)), 0.003).patched(*green)
        leaf = leaf.turned("x", 12 + 5 * (number % 4)).turned("z", 40 * number)
        parts.append(leaf.moved(-1.84, 0.56, 0.3))
    return merge(*parts)


def _paint_kitchen() -> Image.Image:
    return atlas(plaster((104, 100, 74), seed=41, roughness=2), (24, 24, 26), (34, 33, 28), (96, 96, 100))


def _paint_living_room() -> Image.Image:
    fabric = plaster((112, 102, 92), seed=42, roughness=3)
    return atlas(fabric, (20, 20, 21), (150, 68, 44), (90, 60, 40), (70, 100, 130), (210, 190, 150))


def _paint_study() -> Image.Image:
    white = plaster((246, 245, 240), seed=43, roughness=1)
    picture = ((234, 180, 34), (214, 62, 24), (92, 122, 156), (92, 34, 48))
    return atlas(white, (84, 130, 40), (226, 226, 224), (62, 46, 36), (34, 32, 32), *picture)


FURNITURE: dict[str, Look] = {
    "desk": Look(desk(), lambda: wood((154, 112, 65), seed=44, contrast=9)),
    "low_table": Look(low_table(), lambda: wood((88, 66, 54), seed=45, contrast=6)),
    "kitchen": Look(kitchen(), _paint_kitchen),
    "living_room": Look(living_room(), _paint_living_room),
    "study": Look(study(), _paint_study),
}
