"""Groceries: cans, bottles, cartons, boxes, and the basket they go into."""

import numpy as np
from PIL import Image

from hilam_sim.assets.objects.look import Look
from hilam_sim.assets.paint import Colour, Painter, weave
from hilam_sim.assets.shapes import Mesh, box, circle, loft, rounded_square, square


def can(radius: float, half_height: float, up: str) -> Mesh:
    """A tin can: bottom in v 0 to 0.1, label 0.1 to 0.9, lid 0.9 to 1."""
    r, h, inset = radius, half_height, radius * 0.95
    rows = [
        (-h, 0, 0), (-h, r, 0.08), (-h, r, 0.08), (-h + 0.003, r, 0.09), (-h + 0.003, inset, 0.1),
        (-h + 0.003, inset, 0.1), (h - 0.003, inset, 0.9), (h - 0.003, inset, 0.9), (h - 0.003, r, 0.91),
        (h, r, 0.92), (h, r, 0.92), (h, r * 0.88, 0.94), (h - 0.004, r * 0.86, 0.96), (h - 0.004, 0, 1),
    ]  # fmt: skip
    return loft([(height, width, width, v) for height, width, v in rows], circle(), up)


def bottle(outline: list[tuple[float, float, float]], depth: float, up: str) -> Mesh:
    """A bottle from rows (height, half width, v). The body is `depth` times as deep as wide."""
    neck = min(width for _, width, v in outline if 0 < v < 1)
    rows = []
    for height, width, v in outline:
        flatness = np.clip((width - neck) / (0.6 * neck), 0, 1)  # the neck and the cap are round
        rows.append((height, width, width * (1 - (1 - depth) * flatness), v))
    return loft(rows, circle(24), up)


def gable_carton(half: float, bottom: float, shoulder: float, ridge: float, top: float) -> Mesh:
    """A milk carton: sides in v 0.05 to 0.7, sloping roof 0.7 to 0.88, fin above; along y."""
    rows = [
        (bottom, 0, 0, 0), (bottom, half, half, 0.05), (bottom, half, half, 0.05),
        (shoulder, half, half, 0.7), (shoulder, half, half, 0.7),
        (ridge, half, 0.0015, 0.88), (ridge, half, 0.0015, 0.88),
        (top, half, 0.0015, 0.99), (top, half, 0.0015, 0.99), (top, 0, 0, 1),
    ]  # fmt: skip
    return loft(rows, square(), "y")


def open_basket() -> Mesh:
    """A basket that widens upwards, with a rim; outside in v 0 to 0.5, inside 0.5 to 1."""
    outside = [(0, 0, 0, 0), (0.001, 0.0755, 0.072, 0.1), (0.001, 0.0755, 0.072, 0.1)]
    outside += [(0.128, 0.0812, 0.0765, 0.42), (0.128, 0.0812, 0.0765, 0.42), (0.13, 0.0842, 0.0795, 0.43)]
    rim = [(0.147, 0.0848, 0.08, 0.49), (0.1475, 0.081, 0.0762, 0.5), (0.147, 0.076, 0.071, 0.51)]
    inside = [(0.13, 0.0745, 0.0695, 0.57), (0.0215, 0.068, 0.0635, 0.88), (0.0215, 0.068, 0.0635, 0.88)]
    return loft([*outside, *rim, *inside, (0.0215, 0, 0, 1)], rounded_square())


def paint_can(
    label: Colour, band: Colour, stripe: Colour, text: str, ink: Colour, dots: Colour, metal: Colour
) -> Image.Image:
    painter = Painter(metal)
    painter.band(0.1, 0.9, label)
    painter.band(0.34, 0.4, stripe)
    painter.band(0.1, 0.34, band)
    for k in range(12):
        painter.disc((k + 0.5) / 12, 0.2 + 0.05 * (k % 2), 0.035, dots)
    for k in range(4):
        painter.text((k + 0.5) / 4, 0.64, 0.21, 0.3, text, ink)
    painter.band(0.9, 0.93, tuple(min(255, c + 35) for c in metal))
    painter.band(0.93, 0.96, tuple(int(c * 0.78) for c in metal))
    return painter.image


