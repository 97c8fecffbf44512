"""What an object looks like."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from hilam_sim.assets.shapes import Mesh


@dataclass(frozen=True)
class Look:
    """The mesh and the function that paints its texture."""

    mesh: Mesh
    paint: Callable[[], Image.Image]
