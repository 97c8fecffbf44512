"""How the objects look: a generated mesh and a painted texture each.

Textures are unrolled surfaces: u runs around the object, v from its bottom (0) to its top (1), so a label is
drawn as it is read. Sizes are those of the bodies in `collision`; a new object is one more entry in LOOKS.
"""

from hilam_sim.assets.objects.furnishings import FURNISHINGS
from hilam_sim.assets.objects.groceries import GROCERIES
from hilam_sim.assets.objects.kitchenware import KITCHENWARE
from hilam_sim.assets.objects.look import Look
from hilam_sim.assets.objects.tableware import TABLEWARE

LOOKS: dict[str, Look] = {**GROCERIES, **TABLEWARE, **KITCHENWARE, **FURNISHINGS}

__all__ = ["LOOKS", "Look"]
