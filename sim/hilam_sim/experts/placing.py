"""Where a held object may come to rest, and putting it there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.experts.arm import RELEASE_OFFSET_M, Arm
from hilam_sim.experts.moves import Move, go_to, release, travel
from hilam_sim.experts.pose import Pose, turned
from hilam_sim.geometry import narrow_direction, object_points

# Heights above the resting pose at which the hand may let go, lowest first; the last is a basket's depth.
_DROPS_M = (0.003, 0.02, 0.04, 0.07, 0.10, 0.13)
_TURNS_RAD = np.linspace(-np.pi, np.pi, 17)[1:]  # every 22.5 degrees, half of which a hand turns anyway
# Resting poses looked at in all, of one spot, and spots: each costs a posture of the arm and up to 7 falls.
_CANDIDATES, _PER_SPOT, _SPOTS = 24, 6, 10
_EDGE_M = 0.025  # higher than the lowest pose found by this, an object stands on an edge, not on the bottom
_FALLS = 12  # candidates let fall until the safest so far must do, or the object is taken not to stay
# Leaning against a slope or a wall, and lying. Less than 0.5 on the slope of the rack the object slides.
_LEANS_RAD = {"on": (0.5, 1.2), "in": (0.35, 1.2)}
_SLOPES = 0.3  # sine of the slope of a region that is no level one
_SLIPS = [  # m, rad: a hand does not let go exactly where it should
    (np.array([x, y, 0.0]), turn)
    for x, y, turn in (
        (0, 0, 0),
        (0.005, 0.005, 0),
        (-0.005, -0.005, 0),
        (0.005, -0.005, 0),
        (-0.005, 0.005, 0),
        (0, 0, 0.1),
        (0, 0, -0.1),
    )
]
_SLACK_M = [  # by which a resting place must be inside the goal: the real fall ends a little elsewhere
    np.array(s) for s in ((0, 0, -0.002), (0.004, 0, 0), (-0.004, 0, 0), (0, 0.004, 0), (0, -0.004, 0))
]
_UP = np.array([0.0, 0.0, 1.0])
_SIDES = [np.array(side) for side in ((0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))]
# Points of the way there that are looked at, from above and from a side: far enough to clear a rim, a shelf.
_LIFTS_M, _SLIDES_M = (0.03, 0.08), (0.05, 0.10, 0.16)
_LOWER_M, _RAISE_M = 0.012, 0.004  # down until something is touched, then up in three steps until it is not
# LIBERO's judge: an object on another is within 30 mm of its middle (6 mm kept for what moves when the hand
# opens); in a region, at most 10 mm below it (2 mm more looked at); on one, at most 100 mm above it.
_ON_OBJECT_M, _BELOW_M, _ABOVE_M = 0.024, 0.012, 0.10


@dataclass(frozen=True)
class Goal:
    """A predicate of the task about a movable object: On or In, and a region or object."""

    predicate: str
    name: str
    target: str


@dataclass(frozen=True)
class PlacePlan:
    """The hand where it lets go, and the direction [3] from which it comes there, world frame."""

    hand: Pose
    approach: np.ndarray


def holds(arm: Arm, goal: Goal, position: np.ndarray) -> bool:
    """Whether an object with its origin at `position` [3] would fulfil the goal, contact apart."""
    problem = arm.env.problem
    if goal.target in problem.object_sites_dict:
        site = problem.object_sites_dict[goal.target]
        data = problem.sim.data
        where = data.get_site_xpos(goal.target), data.get_site_xmat(goal.target)
        return bool((site.in_box if goal.predicate == "in" else site.under)(*where, position))
    away = position - arm.object_position(goal.target)
    return bool(np.linalg.norm(away[:2]) < _ON_OBJECT_M and away[2] >= 0)


def _spots(arm: Arm, goal: Goal) -> tuple[np.ndarray, float, float]:
    """Positions [n, 2] for the object's origin, best first, and the heights it may come to rest between."""
    problem = arm.env.problem
    if goal.target not in problem.object_sites_dict:
        centre = arm.object_position(goal.target)
        # 0.6 of 12 mm in x and y: at most 10 mm of the 24. Objects that carry others are lower than 15 cm.
        offsets = np.concatenate([0.6 * arm.style.release_offset_m[None], np.zeros((1, 2))])
        return centre[:2] + offsets, centre[2] + 0.15, centre[2] - 0.01
    centre = problem.sim.data.get_site_xpos(goal.target)
    size = np.abs(problem.sim.data.get_site_xmat(goal.target) @ problem.object_sites_dict[goal.target].size)
    steps = np.array([0.0, -0.35, 0.35, -0.7, 0.7])  # of half the region: farther out it may not count
    lattice = np.array([(x, y) for x in steps for y in steps])
    lattice = lattice[np.argsort(np.linalg.norm(lattice, axis=1), kind="stable")]
    wanted = [["on", goal.target] == [other[0], other[-1]] for other in problem.parsed_problem["goal_state"]]
    if sum(wanted) > 1:
        steps = lattice[::-1] * size[:2]  # leave room for the other
        return centre[:2] + steps, centre[2] + _above(goal, size), centre[2] - size[2] - _BELOW_M
    # The demonstrator's own place first, at most a quarter of the way from the middle to the region's edge.
    own = np.clip(arm.style.release_offset_m / RELEASE_OFFSET_M * 0.25, -0.5, 0.5)
    offsets = np.concatenate([own[None], lattice]) * size[:2]
    return centre[:2] + offsets, centre[2] + _above(goal, size), centre[2] - size[2] - _BELOW_M


