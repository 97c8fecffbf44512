"""Where to hold an object, and picking it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.experts.arm import OPEN, Arm
from hilam_sim.experts.moves import MoveWithOutcome, close_hand, descend, go_to, idle, travel
from hilam_sim.experts.placing import Goal, effort, in_hand, plan_place
from hilam_sim.experts.pose import Pose, turned
from hilam_sim.geometry import filled_points, narrow_direction

_YAW_STEP_RAD = np.pi / 12  # from the object's narrowest direction on, in which boxes are met square
_WIDTHS_M = (0.002, 0.072)  # of a piece between the fingers, which open by 79 mm
_PAD_M = np.array([0.008, 0.006])  # half the pads' width, and half their height less 2 mm
_SLIPPERY_M = 0.012  # pads touching faces more uneven than this slip off
_GAP_M = 0.012  # less apart than this, material counts as one piece: twice the spacing of `filled_points`
_ACROSS_STEP_M = 0.012  # between slices, which are 16 mm wide and so overlap; 8 mm found no better grasps
# Of the grip site below the object's top. Deeper, the palm meets the object.
_DEPTHS_M = (0.004, 0.010, 0.020, 0.030, 0.045)
_BEST_DEPTH_M = 0.018  # all of the pads on the object (they reach 12 mm above the grip site), the palm away
_FINGERTIP_M = 0.010  # the grip site's least height above what the object stands on; the pads end 4 mm below
_CANDIDATES = 300  # of each tilt, best first: a plan for one costs tens of milliseconds
_TILTS_RAD = ((0.0,), (-0.4, 0.4), (1.05,))  # tried in this order: from above, leaning, from the side
_PLANS = 4  # grasps without a place to put the object before tilting: a fifth would hardly differ
_SAME_MISSED_M, _SAME_USELESS_M, _SAME_RAD = 0.015, 0.03, 0.3  # closer than this to another, a grasp is alike


def grasps(arm: Arm, name: str, tilts_rad: tuple[float, ...] = (0.0,)) -> list[Pose]:
    """Hands that have a piece of the object between the fingers, best first; neighbours are not looked at.

    The object is cut into slices as thick as a finger is wide; wherever a slice has a piece that fits between
    the fingers, the hand can be around it: around a whole box, or around the rim of a bowl.

    The cost of a grasp adds up what makes it fail: 1 cm beside the centre of mass (the object turns in the
    hand) weighs as much as 0.2 rad away from the arm's easiest posture, as faces 0.7 mm out of parallel, and
    as 2 mm of width beyond 6 cm, where the open hand has little room. The random part, at most twice that,
    lets demonstrations differ among grasps about equally good.
    """
    points = filled_points(arm.env.problem, name)
    body = arm.env.problem.obj_body_id[name]
    centre = arm.env.data.subtree_com[body].copy()
    floor = float(points[:, 2].min())
    found: list[tuple[float, Pose]] = []
    narrow = narrow_direction(points)
    for tilt in tilts_rad:
        for yaw in narrow + np.arange(12 if tilt == 0.0 else 24) * _YAW_STEP_RAD:
            yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2 if tilt == 0.0 else yaw
            rotation = turned(yaw, tilt)
            reach = (centre[2] - floor - _FINGERTIP_M) / max(-rotation[2, 2], 0.1)
            for position, unevenness, width in _pieces((points - centre) @ rotation, reach):
                place = centre + rotation @ position
                cost = (
                    10.0 * float(np.linalg.norm(position[:2]))
                    + 0.5 * effort(rotation)
                    + 150.0 * unevenness
                    + 50.0 * max(0.0, width - 0.06)
                    + arm.rng.uniform(0.0, 0.2)
                )
                found.append((cost, Pose(place, rotation)))
    return [_styled(arm, pose) for _, pose in sorted(found, key=lambda item: item[0])]


def _pieces(points: np.ndarray, reach_m: float) -> Iterator[tuple[np.ndarray, float, float]]:
    """Places of the grip site, in the frame of a hand, that have a piece between the fingers.

    Yields position [3] in m, how unevenly the pads would touch the piece [m], and its width [m].
    """
    top = points[:, 2].min()
    for depth in sorted({min(depth, reach_m - top) for depth in _DEPTHS_M}):
        level = points[np.abs(points[:, 2] - top - depth) < _PAD_M[1]]
        if len(level) == 0:
            continue
        for across in np.arange(level[:, 1].min() + _PAD_M[0], level[:, 1].max(), _ACROSS_STEP_M):
            slice_ = level[np.abs(level[:, 1] - across) < _PAD_M[0]]
            order = np.argsort(slice_[:, 0])
            slice_ = slice_[order]
            for piece in np.split(slice_, np.flatnonzero(np.diff(slice_[:, 0]) > _GAP_M) + 1):
                if len(piece) < 2:
                    continue
                low, high = piece[0, 0], piece[-1, 0]
                unevenness = _unevenness(piece, across)
                if _WIDTHS_M[0] <= high - low <= _WIDTHS_M[1] and unevenness < _SLIPPERY_M:
                    position = np.array([(low + high) / 2, across, top + depth])
                    yield position, unevenness + 0.05 * abs(depth - _BEST_DEPTH_M), high - low


def _unevenness(piece: np.ndarray, across: float) -> float:
    """How far the faces of a piece are from parallel to the pads, m."""
    halves = [piece[piece[:, 1] < across, 0], piece[piece[:, 1] >= across, 0]]
    if min(len(half) for half in halves) == 0:
        return 0.01
    left, right = ((half.min(), half.max()) for half in halves)
    return max(abs(left[0] - right[0]), abs(left[1] - right[1]))


def _styled(arm: Arm, pose: Pose) -> Pose:
    """The pose as this demonstrator takes it, a little beside and turned.

    Along the fingers' motion only a third of the offset counts: there the closing fingers push the object.
    """
    turn = Rotation.from_euler("z", arm.style.yaw_rad).as_matrix()
    offset = pose.rotation @ (arm.style.grasp_offset_m * (0.3, 1.0, 0.0))
    return Pose(pose.position + offset, turn @ pose.rotation)


def feasible(arm: Arm, grasp: Pose) -> bool:
    """Whether arm and open hand get around the object without touching anything."""
    scratch = arm.scratch
    scratch.refresh()
    for distance in (0.0, 0.02, 0.06):  # at the grasp, where most fail, and on the way there
        scratch.open_hand()
        if not scratch.reach(grasp.backed_off(distance)) or not scratch.is_free(robot=True):
            return False
    return True


def choose_grasp(arm: Arm, goal: Goal, missed: Sequence[Pose] = ()) -> Pose | None:
    """The best grasp that is feasible, unlike the `missed` ones, and with which the goal can be fulfilled.

    Where there is none from straight above, the hand is tilted.
    """
    stood = arm.object_pose(goal.name)
    for tilts in _TILTS_RAD:
        useless: list[Pose] = []
        for grasp in grasps(arm, goal.name, tilts)[:_CANDIDATES]:
            if _alike(grasp, missed, _SAME_MISSED_M) or _alike(grasp, useless, _SAME_USELESS_M):
                continue
            if not feasible(arm, grasp):
                continue
            if plan_place(arm, goal, stood.rotation, in_hand(grasp, stood)) is not None:
                return grasp
            useless.append(grasp)
            if len(useless) == _PLANS:
                break
    return None


def _alike(grasp: Pose, others: Sequence[Pose], distance_m: float) -> bool:
    return any(
        np.linalg.norm(grasp.position - other.position) < distance_m
        and np.linalg.norm(grasp.rotation[:, 2] - other.rotation[:, 2]) < _SAME_RAD
        for other in others
    )


def pick(arm: Arm, name: str, grasp: Pose) -> MoveWithOutcome:
    """Grasp an object and lift it; returns whether it is in the hand."""
    arm.gripper = OPEN
    above = grasp.backed_off(arm.style.hover_m + 0.02)
    yield from travel(arm, above, "reach")
    yield from descend(arm, grasp)
    rest = arm.object_position(name)[2]
    yield from close_hand(arm, grasp)
    yield from go_to(arm, grasp.moved((0.0, 0.0, 0.06)), "lift", tolerance_m=0.02, steps=20)
    if arm.object_position(name)[2] > rest + 0.02:  # the hand rose by 6 cm: it came along
        return True
    arm.gripper = OPEN
    yield from go_to(arm, above, "retreat", tolerance_m=0.03, steps=25)
    yield from idle(arm, "settle", 4)
    return False
