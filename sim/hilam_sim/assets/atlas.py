"""Blocks and discs that share one texture atlas, for articulated objects and furniture.

The left half of an atlas is a surface, what most of the thing is made of; the right half has plain colours.
"""

from PIL import Image

from hilam_sim.assets.paint import Colour, Painter
from hilam_sim.assets.shapes import Mesh, box, circle, loft

Point = tuple[float, float, float]
Patch = tuple[float, float, float, float]  # u0, v0, u1, v1

SURFACE: Patch = (0.06, 0.06, 0.44, 0.94)


def atlas(surface: Image.Image, *colours: Colour) -> Image.Image:
    """A picture of `surface`, and in its right half `colours` that `plain` finds."""
    painter = Painter((0, 0, 0))
    painter.image.paste(surface)
    for number, colour in enumerate(colours):
        u, v = _corner(number)
        painter.rectangle(u + 0.02, v + 0.02, u + 0.23, v + 0.23, colour)
    return painter.image


def plain(number: int) -> Patch:
    """Where colour `number` (0 to 7) of an atlas is."""
    u, v = _corner(number)
    return u + 0.1, v + 0.1, u + 0.15, v + 0.15


def _corner(number: int) -> tuple[float, float]:
    return 0.5 + 0.25 * (number % 2), 0.25 * (number // 2)


def block(low: Point, high: Point, patch: Patch = SURFACE) -> Mesh:
    """A box from corner to corner [m]."""
    half = [(b - a) / 2 for a, b in zip(low, high, strict=True)]
    centre = [(b + a) / 2 for a, b in zip(low, high, strict=True)]
    return box(*half).patched(*patch).moved(*centre)


def disc(radius: float, bottom: float, top: float, patch: Patch, count: int = 20) -> Mesh:
    """A cylinder around z."""
    edge = [(bottom, radius), (bottom, radius), (top, radius), (top, radius)]
    rows = [(bottom, 0.0, 0.0, 0.0), *((z, r, r, k / 5) for k, (z, r) in enumerate(edge, 1)), (top, 0, 0, 1)]
    return loft(rows, circle(count)).patched(*patch)


def ring(inner: float, outer: float, bottom: float, top: float, patch: Patch) -> Mesh:
    """A flat ring around z, open below."""
    edge = [(bottom, outer), (top, outer), (top, outer), (top, inner), (top, inner), (bottom, inner)]
    return loft([(z, r, r, k / 5) for k, (z, r) in enumerate(edge)], circle(24)).patched(*patch)


def bar(half_length: float, radius: float, axis: str, patch: Patch) -> Mesh:
    """A round bar with the origin in its middle, along `axis`."""
    upright = disc(radius, -half_length, half_length, patch, count=10)
    return {"x": upright.turned("y", 90), "y": upright.turned("x", 90), "z": upright}[axis]
