"""What an object looks like."""

from collections.abc import Callable
from dataclasses import dataclass

from hilam_sim.assets.shapes import Mesh
from PIL import Image


@dataclass(frozen=True)
class Look:
    """The mesh and the function that paints its texture."""

    mesh: Mesh
    paint: Callable[[], Image.Image]
