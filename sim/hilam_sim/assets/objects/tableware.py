"""Tableware: bowls, the plate, the ramekin and mugs.

Their textures show the outside below v = 0.45, the inside up to 0.9, handle or ribs above.
"""

import numpy as np
from PIL import Image

from hilam_sim.assets.objects.look import Look
from hilam_sim.assets.paint import Colour, Painter
from hilam_sim.assets.shapes import Floats, Mesh, box, circle, loft, merge, tube

Profile = list[tuple[float, float]]
_RIM, _INSIDE_TO = 0.45, 0.9
_HANDLE = (0, 0.92, 1, 0.98)  # where handles and ribs are in the texture


def vessel(outside: Profile, inside: Profile, section: Floats | None = None) -> Mesh:
    """Something hollow and round from rows (radius, height): outside upwards, then inside downwards.

    Rows given twice make a sharp edge; v is spread evenly over the length of either side.
    """
    rows = []
    for part, v0, v1 in ((outside, 0.0, _RIM), (inside, _RIM, _INSIDE_TO)):
        length = np.hypot(*np.diff(part, axis=0).T)
        v = v0 + (v1 - v0) * np.concatenate([[0], length.cumsum() / length.sum()])
        rows += [(height, radius, radius, place) for (radius, height), place in zip(part, v, strict=True)]
    return loft(rows, circle(24) if section is None else section)


def mug(outside: Profile, inside: Profile, centre: tuple[float, float], handle: list, side: int) -> Mesh:
    """A vessel at `centre` (x, y) with a handle, a tube, towards +x or -x (`side`)."""
    x, y = centre
    grip = tube(handle).patched(*_HANDLE)
    if side < 0:
        grip = grip.turned("z", 180)
    return merge(vessel(outside, inside), grip).moved(x, y)


def ribbed_ramekin() -> Mesh:
    """A vessel with thick walls and upright ribs, textured like a handle."""
    outside = [(0, 0), (0.0375, 0), (0.039, 0.0025), (0.0418, 0.033), (0.0418, 0.033), (0.0436, 0.0355),
               (0.0443, 0.04)]  # fmt: skip
    inside = [(0.043, 0.0433), (0.0405, 0.0425), (0.0392, 0.0385), (0.0355, 0.033), (0.0345, 0.0095),
              (0.0325, 0.0072), (0, 0.007)]  # fmt: skip
    rib = box(0.0012, 0.0042, 0.0145).patched(*_HANDLE).turned("y", 5.2).moved(0.0407, 0, 0.0175)
    return merge(vessel(outside, inside), *(rib.turned("z", 36 * k) for k in range(10)))


def paint_vessel(outside: Colour, inside: Colour, rim: Colour, handle: Colour | None = None) -> Painter:
    """One colour a side; the inside darkens towards its bottom corner, as light does."""
    painter = Painter(outside)
    shade: Colour = tuple(int(c * 0.62) for c in inside)
    painter.gradient(_RIM, 0.68, inside, shade)
    painter.gradient(0.68, _INSIDE_TO, shade, inside)
    painter.band(_RIM - 0.02, _RIM + 0.02, rim)
    painter.band(_INSIDE_TO, 1, handle or outside)
    return painter


def _paint_black_bowl() -> Image.Image:
    inside, rim = (64, 65, 71), (128, 129, 136)
    painter = paint_vessel((24, 24, 28), inside, rim)
    painter.gradient(_RIM, 0.54, rim, inside)
    return painter.image


def _paint_white_bowl() -> Image.Image:
    painter = paint_vessel((240, 240, 236), (250, 250, 246), (255, 255, 255))
    painter.band(0.3, 0.33, (170, 185, 205))
    return painter.image


def _paint_plate() -> Image.Image:
    painter = Painter((242, 242, 240))
    painter.band(0.43, 0.49, (196, 62, 48))
    painter.band(0.52, 0.54, (214, 110, 96))
    painter.gradient(0.6, 0.66, (242, 242, 240), (218, 218, 216))
    return painter.image


def _paint_ramekin() -> Image.Image:
    return paint_vessel((226, 222, 212), (246, 243, 235), (250, 248, 242), (118, 112, 102)).image


def _paint_two_tone_mug() -> Image.Image:
    yellow, white = (238, 190, 30), (246, 245, 240)
    painter = paint_vessel(white, yellow, white, yellow)
    painter.band(0, 0.28, yellow)
    return painter.image


