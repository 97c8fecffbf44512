"""What to do for each goal predicate of a task."""

from __future__ import annotations

from collections.abc import Callable

from hilam_sim.experts import articulation
from hilam_sim.experts.arm import Arm
from hilam_sim.experts.grasping import ATTEMPTS, pick
from hilam_sim.experts.placing import place_in
from hilam_sim.experts.skills import Skill, settle


def recipe_in(arm: Arm, name: str, region: str) -> Skill:
    """In(object, region of a container)."""
    container = arm.env.problem.object_sites_dict[region].parent_name
    for _ in range(ATTEMPTS):
        if (yield from pick(arm, name)):
            yield from place_in(arm, name, container)
            yield from settle(arm, name)
        if arm.env.success():
            return


RECIPES: dict[str, Callable[..., Skill]] = {"in": recipe_in, **articulation.RECIPES}
