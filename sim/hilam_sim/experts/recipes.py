"""What to do for each goal predicate of a task."""

from __future__ import annotations

from collections.abc import Callable

from hilam_sim.experts import articulation
from hilam_sim.experts.arm import Arm, Pose
from hilam_sim.experts.grasping import choose_grasp, pick
from hilam_sim.experts.placing import Goal, in_hand, place, plan_placement, put_back
from hilam_sim.experts.pushing import is_flat, push
from hilam_sim.experts.skills import Skill, settle

_ATTEMPTS = 5


def bring(arm: Arm, goal: Goal) -> Skill:
    """Pick an object up and put it where a goal wants it; another grasp after a miss."""
    missed: list[Pose] = []
    for _ in range(_ATTEMPTS):
        if arm.holds(goal.predicate, goal.name, goal.target):
            return
        stood = arm.object_pose(goal.name)
        grasp = choose_grasp(arm, goal, missed)
        if grasp is None:
            return
        missed.append(grasp)
        if not (yield from pick(arm, goal.name, grasp)):
            continue
        held = in_hand(arm.pose, arm.object_pose(goal.name))
        placement = plan_placement(arm, goal, stood.rotation, held)
        if placement is None:
            yield from put_back(arm, grasp)
            continue
        yield from place(arm, goal.name, placement)
        yield from settle(arm, goal.name)


def put_in(arm: Arm, name: str, region: str) -> Skill:
    """In(object, region of a container)."""
    yield from bring(arm, Goal("in", name, region))


def put_on(arm: Arm, name: str, target: str) -> Skill:
    """On(object, region or object); flat things are pushed along a table."""
    region = arm.env.problem.object_sites_dict.get(target)
    on_table = region is not None and region.parent_name is None
    if on_table and is_flat(arm, name):
        for _ in range(_ATTEMPTS):
            if not arm.holds("on", name, target):
                yield from push(arm, Goal("on", name, target))
                yield from settle(arm, name)
        return
    yield from bring(arm, Goal("on", name, target))


RECIPES: dict[str, Callable[..., Skill]] = {
    "in": articulation.inside(put_in),
    "on": put_on,
    **articulation.RECIPES,
}


def in_order(goals: list[list[str]]) -> list[list[str]]:
    """Goals in the order in which one does not undo another: what is carried rests on what was placed before,
    and a drawer is closed after it was filled."""
    moved = {name for predicate, name, *_ in goals if predicate in ("in", "on")}
    filled = {
        target.rsplit("_", 2)[0] for predicate, _, *rest in goals for target in rest if predicate == "in"
    }

    def rank(goal: list[str]) -> int:
        predicate, name, *target = goal
        if target:
            return 4 if target[0] in moved else 3
        if predicate == "close":
            return 5 if any(name.startswith(parent) for parent in filled) else 0
        return 1 if predicate == "open" else 2

    return sorted(goals, key=rank)
