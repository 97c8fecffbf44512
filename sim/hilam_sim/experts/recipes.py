"""What to do for each goal predicate of a task: a recipe of moves."""

from __future__ import annotations

from collections.abc import Callable

from hilam_sim.experts.arm import Arm
from hilam_sim.experts.containers import put_in_drawer, put_through_door
from hilam_sim.experts.grasping import choose_grasp, pick
from hilam_sim.experts.moves import Move, settle
from hilam_sim.experts.operating import open_door, open_drawer, push_closed, turn_knob, unwind
from hilam_sim.experts.parts import Part
from hilam_sim.experts.placing import Goal, in_hand, place, plan_place, put_back
from hilam_sim.experts.pose import Pose
from hilam_sim.experts.pushing import is_flat, push

# More attempts at what is carried, as each takes another grasp; a moving part is met the same way again. More
# would run out of the episode's steps.
_ATTEMPTS, _PART_ATTEMPTS = 5, 3


def bring(arm: Arm, goal: Goal) -> Move:
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
        plan = plan_place(arm, goal, stood.rotation, held)
        if plan is None:
            yield from put_back(arm, grasp)
            continue
        yield from place(arm, goal.name, plan)
        yield from settle(arm, goal.name)


def put_in(arm: Arm, name: str, region: str) -> Move:
    """In(object, region), once the drawer or door before the region is open."""
    part = Part.before(arm, region)
    if part is None:
        yield from bring(arm, Goal("in", name, region))
        return
    if not part.holds("open"):
        yield from open_part(arm, part.name)
    for _ in range(_PART_ATTEMPTS):
        if arm.holds("in", name, region):
            return
        if not part.slides:
            yield from put_through_door(arm, name, region)
        elif not (yield from put_in_drawer(arm, name, region)):
            yield from bring(arm, Goal("in", name, region))
            return


def put_on(arm: Arm, name: str, target: str) -> Move:
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


def open_part(arm: Arm, name: str) -> Move:
    """Open(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_PART_ATTEMPTS):
        if part.holds("open"):
            break
        yield from (open_drawer if part.slides else open_door)(arm, part)
    yield from unwind(arm)


def close_part(arm: Arm, name: str) -> Move:
    """Close(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_PART_ATTEMPTS):
        if part.holds("close"):
            break
        yield from push_closed(arm, part)
    yield from unwind(arm)


def turn(arm: Arm, name: str, state: str) -> Move:
    """Turnon(fixture) or Turnoff(fixture), as `state` says."""
    part = Part.named(arm, name)
    for _ in range(_PART_ATTEMPTS):
        if part.holds(state):
            return
        yield from turn_knob(arm, part, state)


RECIPES: dict[str, Callable[..., Move]] = {
    "in": put_in,
    "on": put_on,
    "open": open_part,
    "close": close_part,
    "turnon": lambda arm, name: turn(arm, name, "turnon"),
    "turnoff": lambda arm, name: turn(arm, name, "turnoff"),
}


def in_order(goals: list[list[str]]) -> list[list[str]]:
    """Goals in the order in which one does not undo another.

    What carries others is placed before them, and a drawer is closed after it was filled.
    """
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