def _above(goal: Goal, size: np.ndarray) -> float:
    """How far above a region's centre an object in it, or on it, may be, m."""
    return float(size[2] if goal.predicate == "in" else size[2] + _ABOVE_M)


def _rest(arm: Arm, goal: Goal, start: Pose, lowest_m: float) -> Pose | None:
    """Where the object comes to rest when lowered from `start`; None where it does not fit."""
    pose, was_free = start, False
    while pose.position[2] > lowest_m:
        arm.scratch.put(goal.name, pose)
        if arm.scratch.is_free([goal.name]):
            was_free = True
        elif was_free:
            break
        pose = pose.moved((0.0, 0.0, -_LOWER_M))
    else:
        return None
    for _ in range(3):
        pose = pose.moved((0.0, 0.0, _RAISE_M))
        arm.scratch.put(goal.name, pose)
        if arm.scratch.is_free([goal.name]):
            break
    return pose


def _squared(arm: Arm, goal: Goal) -> list[float]:
    """Turns [rad] after which the object's narrow side lies along an axis of the region."""
    narrow = narrow_direction(object_points(arm.env.problem, goal.name))
    axis = arm.env.problem.sim.data.get_site_xmat(goal.target)[:, 0]
    return [np.arctan2(axis[1], axis[0]) - narrow + quarter * np.pi / 2 for quarter in range(4)]


def _orientations(arm: Arm, goal: Goal, upright: np.ndarray, held: Pose, lying: bool) -> list[np.ndarray]:
    """Rotations [3, 3] of the object, those first in which the hand is easy to hold."""
    turns = [(_turn(angle), 0.0) for angle in _TURNS_RAD]
    if goal.predicate == "in":
        # Square to the region's walls unless the hand would have to turn 0.7 rad (40 degrees) further for it.
        turns = [(_turn(angle), 0.0) for angle in _squared(arm, goal)] + [(t, 0.7) for t, _ in turns]
    axes = _ways_to_lean(arm, goal)
    if lying or len(axes) == 1:  # upright on a slope it may stay, by a hair
        leans = _LEANS_RAD[goal.predicate]
        falls = [Rotation.from_rotvec(lean * axis).as_matrix() for axis in axes for lean in leans]
        straight = turns[:2] if goal.predicate == "in" else [(np.eye(3), 0.0)]
        turns = [(fall @ turn, 0.0) for fall in falls for turn, _ in straight]

    def strain(choice: tuple[np.ndarray, float]) -> float:
        """How far the hand is from its easiest posture, and less so, how far the object is turned, rad."""
        turn, malus = choice
        return effort(turn @ upright @ held.rotation.T) + 0.3 * _angle(turn) + malus

    return [turn @ upright for turn, _ in sorted(turns, key=strain)]


def _ways_to_lean(arm: Arm, goal: Goal) -> list[np.ndarray]:
    """Axes [3] about which an object may be tilted: all around, but along the slope of a rack's region."""
    problem = arm.env.problem
    if goal.predicate == "on" and goal.target in problem.object_sites_dict:
        axis = np.cross(_UP, problem.sim.data.get_site_xmat(goal.target)[:, 2])
        if np.linalg.norm(axis) > _SLOPES:
            return [axis / np.linalg.norm(axis)]
    return [_turn(angle)[:, 0] for angle in _TURNS_RAD[::2]]


def _angle(rotation: np.ndarray) -> float:
    return float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0)))


def _candidates(
    arm: Arm, goal: Goal, upright: np.ndarray, held: Pose, lying: bool, deep: bool
) -> list[tuple[Pose, Pose]]:
    """Resting poses of the object that fulfil the goal, with the hand's pose there.

    Args:
        lying: Laid or leant, not upright.
        deep: Only at the bottom, not on edges further up.
    """
    spots, highest, lowest = _spots(arm, goal)
    stands = arm.object_pose(goal.name)
    points = (object_points(arm.env.problem, goal.name) - stands.position) @ stands.rotation
    orientations = _orientations(arm, goal, upright, held, lying)
    found, bottom = [], np.inf
    for spot in spots[:_SPOTS]:
        fitting = 0
        for rotation in orientations:
            pose = _rest(arm, goal, Pose(np.append(spot, highest), rotation), lowest)
            if pose is None:
                continue
            low = float((points @ rotation.T)[:, 2].min()) + pose.position[2]
            bottom = min(bottom, low)
            if holds(arm, goal, pose.position):
                found.append((fitting, low, pose))
                fitting += 1
            if fitting == _PER_SPOT:
                break
        if len(found) >= _CANDIDATES:
            break
    found.sort(key=lambda entry: entry[0])  # other spots before other orientations
    return [(pose, _hand(pose, held)) for _, low, pose in found if low < bottom + _EDGE_M or not deep]


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


