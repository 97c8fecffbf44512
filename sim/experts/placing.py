"""Where a held object may come to rest, and putting it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hilam_sim.experts.arm import Arm, Pose, turned
from hilam_sim.experts.skills import Skill, move, release, travel
from scipy.spatial.transform import Rotation

_DROPS_M = (0.003, 0.02, 0.04, 0.06, 0.09)
_TURNS_RAD = np.linspace(-np.pi, np.pi, 17)[1:]
_CANDIDATES = 24
_APPROACH_M = (0.03, 0.08)


@dataclass(frozen=True)
class Goal:
    """A predicate of the task about a movable object: On or In, and a region or object."""

    predicate: str
    name: str
    target: str


@dataclass(frozen=True)
class Placement:
    """The hand where it lets go, and the object's height [m] above where it will rest."""

    hand: Pose
    drop_m: float


def holds(arm: Arm, goal: Goal, position: np.ndarray) -> bool:
    """Whether an object with its origin at `position` [3] would fulfil the goal, contact apart."""
    problem = arm.env.problem
    if goal.target in problem.object_sites_dict:
        site = problem.object_sites_dict[goal.target]
        data = problem.sim.data
        where = data.get_site_xpos(goal.target), data.get_site_xmat(goal.target)
        return bool((site.in_box if goal.predicate == "in" else site.under)(*where, position))
    away = position - arm.object_position(goal.target)
    return bool(np.linalg.norm(away[:2]) < 0.02 and away[2] >= 0)


def _spots(arm: Arm, goal: Goal) -> tuple[np.ndarray, float, float]:
    """Positions [n, 2] for the object's origin, best first, and the heights it may come to rest between."""
    problem = arm.env.problem
    if goal.target not in problem.object_sites_dict:
        centre = arm.object_position(goal.target)
        offsets = np.concatenate([0.6 * arm.style.release_offset_m[None], np.zeros((1, 2))])
        return centre[:2] + offsets, centre[2] + 0.15, centre[2] - 0.01
    centre = problem.sim.data.get_site_xpos(goal.target)
    size = np.abs(problem.sim.data.get_site_xmat(goal.target) @ problem.object_sites_dict[goal.target].size)
    steps = np.array([0.0, -0.35, 0.35, -0.7, 0.7])
    lattice = np.array([(x, y) for x in steps for y in steps])
    lattice = lattice[np.argsort(np.linalg.norm(lattice, axis=1), kind="stable")]
    own = np.clip(arm.style.release_offset_m / 0.012 * 0.25, -0.5, 0.5)
    offsets = np.concatenate([own[None], lattice]) * size[:2]
    above = size[2] if goal.predicate == "in" else size[2] + 0.10
    return centre[:2] + offsets, centre[2] + above, centre[2] - size[2] - 0.012


def _rest(arm: Arm, goal: Goal, start: Pose, lowest_m: float) -> Pose | None:
    """Where the object comes to rest when lowered from `start`; None where it does not fit."""
    was_free = None
    for height in np.arange(start.position[2], lowest_m, -0.004):
        pose = Pose(np.append(start.position[:2], height), start.rotation)
        arm.scratch.put(goal.name, pose)
        if arm.scratch.is_free([goal.name]):
            was_free = pose
        elif was_free is not None:
            return was_free
    return None


def _candidates(arm: Arm, goal: Goal, upright: np.ndarray, in_hand: Pose) -> Iterator[tuple[Pose, Pose]]:
    """Resting poses of the object that fulfil the goal, with the hand's pose there."""
    spots, highest, lowest = _spots(arm, goal)
    turns = sorted(
        _TURNS_RAD,
        key=lambda a: abs(a) + effort(_hand(Pose(np.zeros(3), _turn(a) @ upright), in_hand).rotation),
    )
    for spot in spots:
        for angle in turns:
            pose = _rest(arm, goal, Pose(np.append(spot, highest), _turn(angle) @ upright), lowest)
            if pose is not None and holds(arm, goal, pose.position):
                yield pose, _hand(pose, in_hand)


def effort(rotation: np.ndarray) -> float:
    """How far a hand is from the arm's easiest orientation, rad."""
    return float(np.linalg.norm(Rotation.from_matrix(rotation @ turned(0.0).T).as_rotvec()))


def _turn(angle: float) -> np.ndarray:
    return Rotation.from_euler("z", angle).as_matrix()


def _hand(pose: Pose, in_hand: Pose) -> Pose:
    """The hand that holds an object at `pose`, which it has at `in_hand` in its own frame."""
    rotation = pose.rotation @ in_hand.rotation.T
    return Pose(pose.position - rotation @ in_hand.position, rotation)


def in_hand(hand: Pose, pose: Pose) -> Pose:
    """Pose of an object in the frame of the hand."""
    return Pose(hand.rotation.T @ (pose.position - hand.position), hand.rotation.T @ pose.rotation)


def plan_placement(arm: Arm, goal: Goal, upright: np.ndarray, held: Pose) -> Placement | None:
    """Where to let go, so that the object comes to rest where the goal wants it and nothing else is touched.

    Args:
        upright: Rotation [3, 3] of the object as it stood before it was picked up: it is put down likewise.
        held: Pose of the object in the hand.
    """
    arm.scratch.refresh()
    waiting = []
    for rest, hand in _candidates(arm, goal, upright, held):
        if _fits(arm, goal, rest, hand, _DROPS_M[0]):
            return Placement(hand.moved((0.0, 0.0, _DROPS_M[0])), _DROPS_M[0])
        waiting.append((rest, hand))
        if len(waiting) == _CANDIDATES:
            break
    for drop in _DROPS_M[1:]:
        for rest, hand in waiting:
            if _fits(arm, goal, rest, hand, drop):
                return Placement(hand.moved((0.0, 0.0, drop)), drop)
    return None


def _fits(arm: Arm, goal: Goal, rest: Pose, hand: Pose, drop_m: float) -> bool:
    scratch = arm.scratch
    scratch.refresh()
    for height in (drop_m, *(drop_m + a for a in _APPROACH_M)):
        scratch.open_hand()
        if not scratch.reach(hand.moved((0.0, 0.0, height))):
            return False
        scratch.put(goal.name, rest.moved((0.0, 0.0, height)))
        if not scratch.is_free([goal.name], robot=True):
            return False
    return True


def place(arm: Arm, name: str, placement: Placement) -> Skill:
    """Carry a held object to its place, let go and move away."""
    above = placement.hand.moved((0.0, 0.0, 0.06))
    yield from travel(arm, above, "carry", held=name)
    yield from move(arm, placement.hand, "place", tolerance_m=0.006, steps=35, speed=0.7)
    yield from release(arm, placement.hand)
    yield from move(arm, placement.hand.backed_off(0.10), "retreat", tolerance_m=0.03, steps=30)


def put_back(arm: Arm, grasp: Pose) -> Skill:
    """Let go where the object was picked up."""
    yield from move(arm, grasp, "place", tolerance_m=0.008, steps=25)
    yield from release(arm, grasp)
    yield from move(arm, grasp.backed_off(0.10), "retreat", tolerance_m=0.03, steps=30)
