"""How the fixtures with moving parts look: a mesh for each part, one painted texture."""

from collections.abc import Callable
from dataclasses import dataclass

from hilam_sim.assets.shapes import Mesh
from PIL import Image


@dataclass(frozen=True)
class Fixture:
    """`meshes` by the name of the body that they move with, and the function that paints their texture."""

    meshes: dict[str, Mesh]
    paint: Callable[[], Image.Image]


FIXTURES: dict[str, Fixture] = {}