TABLEWARE: dict[str, Look] = {
    "akita_black_bowl": Look(
        vessel(
            [(0, 0), (0.03, 0), (0.03, 0), (0.0335, 0.006), (0.042, 0.0245), (0.0545, 0.052)],
            [(0.0535, 0.053), (0.0515, 0.052), (0.039, 0.025), (0.03, 0.0085), (0.024, 0.0075), (0, 0.0075)],
        ),
        _paint_black_bowl,
    ),
    "white_bowl": Look(
        vessel(
            [(0, 0), (0.0205, 0), (0.0205, 0), (0.0205, 0.003), (0.0305, 0.0076), (0.0385, 0.0155),
             (0.0415, 0.0235), (0.0422, 0.034)],
            [(0.0415, 0.0353), (0.0395, 0.034), (0.038, 0.0235), (0.034, 0.0142), (0.024, 0.0072),
             (0.012, 0.0045), (0, 0.004)],
        ),
        _paint_white_bowl,
    ),
    "plate": Look(
        vessel(
            [(0, 0.002), (0.042, 0.002), (0.043, 0), (0.0465, 0), (0.0525, 0.004), (0.0685, 0.0155)],
            [(0.0686, 0.0166), (0.067, 0.0164), (0.052, 0.0075), (0.045, 0.005), (0, 0.0042)],
            circle(28),
        ),
        _paint_plate,
    ),
    "glazed_rim_porcelain_ramekin": Look(ribbed_ramekin(), _paint_ramekin),
    "porcelain_mug": Look(
        mug(
            [(0, 0), (0.026, 0), (0.0335, 0.008), (0.041, 0.027), (0.0455, 0.05), (0.0475, 0.075),
             (0.0478, 0.112)],
            [(0.0465, 0.1146), (0.0435, 0.1135), (0.0415, 0.1), (0.0415, 0.06), (0.0375, 0.033),
             (0.03, 0.016), (0, 0.0125)],
            (0.0166, -0.0017),
            [(0.043, 0.0885, 0.007, 0.0045), (0.06, 0.0855, 0.007, 0.0045), (0.074, 0.074, 0.007, 0.0045),
             (0.0785, 0.057, 0.007, 0.0045), (0.0735, 0.0395, 0.007, 0.0045), (0.06, 0.0265, 0.0075, 0.0045),
             (0.038, 0.022, 0.0075, 0.0045)],
            -1,
        ),
        lambda: paint_vessel((244, 244, 242), (250, 250, 248), (255, 255, 255)).image,
    ),
    "red_coffee_mug": Look(
        mug(
            [(0, 0), (0.0335, 0), (0.035, 0.004), (0.0375, 0.05), (0.0415, 0.112), (0.0432, 0.125),
             (0.045, 0.133)],
            [(0.0435, 0.1345), (0.041, 0.1335), (0.036, 0.112), (0.033, 0.06), (0.0295, 0.018), (0, 0.014)],
            (-0.0183, -0.0011),
            [(0.038, 0.1, 0.009, 0.006), (0.058, 0.1105, 0.009, 0.0055), (0.072, 0.107, 0.009, 0.0055),
             (0.0765, 0.09, 0.009, 0.0055), (0.071, 0.069, 0.009, 0.0055), (0.058, 0.048, 0.009, 0.0055),
             (0.036, 0.03, 0.009, 0.006)],
            1,
        ),
        lambda: paint_vessel((196, 24, 22), (150, 18, 16), (222, 60, 54)).image,
    ),
    "white_yellow_mug": Look(
        mug(
            [(0, 0), (0.025, 0), (0.034, 0.006), (0.0385, 0.0145), (0.043, 0.05), (0.0508, 0.102)],
            [(0.0505, 0.1048), (0.0478, 0.104), (0.043, 0.088), (0.0385, 0.05), (0.0335, 0.0185), (0, 0.012)],
            (-0.0178, -0.0009),
            [(0.044, 0.0775, 0.009, 0.0045), (0.075, 0.0785, 0.009, 0.0045), (0.0815, 0.0735, 0.008, 0.0038),
             (0.083, 0.055, 0.008, 0.0035), (0.0805, 0.036, 0.008, 0.0038), (0.073, 0.0285, 0.0078, 0.004),
             (0.038, 0.0255, 0.0078, 0.0045)],
            1,
        ),
        _paint_two_tone_mug,
    ),
}  # fmt: skip
