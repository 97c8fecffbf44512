"""Putting things into drawers and through doors, where walls and handles are in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import mujoco
import numpy as np

from hilam_sim.experts.arm import CLOSE, Arm
from hilam_sim.experts.grasping import feasible, grasps, pick
from hilam_sim.experts.moves import Move, MoveWithOutcome, go_to, leave, release, settle, travel
from hilam_sim.experts.parts import Part
from hilam_sim.experts.pose import Pose, turned

_REACH_IN_TILTS_RAD = (1.0, 0.8)  # nearly level: the microwave is 14 cm high inside
_REACH_DOWN_TILTS_RAD = (0.0, 0.3, 0.6)  # leaning where an open drawer above is in the way of the hand
_CANDIDATES = 250  # grasps looked at, each tilt, best first: each costs five solutions of the arm's posture
_WAY_DOWN_M = (0.04, 0.10, 0.18)  # above the lowest place, heights at which the way down is looked at
_HOLDING_M = 0.03  # opening of a hand that holds or has just let go, for looking ahead
_TOUCHABLE = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)  # geom groups
_UP = np.array([0.0, 0.0, 1.0])


def _box(arm: Arm, region: str) -> tuple[np.ndarray, np.ndarray]:
    """Middle [3] and half the size [3] of a region, m, world frame."""
    site = arm.env.data.site(region)
    return site.xpos.copy(), np.abs(site.xmat.reshape(3, 3) @ arm.env.model.site(region).size)


def _hollow(arm: Arm, region: str) -> tuple[np.ndarray, np.ndarray]:
    """Direction [3] into a hollow with one open side, and the middle [3] of its floor, m, world frame."""
    model, data = arm.env.model, arm.env.data
    site = data.site(region)
    axes = site.xmat.reshape(3, 3).T

    def room(direction: np.ndarray) -> float:
        hit = np.zeros(1, dtype=np.int32)
        distance = mujoco.mj_ray(model, data, site.xpos, direction, _TOUCHABLE, 1, -1, hit)
        return distance if distance >= 0.0 else np.inf

    sides = [sign * axis for axis in axes for sign in (-1.0, 1.0) if abs(axis[2]) < 0.5]
    return -max(sides, key=room), site.xpos - room(-_UP) * _UP


def put_through_door(arm: Arm, name: str, region: str) -> Move:
    """Hold an object where it is nearest to the outside, push it in level, let go and draw back."""
    inwards, floor = _hollow(arm, region)
    across = np.cross(inwards, _UP)
    across *= np.sign(across @ (floor - arm.env.data.body("robot0_base").xpos))

    def cost(grasp: Pose) -> float:
        """Distance [m] into the hollow at which the hand ends up, and a malus for pointing aside.

        Pointing back towards the base the arm jams: such grasps come last.
        """
        lean = float(grasp.rotation[:, 2] @ across)
        return float(grasp.position @ inwards) + 0.05 * abs(lean) + float(lean < -0.05)

    ahead = [g for g in grasps(arm, name, _REACH_IN_TILTS_RAD) if g.rotation[:, 2] @ inwards > 0.6]
    grasp = next((grasp for grasp in sorted(ahead, key=cost) if feasible(arm, grasp)), None)
    if grasp is None or not (yield from pick(arm, name, grasp)):
        return
    low, high = arm.bounds(name)
    # Carried 15 mm above the floor and lowered at the end. A little before the middle: further in, the hand
    # meets the front; further out, the door does not close.
    lift = floor[2] + 0.015 - low[2]
    aside = floor - 0.012 * inwards - (low + high) / 2
    inside = Pose(arm.position, grasp.rotation).moved(np.array([aside[0], aside[1], lift]))
    door = Part.before(arm, region)
    off_door = across * np.sign(across @ (floor - door.anchor)) if door else 0.0 * across
    # A door that is hardly open stands in the straight way in: come from 5 cm beside it, then to the opening.
    past_door = inside.moved(-0.22 * inwards + 0.05 * off_door + 0.01 * _UP)
    yield from go_to(arm, past_door, "carry", tolerance_m=0.025)
    yield from go_to(arm, inside.moved(-0.14 * inwards + 0.01 * _UP), "carry", tolerance_m=0.02)
    yield from go_to(arm, inside, "place", speed=0.6, tolerance_m=0.01, steps=35)
    yield from go_to(arm, inside.moved(-0.015 * _UP), "place", speed=0.5, tolerance_m=0.005, steps=10)
    yield from release(arm, arm.pose)
    yield from go_to(arm, arm.pose.moved(-0.15 * inwards), "retreat", tolerance_m=0.02)


def _way_in(arm: Arm, name: str, region: str) -> list[Pose]:
    """An object's poses on the way into a region: above it, straight down as far as it goes, and at rest.

    Drawers are not much larger than what goes into them, and handles overhang the lower ones: the last part
    of the way may lead aside. Empty where the object does not fit.
    """
    scratch, stood = arm.scratch, arm.object_pose(name)
    centre, size = _box(arm, region)
    bottom = centre[2] - size[2] + stood.position[2] - arm.bounds(name)[0, 2]
    # About 8 mm apart in a drawer's region of 6 x 15 cm, and 15 mm from its sides: surely inside.
    spots = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, n) for n in (5, 15)]), axis=-1).reshape(-1, 2)
    spots = centre[:2] + spots * np.maximum(size[:2] - 0.015, 0.0)
    scratch.refresh()

    def is_free(position: np.ndarray) -> bool:
        scratch.put(name, Pose(position, stood.rotation))
        return scratch.is_free([name])

    def lowest(near: np.ndarray, way: Callable[[np.ndarray], Iterable[np.ndarray]]) -> np.ndarray | None:
        order = spots[np.argsort(np.linalg.norm(spots - near[:2], axis=1))]
        # From the drawer's floor to where nothing could be called put in; steps half as high as its handle.
        for height in np.arange(bottom + 0.004, bottom + 0.10, 0.006):
            for spot in order:
                position = np.append(spot, height)
                if is_free(position) and all(is_free(point) for point in way(position)):
                    return position
        return None

    over = lowest(centre, lambda end: end + np.outer(_WAY_DOWN_M, _UP))
    if over is None:
        return []
    rest = lowest(over, lambda end: np.linspace(end, over, 6))
    way = [over + height * _UP for height in sorted(_WAY_DOWN_M, reverse=True)]
    return [Pose(position, stood.rotation) for position in (*way, over, rest if rest is not None else over)]


def _way_out(arm: Arm, name: str) -> np.ndarray:
    """The shortest level way [3] in m to where nothing is above a held object: an open drawer may be."""
    held = arm.object_pose(name)
    arm.scratch.refresh()

    def is_free(offset: np.ndarray) -> bool:
        arm.scratch.put(name, held.moved(offset))
        return arm.scratch.is_free([name])

    for distance in np.arange(0.0, 0.16, 0.03):  # a drawer is 15 cm long inside
        for angle in np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False):
            aside = distance * np.array([np.cos(angle), np.sin(angle), 0.0])
            if all(is_free(aside + up * _UP) for up in np.arange(0.0, 0.2, 0.03)):
                return aside
    return np.zeros(3)


def put_in_drawer(arm: Arm, name: str, region: str) -> MoveWithOutcome:
    """Pick an object up and put it into an open drawer; returns whether there was a way."""
    stood, way = arm.object_pose(name), _way_in(arm, name, region)
    if not way:
        return False

    def fits(grasp: Pose) -> bool:
        arm.scratch.open_hand(_HOLDING_M)
        for pose in way:
            if not arm.scratch.reach(grasp.moved(pose.position - stood.position)):
                return False
            arm.scratch.put(name, pose)
            if not arm.scratch.is_free([name], robot=True):
                return False
        return True

    candidates = [g for tilt in _REACH_DOWN_TILTS_RAD for g in grasps(arm, name, (tilt,))[:_CANDIDATES]]
    grasp = next((grasp for grasp in candidates if feasible(arm, grasp) and fits(grasp)), None)
    if grasp is None:
        return False
    if (yield from pick(arm, name, grasp)):
        yield from go_to(arm, arm.pose.moved(_way_out(arm, name)), "lift", tolerance_m=0.015, steps=25)
        above, over, rest = (arm.pose.moved(way[k].position - arm.object_position(name)) for k in (1, -2, -1))
        yield from travel(arm, above, "carry", held=name)
        yield from go_to(arm, over, "place", speed=0.7, tolerance_m=0.006, steps=30)
        yield from go_to(arm, rest, "place", speed=0.4, tolerance_m=0.006, steps=20)
        yield from release(arm, arm.pose)
        yield from go_to(arm, over, "retreat", speed=0.5, tolerance_m=0.015, steps=15)
        yield from go_to(arm, above, "retreat", tolerance_m=0.03, steps=30)
        yield from settle(arm, name)
        if not arm.holds("in", name, region):
            yield from _topple(arm, name, region)
    return True


def _topple(arm: Arm, name: str, region: str) -> Move:
    """Push over what stands in a drawer and is too tall for it, along the drawer and towards its middle."""
    centre, size = _box(arm, region)
    low, high = arm.bounds(name)
    middle = (low + high) / 2
    if (np.abs(middle - centre)[:2] > size[:2]).any():
        return
    along = np.eye(3)[int(np.argmax(size[:2]))]
    along *= 1.0 if (centre - middle) @ along >= 0.0 else -1.0
    start = Pose(middle - (0.5 * np.ptp([low @ along, high @ along]) + 0.035) * along, turned(0.0))
    start = start.raised_to(high[2] - 0.015)
    arm.gripper = CLOSE
    yield from go_to(arm, start.raised_to(high[2] + 0.06), "reach", tolerance_m=0.02)
    yield from go_to(arm, start, "descend", tolerance_m=0.012, steps=20)
    yield from go_to(arm, start.moved(0.14 * along), "push", speed=0.7, tolerance_m=0.02, steps=40)
    yield from leave(arm, 0.0 * along)
    yield from settle(arm, name)
