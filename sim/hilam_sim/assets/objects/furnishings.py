"""Things to put things into, onto and away: books, the desk caddy, the tray, the wine rack and the shelf."""

from functools import partial

from PIL import Image

from hilam_sim.assets.atlas import atlas, block, disc, plain
from hilam_sim.assets.objects.look import Look
from hilam_sim.assets.paint import Colour, Painter, wood
from hilam_sim.assets.shapes import Mesh, board, box, merge, slab


def book(thickness: float, width: float, height: float) -> Mesh:
    """A book standing on the origin: covers towards -x and +x, its spine towards +y.

    Texture: covers left of u = 0.75; right of it the pages below and the spine above.
    """
    x, y, z, cover = thickness / 2, width / 2, height / 2, 0.0015

    def upright(mesh: Mesh) -> Mesh:  # u along y, v along z, the top towards x
        return mesh.turned("z", 90).turned("y", 90)

    leaf = upright(box(y, z, cover)).patched(0, 0, 0.75, 1)
    pages = upright(box(y - 0.003, z - 0.003, x - cover)).patched(0.78, 0, 0.97, 0.5)
    spine = box(x, z, cover).turned("z", 180).turned("x", -90).patched(0.76, 0.5, 1, 1)
    parts = (leaf.moved(x=x - cover), leaf.moved(x=cover - x), pages, spine.moved(y=y - cover))
    return merge(*parts).moved(z=z)


def desk_caddy() -> Mesh:
    """A tall compartment towards -y, two low ones in the middle and one with slanted sides towards +y."""
    t = 0.0037
    slanted = [(-0.0706, 0.012), (0.0669, 0.012), (0.0669, 0.158), (0.045, 0.148), (-0.0706, 0.078)]
    across = [board(0.0706, t, 0.078).moved(y=y, z=0.09) for y in (-0.2094, -0.068)]
    across += [slab(slanted, t).moved(y=y) for y in (0.0706, 0.2084)]
    along = [
        board(0.2098, t, 0.0785).turned("z", 90).moved(0.0668, 0, 0.0905),
        board(0.2098, t, 0.0335).turned("z", 90).moved(-0.0669, 0, 0.0405),
        board(0.0766, t, 0.0785).turned("z", 90).moved(-0.0669, -0.1395, 0.0905),
        board(0.0668, t, 0.043).turned("z", 90).moved(-0.0016, 0, 0.055),
    ]
    bottom = board(0.2195, 0.0062, 0.0786).turned("x", 90).turned("z", 90).moved(z=0.0062)
    return merge(bottom, *across, *along)


def wooden_tray() -> Mesh:
    """A fruit crate: three slats below, a board a side, posts in the corners, a bar above either end."""
    parts = [board(0.1455, width, 0.0034).moved(0.0074, y, 0.005) for y, width in _TRAY_SLATS]
    parts += [board(0.1454, 0.0018, 0.0217).moved(0.0074, y, 0.04) for y in (-0.086, 0.0756)]
    for x, inner in ((-0.1396, -0.1315), (0.1545, 0.1465)):
        parts.append(board(0.0785, 0.0017, 0.0235).turned("z", 90).moved(x, -0.0054, 0.0315))
        parts.append(board(0.0785, 0.0063, 0.0015).turned("z", 90).moved(inner, -0.0052, 0.0008))
        parts.append(board(0.0785, 0.0063, 0.0015).turned("z", 90).moved(inner, -0.0052, 0.08))
        parts += [
            board(0.035, 0.006, 0.0062).turned("y", 90).moved(inner, y, 0.0435) for y in (-0.078, 0.0674)
        ]
    return merge(*parts)


_TRAY_SLATS = ((0.0534, 0.02), (-0.0055, 0.0255), (-0.0642, 0.02))


def wine_rack() -> Mesh:
    """Two sloping shelves with dark holes for bottles and a lip below, on a slanted post and an arched foot.

    Texture: shelves above v = 0.42, the rest below 0.36, holes in between.
    """

    def dark(mesh: Mesh) -> Mesh:
        return mesh.patched(0, 0.02, 1, 0.36)

    shelf = [box(0.135, 0.0789, 0.0045).patched(0, 0.43, 1, 0.99)]
    for x in (-0.088, 0, 0.088):
        shelf += [disc(0.031, -0.005, 0.005, (0.4, 0.38, 0.6, 0.4), 12).moved(x, y) for y in (-0.038, 0.038)]
    parts = []
    for y, z in ((-0.0061, 0.2512), (-0.0413, 0.127)):
        parts.append(merge(*shelf).turned("x", 31.6).moved(0, y, z))
        parts.append(dark(box(0.135, 0.001, 0.009)).turned("x", 31.6).moved(0, y - 0.068, z - 0.03))
    parts.append(dark(box(0.009, 0.0085, 0.164)).turned("x", -16).moved(0, 0.0075, 0.1635))
    for sign in (-1, 1):
        parts.append(dark(box(0.09, 0.067, 0.0045)).turned("x", -sign * 7).moved(0, sign * 0.066, 0.011))
    parts.append(dark(box(0.0675, 0.0675, 0.0065)).moved(z=0.0065))
    return merge(*parts)