def plan_place(arm: Arm, goal: Goal, upright: np.ndarray, held: Pose) -> PlacePlan | None:
    """Where to let go, so that the object comes to rest where the goal wants it and nothing else is touched.

    Upright at the bottom of the region where possible, else lying there, else upright on an edge further up.

    Args:
        upright: Rotation [3, 3] of the object as it stood before it was picked up: it is put down likewise,
            or lying where it cannot stand.
        held: Pose of the object in the hand.
    """
    for lying, deep in ((False, True), (True, True), (False, False)):
        arm.scratch.refresh()
        candidates = _candidates(arm, goal, upright, held, lying, deep)
        plan = _safest(arm, goal, [(rest, hand) for rest, hand in candidates if _can_reach(arm, hand)])
        if plan is not None:
            return plan
    return None


def _safest(arm: Arm, goal: Goal, candidates: list[tuple[Pose, Pose]]) -> PlacePlan | None:
    """The plan in whose neighbourhood the object most often comes to rest as the goal wants it.

    Of the first way to approach that offers one: from above with a drop as low as possible, else from a side.

    Args:
        candidates: Resting poses of the object, and the hand's pose there.
    """
    approaches = [(_UP, drop) for drop in _DROPS_M]
    if goal.predicate == "in":
        approaches += [(side, _DROPS_M[0]) for side in _SIDES]
    falls = 0
    for approach, drop in approaches:
        safest, best = 0, None
        for rest, hand in candidates:
            plan, pose = PlacePlan(hand.moved((0.0, 0.0, drop)), approach), rest.moved((0.0, 0.0, drop))
            if not _is_free(arm, goal, pose, plan):
                continue
            safety = _safety(arm, goal, pose)
            if safety > safest:
                safest, best = safety, plan
            falls += 1
            if falls == _FALLS or safety == len(_SLIPS):
                break
        if best is not None or falls == _FALLS:
            return best
    return None


def _can_reach(arm: Arm, hand: Pose) -> bool:
    arm.scratch.refresh()
    return arm.scratch.reach(hand)


def _is_free(arm: Arm, goal: Goal, pose: Pose, plan: PlacePlan) -> bool:
    """Whether nothing is touched on the way to where the object is let go, at `pose`."""
    scratch = arm.scratch
    scratch.refresh()
    scratch.open_hand()
    for distance in (*(_LIFTS_M if plan.approach is _UP else _SLIDES_M)[::-1], 0.0):
        way = distance * plan.approach
        if not scratch.reach(plan.hand.moved(way)):
            return False
        scratch.put(goal.name, pose.moved(way))
        if not scratch.is_free([goal.name], robot=True):
            return False
    return True


def _safety(arm: Arm, goal: Goal, pose: Pose) -> int:
    """From how many of the `_SLIPS` beside `pose` an object has room and comes to rest as the goal wants it.

    Zero where it has room in one but comes to rest elsewhere.
    """
    safe = 0
    for slip, turn in _SLIPS:
        arm.scratch.refresh()
        arm.scratch.put(goal.name, Pose(pose.position + slip, _turn(turn) @ pose.rotation))
        if not arm.scratch.is_free([goal.name]):
            continue
        fallen = arm.scratch.fall(goal.name)
        if fallen is None or not all(holds(arm, goal, fallen.position + slack) for slack in _SLACK_M):
            return 0
        safe += 1
    return safe


def place(arm: Arm, name: str, plan: PlacePlan) -> Move:
    """Carry a held object to its place, let go and move away."""
    sideways = plan.approach is not _UP
    back = plan.approach * (_SLIDES_M if sideways else _LIFTS_M)[-1]
    held, hand = in_hand(arm.pose, arm.object_pose(name)), plan.hand
    wanted = Pose(hand.position + hand.rotation @ held.position, hand.rotation @ held.rotation)
    yield from travel(arm, hand.moved(back), "carry", held=name)
    hand = _hand(wanted, in_hand(arm.pose, arm.object_pose(name)))  # it turns in the hand on the way
    yield from go_to(arm, hand.moved(back), "carry", tolerance_m=0.004, tolerance_rad=0.04, steps=15)
    yield from go_to(arm, hand, "place", tolerance_m=0.006, steps=50 if sideways else 35, speed=0.7)
    yield from release(arm, hand)
    yield from go_to(arm, hand.backed_off(0.10), "retreat", tolerance_m=0.03, steps=30)


def put_back(arm: Arm, grasp: Pose) -> Move:
    """Let go where the object was picked up."""
    yield from go_to(arm, grasp, "place", tolerance_m=0.008, steps=25)
    yield from release(arm, grasp)
    yield from go_to(arm, grasp.backed_off(0.10), "retreat", tolerance_m=0.03, steps=30)
