"""What to do for each goal predicate of a task."""

from __future__ import annotations

from collections.abc import Callable

from hilam_sim.experts import articulation
from hilam_sim.experts.arm import Arm, Pose
from hilam_sim.experts.grasping import choose_grasp, pick
from hilam_sim.experts.placing import Goal, in_hand, place, plan_placement
from hilam_sim.experts.skills import Skill, settle

_ATTEMPTS = 4


def bring(predicate: str) -> Callable[..., Skill]:
    """In(object, region) or On(object, region or object): pick up and put there, again after a miss."""

    def recipe(arm: Arm, name: str, target: str) -> Skill:
        goal = Goal(predicate, name, target)
        for _ in range(_ATTEMPTS):
            if arm.holds(predicate, name, target):
                return
            stood = arm.object_pose(name)

            def suits(grasp: Pose) -> bool:
                return plan_placement(arm, goal, stood.rotation, in_hand(grasp, stood)) is not None

            grasp = choose_grasp(arm, name, suits)
            if grasp is None:
                arm.why = "no grasp"
                return
            if (yield from pick(arm, name, grasp)):
                held = in_hand(arm.pose, arm.object_pose(name))
                placement = plan_placement(arm, goal, stood.rotation, held)
                if placement is None:
                    arm.why = "no placement"
                    return
                yield from place(arm, name, placement)
                yield from settle(arm, name)

    return recipe


RECIPES: dict[str, Callable[..., Skill]] = {
    "in": articulation.inside(bring("in")),
    "on": bring("on"),
    **articulation.RECIPES,
}