def two_layer_shelf() -> Mesh:
    """Two sides, a back towards +y, a board in the middle and one on top.

    Dark outside with light edges, light inside, and its back shows where the middle board is: else it looks
    like a solid block from most sides.
    """
    edge, lining = plain(0), plain(1)
    parts = [
        block((-0.1703, -0.0791, 0.2043), (0.1803, 0.1117, 0.2081), edge),
        block((-0.1623, -0.0711, 0.208), (0.1723, 0.1037, 0.2093)),
        block((-0.1464, -0.0711, 0.0684), (0.1558, 0.1073, 0.0708), lining),
        block((-0.1603, 0.1071, 0.0002), (0.1693, 0.1105, 0.2043), edge),
        block((-0.1463, 0.1068, 0.0002), (0.1557, 0.1072, 0.2043), lining),
    ]
    for low, high in ((0.008, 0.0656), (0.0736, 0.1963)):
        parts.append(block((-0.1523, 0.11, low), (0.1613, 0.1117, high)))
    for x, outwards in ((-0.1534, -1), (0.1628, 1)):
        outer, inner = x + outwards * 0.0071, x - outwards * 0.0071
        parts.append(block((x - 0.0065, -0.0791, 0.0002), (x + 0.0065, 0.1105, 0.2043), edge))
        low, high = sorted((outer, x))
        parts.append(block((low, -0.0711, 0.008), (high, 0.1037, 0.1963)))
        low, high = sorted((inner, x))
        parts.append(block((low, -0.0751, 0.0003), (high, 0.107, 0.2042), lining))
    return merge(*parts)


def _paint_book(cover: Colour, ink: Colour, title: str) -> Image.Image:
    painter = Painter(cover)
    painter.rectangle(0.08, 0.38, 0.67, 0.93, ink)
    painter.rectangle(0.1, 0.395, 0.65, 0.915, cover)
    painter.text(0.375, 0.74, 0.46, 0.14, title, ink)
    painter.rectangle(0.75, 0, 1, 0.5, (236, 228, 208))
    for k in range(10):
        painter.rectangle(0.75, 0.005 + k * 0.016, 1, 0.01 + k * 0.016, (188, 178, 154))
    for v in (0.68, 0.72, 0.95):
        painter.rectangle(0.75, v, 1, v + 0.015, ink)
    return painter.image


def _paint_wine_rack() -> Image.Image:
    painter = Painter((30, 17, 12))
    light = wood((206, 172, 124), seed=6, contrast=6).rotate(90)
    painter.image.paste(light.crop((0, 0, 256, 148)), (0, 0))
    painter.image.paste(wood((92, 40, 24), seed=5).crop((0, 0, 256, 92)), (0, 164))
    return painter.image


def _paint_shelf() -> Image.Image:
    return atlas(wood((54, 43, 36), seed=3), (128, 98, 70), (148, 114, 80))


FURNISHINGS: dict[str, Look] = {
    "black_book": Look(
        book(0.0301, 0.1133, 0.1382).moved(-0.0005, -0.012),
        partial(_paint_book, (24, 24, 27), (205, 170, 80), "BOOK"),
    ),
    "yellow_book": Look(
        book(0.0269, 0.1013, 0.1235).moved(0.0028, -0.0008),
        partial(_paint_book, (236, 196, 52), (120, 60, 20), "BOOK"),
    ),
    "desk_caddy": Look(desk_caddy(), partial(wood, (84, 54, 33), seed=1, edge=(150, 108, 70))),
    "wooden_tray": Look(wooden_tray(), partial(wood, (196, 148, 92), seed=2)),
    "wine_rack": Look(wine_rack(), _paint_wine_rack),
    "wooden_two_layer_shelf": Look(two_layer_shelf(), _paint_shelf),
}