def paint_bottle(
    body: Colour, cap: Colour, label: Colour, text: str, ink: Colour, accent: Colour, cap_from: float = 0.72
) -> Image.Image:
    painter = Painter(body)
    painter.band(cap_from, 1, cap)
    for k in range(0, 24, 2):
        painter.rectangle(k / 24, cap_from, (k + 1) / 24, 0.93, tuple(int(c * 0.85) for c in cap))
    for u in (0.25, 0.75):
        painter.rectangle(u - 0.19, 0.16, u + 0.19, 0.52, label)
        painter.disc(u, 0.24, 0.055, accent)
        painter.text(u, 0.4, 0.34, 0.2, text, ink)
    return painter.image


def paint_new_salad_dressing() -> Image.Image:
    """The other dressing's bottle with a lettuce leaf in place of the word."""
    painter = Painter(_WHITE)
    painter.image.paste(GROCERIES["salad_dressing"].paint())
    for u in (0.25, 0.75):
        painter.rectangle(u - 0.24, 0.12, u + 0.24, 0.58, (246, 246, 236))
        for v, radius in ((0.28, 0.13), (0.36, 0.15), (0.45, 0.08), (0.52, 0.03)):
            painter.disc(u, v, radius, (52, 158, 44))
        painter.rectangle(u - 0.02, 0.13, u + 0.02, 0.44, (226, 244, 178))
    return painter.image


def paint_milk() -> Image.Image:
    painter = Painter((245, 246, 250))
    painter.band(0, 0.16, (50, 140, 75))
    painter.band(0.64, 0.7, (60, 120, 205))
    for k in range(4):
        u = (k + 0.5) / 4
        painter.text(u, 0.51, 0.21, 0.2, "MILK", (30, 80, 180))
        painter.ellipse(u - 0.04, 0.78, 0.06, 0.035, (25, 25, 30))
        for du, v, radius in ((-0.06, 0.3, 0.035), (0.03, 0.25, 0.05), (0.07, 0.36, 0.025)):
            painter.disc(u + du, v, radius, (25, 25, 30))
    return painter.image


def paint_orange_juice() -> Image.Image:
    painter = Painter((250, 205, 30))
    painter.band(0.7, 0.88, (245, 140, 15))
    painter.band(0, 0.1, (240, 125, 10))
    for k in range(4):
        u = (k + 0.5) / 4
        painter.text(u, 0.58, 0.22, 0.15, "JUICE", (30, 110, 40))
        painter.disc(u, 0.29, 0.095, (225, 100, 5))
        painter.disc(u, 0.29, 0.08, (255, 160, 40))
        painter.spokes(u, 0.29, 0.08, (250, 225, 150))
    return painter.image


def paint_box(
    top: Colour, side: Colour, text: str, ink: Colour, oval: Colour | None, band: Colour
) -> Image.Image:
    painter = Painter(top)
    painter.band(0, 0.3, side)
    painter.rectangle(0, 0.3, 1, 0.4, band)
    painter.rectangle(0, 0.9, 1, 1, band)
    if oval is not None:
        painter.ellipse(0.5, 0.65, 0.44, 0.22, oval)
    painter.text(0.5, 0.65, 0.84, 0.34, text, ink)
    for k in range(4):
        painter.text((k + 0.5) / 4, 0.15, 0.22, 0.2, text, ink if oval is None else oval)
    return painter.image


def paint_cookies() -> Image.Image:
    painter = Painter(_WHITE)
    for k in range(24):
        for row in range(2):
            if (k + row) % 2:
                painter.rectangle(k / 24, 0.15 * row, (k + 1) / 24, 0.15 * (row + 1), _RED)
    painter.band(0.75, 1, _RED)
    painter.text(0.5, 0.875, 0.9, 0.2, "COOKIES", _WHITE)
    for u, radius in ((0.26, 0.225), (0.74, 0.225)):
        painter.disc(u, 0.53, radius, (140, 88, 36))
        painter.disc(u, 0.53, radius - 0.015, (216, 158, 78))
        for du, dv in ((-0.45, 0.4), (0.4, 0.45), (0.5, -0.35), (-0.3, -0.5), (0, 0)):
            painter.disc(u + du * radius, 0.53 + dv * radius, 0.042, (74, 36, 16))
    return painter.image


_WHITE, _RED, _GREEN, _BLUE, _YELLOW = (
    (248, 248, 245),
    (205, 28, 28),
    (25, 140, 60),
    (45, 95, 200),
    (255, 225, 60),
)

GROCERIES: dict[str, Look] = {
    "alphabet_soup": Look(
        can(0.033, 0.0415, "y"),
        lambda: paint_can(_BLUE, (250, 190, 40), _WHITE, "SOUP", _YELLOW, (225, 90, 20), (215, 180, 95)),
    ),
    "tomato_sauce": Look(
        can(0.033, 0.0414, "y"),
        lambda: paint_can(_RED, (25, 120, 50), _WHITE, "TOMATO", _WHITE, (235, 70, 40), (190, 192, 196)),
    ),
    "ketchup": Look(
        bottle(
            [
                (-0.0743, 0, 0), (-0.0743, 0.029, 0.05), (-0.0743, 0.029, 0.05), (-0.07, 0.0315, 0.08),
                (-0.035, 0.0318, 0.28), (-0.005, 0.0275, 0.46), (0.02, 0.0205, 0.62), (0.034, 0.017, 0.72),
                (0.034, 0.017, 0.72), (0.034, 0.0185, 0.74), (0.034, 0.0185, 0.74), (0.072, 0.0175, 0.93),
                (0.0743, 0.016, 0.95), (0.0743, 0.016, 0.95), (0.0743, 0, 1),
            ],
            0.66, "y",
        ),
        lambda: paint_bottle((205, 30, 18), _WHITE, (250, 240, 220), "KETCHUP", _RED, _RED),
    ),
    "salad_dressing": Look(
        bottle(
            [
                (-0.0737, 0, 0), (-0.0737, 0.0285, 0.05), (-0.0737, 0.0285, 0.05), (-0.068, 0.0313, 0.1),
                (-0.035, 0.03, 0.3), (-0.005, 0.0235, 0.48), (0.02, 0.016, 0.62), (0.036, 0.0145, 0.72),
                (0.036, 0.0145, 0.72), (0.036, 0.0175, 0.74), (0.036, 0.0175, 0.74), (0.071, 0.017, 0.93),
                (0.0737, 0.015, 0.95), (0.0737, 0.015, 0.95), (0.0737, 0, 1),
            ],
            0.7, "y",
        ),
        lambda: paint_bottle((240, 240, 225), (15, 130, 55), (215, 235, 160), "SALAD", (10, 90, 40), _GREEN),
    ),
    "bbq_sauce": Look(
        bottle(
            [
                (-0.0571, 0, 0), (-0.0571, 0.0225, 0.05), (-0.0571, 0.0225, 0.05), (-0.053, 0.0245, 0.08),
                (-0.012, 0.0245, 0.42), (0.002, 0.0205, 0.54), (0.012, 0.0145, 0.62), (0.027, 0.0135, 0.72),
                (0.027, 0.0135, 0.72), (0.027, 0.0145, 0.74), (0.027, 0.0145, 0.74), (0.054, 0.014, 0.93),
                (0.0571, 0.012, 0.95), (0.0571, 0.012, 0.95), (0.0571, 0, 1),
            ],
            0.66, "z",
        ),
        lambda: paint_bottle((78, 30, 14), (235, 120, 25), (240, 150, 40), "BBQ", (60, 15, 5), _RED),
    ),
    "milk": Look(gable_carton(0.0268, -0.0705, 0.0395, 0.059, 0.0714), paint_milk),
    "orange_juice": Look(gable_carton(0.0268, -0.0705, 0.0395, 0.059, 0.0722), paint_orange_juice),
    "butter": Look(
        box(0.0385, 0.0198, 0.0089),
        lambda: paint_box((250, 215, 70), (245, 200, 50), "BUTTER", _RED, None, (240, 120, 30)),
    ),
    "cream_cheese": Look(
        box(0.0413, 0.0213, 0.0096),
        lambda: paint_box((205, 218, 235), (190, 205, 228), "CREAM", _WHITE, (40, 70, 170), (150, 175, 215)),
    ),
    "chocolate_pudding": Look(
        box(0.0415, 0.0247, 0.0149),
        lambda: paint_box((88, 45, 25), (75, 36, 20), "PUDDING", (255, 225, 170), None, (190, 30, 35)),
    ),
    "cookies": Look(box(0.0418, 0.0307, 0.01).turned("z", 90), paint_cookies),
    "basket": Look(open_basket(), weave),
}  # fmt: skip
GROCERIES["new_salad_dressing"] = Look(GROCERIES["salad_dressing"].mesh, paint_new_salad_dressing)
