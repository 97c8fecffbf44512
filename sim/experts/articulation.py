"""Drawers, doors and knobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mujoco
import numpy as np
from hilam_sim.experts.arm import CLOSE, OPEN, Arm, Pose, turned
from hilam_sim.experts.grasping import feasible, grasps, pick
from hilam_sim.experts.skills import (
    Skill,
    SkillWithOutcome,
    close_hand,
    descend,
    move,
    release,
    settle,
    travel,
)
from hilam_sim.geometry import geom_points
from scipy.spatial.transform import Rotation

_ATTEMPTS = 3
_FINGERTIP_M = 0.009  # beyond the grip site
_PULL_TILT_RAD, _PUSH_TILT_RAD = 0.9, 0.65
_REACH_IN_TILTS_RAD = (1.0, 0.8)
_TOUCHABLE = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)  # geom groups
_PUSH_DOOR_TILT_RAD = 0.15
_READY_M = np.array([0.48, 0.0, 0.30])  # from the robot's base: in front of it, high
_AJAR_M = 0.14  # of the handle's way: pulled farther, the arm would be stretched out
_EASY_YAW_RAD = np.pi / 4  # of a hand pointing down: the last joint in the middle of its range
_REACH_DOWN_TILTS_RAD = (0.0, 0.3, 0.6)
_WAY_DOWN_M = (0.04, 0.10, 0.18)  # heights at which a way down is looked at
_CANDIDATES = 250
_HOLDING_M = 0.03  # opening of a hand that holds or has just let go, for looking ahead
_MARGIN_STEPS = 3  # beyond the first step in which LIBERO's predicate holds


@dataclass(frozen=True)
class Part:
    """A moving part of a fixture: a drawer, a door or a knob, with one joint."""

    arm: Arm
    name: str
    joint: int

    @staticmethod
    def named(arm: Arm, name: str) -> Part:
        """The part that a goal names: the region of a drawer, or a fixture with one joint."""
        problem = arm.env.problem
        owner = problem.object_sites_dict.get(name) or problem.get_object(name)
        return Part(arm, name, arm.env.model.joint(owner.joints[0]).id)

    @staticmethod
    def before(arm: Arm, region: str) -> Part | None:
        """The part that has to be open for something to be put into a region."""
        problem = arm.env.problem
        site = problem.object_sites_dict.get(region)
        for name, owner in ((region, site), (site.parent_name, problem.get_object(site.parent_name))):
            if owner.joints and site.parent_name in problem.fixtures_dict:
                return Part(arm, name, arm.env.model.joint(owner.joints[0]).id)
        return None

    def holds(self, state: str) -> bool:
        """Whether LIBERO calls the part "open", "close", "turnon" or "turnoff" now."""
        return self.arm.holds(state, self.name)

    @property
    def axis(self) -> np.ndarray:
        """Joint axis [3], world frame."""
        return self.arm.env.data.xaxis[self.joint].copy()

    @property
    def anchor(self) -> np.ndarray:
        """A point [3] on the joint's axis, m, world frame."""
        return self.arm.env.data.xanchor[self.joint].copy()

    @property
    def slides(self) -> bool:
        """Whether it is a drawer."""
        return bool(self.arm.env.model.jnt_type[self.joint] == mujoco.mjtJoint.mjJNT_SLIDE)

    def shapes(self) -> list[np.ndarray]:
        """Points [n, 3] in m, world frame, of each geom of the part that can be touched."""
        model, data = self.arm.env.model, self.arm.env.data
        body = model.jnt_bodyid[self.joint]
        touchable = np.flatnonzero((model.geom_bodyid == body) & (model.geom_conaffinity > 0))
        return [geom_points(model, data, geom) for geom in touchable]

    def top(self) -> float:
        """Height of its highest point, m."""
        return max(float(points[:, 2].max()) for points in self.shapes())

    def handle(self) -> np.ndarray:
        """Low and high corner [2, 3] of the handle, m, world frame: what moves farthest."""

        def reach(points: np.ndarray) -> float:
            lever = points.mean(axis=0) - self.anchor
            return float(-lever @ self.axis if self.slides else np.linalg.norm(np.cross(self.axis, lever)))

        points = max(self.shapes(), key=reach)
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def panel(self) -> np.ndarray:
        """Middle [3] of its largest piece, m, world frame."""
        points = max(self.shapes(), key=lambda points: float(np.ptp(points, axis=0).max()))
        return points.mean(axis=0)

    def outwards(self, point: np.ndarray | None = None) -> np.ndarray:
        """Direction [3] in which a point of it, else the handle, moves when it opens.

        All of LIBERO's drawers and doors open towards lower joint positions.
        """
        lever = (self.handle().mean(axis=0) if point is None else point) - self.anchor
        direction = self.axis if self.slides else np.cross(self.axis, lever)
        return -direction / np.linalg.norm(direction)


def facing(direction: np.ndarray, tilt_rad: float) -> np.ndarray:
    """Rotation [3, 3] of a hand that points along `direction` [3] as well as down, closing sideways.

    Of the two that do, half a turn apart, the one that keeps the last joint away from its limits.
    """
    yaw = float(np.arctan2(direction[1], direction[0]))
    if -np.pi / 4 <= yaw < 3 * np.pi / 4:
        return turned(yaw, tilt_rad)
    return turned(yaw + np.pi, -tilt_rad)


def _until(
    arm: Arm, reached: Callable[[], bool], aim: Callable[[], Pose], phase: str, steps: int = 100
) -> Skill:
    """Go after a moving aim until something is reached, and a little on."""
    count = 0
    for _ in range(steps):
        count += reached()
        if count > _MARGIN_STEPS:
            return
        yield arm.action_towards(aim(), arm.style.speed, 0.5 * arm.style.noise), phase


def _unwind(arm: Arm) -> Skill:
    """Raise a tilted hand and turn it down where the arm has room: from there any posture can be reached."""
    if arm.pose.rotation[2, 2] < -0.8 or arm.env.success():
        return
    ready = Pose(arm.env.data.body("robot0_base").xpos + _READY_M, turned(0.0))
    yield from move(arm, arm.pose.raised_to(ready.position[2]), "retreat", tolerance_m=0.04, steps=30)
    yield from move(arm, Pose(ready.position, arm.pose.rotation), "reach", tolerance_m=0.08)
    yield from move(arm, ready, "reach", tolerance_m=0.10, tolerance_rad=0.4)


def _come_over(part: Part, target: Pose) -> Skill:
    """Turn as `target` and go above it, at a height at which the part is not touched on the way."""
    arm = part.arm
    yield from _unwind(arm)
    height = max(part.top(), target.position[2]) + 0.04 + arm.style.clearance_m
    if arm.position[2] < part.top() + 0.02:
        yield from move(arm, arm.pose.raised_to(height), "reach", tolerance_m=0.03, steps=40)
    yield from move(arm, target.raised_to(height), "reach", tolerance_m=0.02, bow=0.5)


def _leave(arm: Arm, outwards: np.ndarray) -> Skill:
    """Move the hand up and away from what it has let go of."""
    away = arm.pose.moved(0.05 * outwards + (0.0, 0.0, 0.06 + arm.style.hover_m))
    yield from move(arm, away, "retreat", tolerance_m=0.03, steps=30)


def open_drawer(arm: Arm, part: Part) -> Skill:
    """Hook the fingertips behind the handle from above and pull."""
    outwards = part.outwards()
    rotation = facing(-outwards, _PULL_TILT_RAD)

    def hook() -> Pose:
        low, high = part.handle()
        behind = (low + high - outwards * (abs(outwards) @ (high - low) + 0.012)) / 2
        return Pose(np.append(behind[:2], high[2]), rotation)

    arm.gripper = CLOSE
    yield from move(arm, hook().moved(0.1 * outwards + (0, 0, 0.15)), "reach", tolerance_m=0.03, bow=0.5)
    yield from move(arm, hook().backed_off(0.04), "reach", tolerance_m=0.012)
    yield from move(arm, hook(), "descend", tolerance_m=0.01, steps=20)
    yield from _until(
        arm,
        lambda: part.holds("open"),
        lambda: Pose(arm.position, rotation).raised_to(hook().position[2] - 0.01).moved(0.06 * outwards),
        "pull",
    )
    yield from _leave(arm, 0 * outwards)


def open_door(arm: Arm, part: Part) -> Skill:
    """Grasp the handle and pull the door ajar, then go behind it and push it open."""
    away = part.panel() - arm.env.data.body("robot0_base").xpos
    lean = 0.35 * away / np.linalg.norm(away)  # pointing back towards the base the arm jams
    rotation = facing(lean - part.outwards(part.panel()), _PULL_TILT_RAD)

    def grip() -> Pose:
        return Pose(part.handle().mean(axis=0), rotation)

    arm.gripper = OPEN
    before = grip().backed_off(0.08)
    yield from _come_over(part, before)
    yield from move(arm, before, "reach", tolerance_m=0.015)
    yield from descend(arm, grip())
    yield from close_hand(arm, grip())
    start = part.handle().mean(axis=0)
    yield from _until(
        arm,
        lambda: float(np.linalg.norm(part.handle().mean(axis=0) - start)) > _AJAR_M,
        lambda: grip().moved(0.06 * part.outwards()),
        "pull",
        steps=40,
    )
    yield from release(arm, arm.pose)
    yield from _leave(arm, part.outwards())

    def behind() -> Pose:
        panel = part.panel()
        outwards = part.outwards(panel)
        lever = panel - part.anchor
        lever[2] = 0.0
        return Pose(panel + 0.4 * lever - 0.055 * outwards, facing(outwards, _PUSH_DOOR_TILT_RAD))

    arm.gripper = CLOSE
    yield from _come_over(part, behind().moved(-0.02 * part.outwards()))
    yield from move(
        arm, lambda: behind().moved(-0.02 * part.outwards()), "descend", tolerance_m=0.015, steps=30
    )
    yield from _until(
        arm,
        lambda: part.holds("open"),
        lambda: behind().moved(0.06 * part.outwards(part.panel())),
        "push",
    )
    yield from _leave(arm, -part.outwards())


def push_closed(arm: Arm, part: Part) -> Skill:
    """Push the handle with the fingertips, along its path."""
    tilt = _PUSH_TILT_RAD if part.slides else _PUSH_DOOR_TILT_RAD
    thickness = 0.010 if part.slides else 0.035  # the hand is as thick as that, upright, before the fingers

    def contact() -> Pose:
        low, high = part.handle()
        outwards = part.outwards()
        front = (low + high + outwards * (abs(outwards) @ (high - low))) / 2 + outwards * thickness
        return Pose(front + np.array([0.0, 0.0, 0.006]), facing(-outwards, tilt))

    def before() -> Pose:
        return contact().moved(0.02 * part.outwards())

    arm.gripper = CLOSE
    yield from _come_over(part, before())
    yield from move(arm, before, "descend", tolerance_m=0.015, steps=30)
    yield from _until(
        arm, lambda: part.holds("close"), lambda: contact().moved(-0.06 * part.outwards()), "push"
    )
    yield from _leave(arm, part.outwards())


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
    down = np.array([0.0, 0.0, -1.0])
    return -max(sides, key=room), site.xpos + room(down) * down


def put_through_door(arm: Arm, name: str, region: str) -> Skill:
    """Hold an object where it is nearest to the outside, push it in level, let go and draw back."""
    inwards, floor = _hollow(arm, region)
    across = np.cross(inwards, (0.0, 0.0, 1.0))
    across *= np.sign(across @ (floor - arm.env.data.body("robot0_base").xpos))

    def cost(grasp: Pose) -> float:
        """Far out is good, and pointing straight in; pointing back towards the base the arm jams."""
        lean = float(grasp.rotation[:, 2] @ across)
        return float(grasp.position @ inwards) + 0.05 * abs(lean) + float(lean < -0.05)

    ahead = [g for g in grasps(arm, name, _REACH_IN_TILTS_RAD) if g.rotation[:, 2] @ inwards > 0.6]
    grasp = next((grasp for grasp in sorted(ahead, key=cost) if feasible(arm, grasp)), None)
    if grasp is None:
        return
    if not (yield from pick(arm, name, grasp)):
        return
    low, high = arm.bounds(name)
    lift = floor[2] + 0.015 - low[2]
    aside = floor - 0.012 * inwards - (low + high) / 2
    inside = Pose(arm.position, grasp.rotation).moved(np.array([aside[0], aside[1], lift]))
    yield from move(arm, inside.moved(-0.14 * inwards + (0, 0, 0.01)), "carry", tolerance_m=0.02)
    yield from move(arm, inside, "place", speed=0.6, tolerance_m=0.01, steps=35)
    yield from move(arm, inside.moved((0, 0, -0.015)), "place", speed=0.5, tolerance_m=0.005, steps=10)
    yield from release(arm, arm.pose)
    yield from move(arm, arm.pose.moved(-0.15 * inwards), "retreat", tolerance_m=0.02)


def _way_in(arm: Arm, name: str, region: str) -> list[Pose]:
    """An object's poses on the way into a region: above it, straight down as far as that goes, at rest.

    Drawers are not much larger than what goes into them, and handles overhang the lower ones: the last bit
    may lead aside. Empty where the object does not fit.
    """
    scratch, stood = arm.scratch, arm.object_pose(name)
    site = arm.env.data.site(region)
    size = np.abs(site.xmat.reshape(3, 3) @ arm.env.model.site(region).size)
    bottom = site.xpos[2] - size[2] + stood.position[2] - arm.bounds(name)[0, 2]
    spots = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, n) for n in (5, 15)]), axis=-1).reshape(-1, 2)
    spots = site.xpos[:2] + spots * np.maximum(size[:2] - 0.015, 0.0)
    scratch.refresh()

    def is_free(position: np.ndarray) -> bool:
        scratch.put(name, Pose(position, stood.rotation))
        return scratch.is_free([name])

    def lowest(near: np.ndarray, way: Callable[[np.ndarray], Iterable[np.ndarray]]) -> np.ndarray | None:
        order = spots[np.argsort(np.linalg.norm(spots - near[:2], axis=1))]
        for height in np.arange(bottom + 0.004, bottom + 0.10, 0.006):
            for spot in order:
                position = np.append(spot, height)
                if is_free(position) and all(is_free(point) for point in way(position)):
                    return position
        return None

    over = lowest(site.xpos, lambda end: end + np.outer(_WAY_DOWN_M, (0.0, 0.0, 1.0)))
    if over is None:
        return []
    rest = lowest(over, lambda end: np.linspace(end, over, 6))
    way = [over + np.array([0.0, 0.0, height]) for height in sorted(_WAY_DOWN_M, reverse=True)]
    return [Pose(position, stood.rotation) for position in (*way, over, rest if rest is not None else over)]


def _way_out(arm: Arm, name: str) -> np.ndarray:
    """The shortest level way [3] in m to where nothing is above a held object: an open drawer may be."""
    held = arm.object_pose(name)
    arm.scratch.refresh()

    def is_free(offset: np.ndarray) -> bool:
        arm.scratch.put(name, held.moved(offset))
        return arm.scratch.is_free([name])

    for distance in np.arange(0.0, 0.16, 0.03):
        for angle in np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False):
            aside = distance * np.array([np.cos(angle), np.sin(angle), 0.0])
            if all(is_free(aside + np.array([0.0, 0.0, up])) for up in np.arange(0.0, 0.2, 0.03)):
                return aside
    return np.zeros(3)


def put_in_drawer(arm: Arm, name: str, region: str) -> SkillWithOutcome:
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
        yield from move(arm, arm.pose.moved(_way_out(arm, name)), "lift", tolerance_m=0.015, steps=25)
        above, over, rest = (arm.pose.moved(way[k].position - arm.object_position(name)) for k in (1, -2, -1))
        yield from travel(arm, above, "carry", held=name)
        yield from move(arm, over, "place", speed=0.7, tolerance_m=0.006, steps=30)
        yield from move(arm, rest, "place", speed=0.4, tolerance_m=0.006, steps=20)
        yield from release(arm, arm.pose)
        yield from move(arm, over, "retreat", speed=0.5, tolerance_m=0.015, steps=15)
        yield from move(arm, above, "retreat", tolerance_m=0.03, steps=30)
        yield from settle(arm, name)
        if not arm.holds("in", name, region):
            yield from _topple(arm, name, region)
    return True


def _topple(arm: Arm, name: str, region: str) -> Skill:
    """Push over what stands in a drawer and is too tall for it, along the drawer and towards its middle."""
    site = arm.env.data.site(region)
    size = np.abs(site.xmat.reshape(3, 3) @ arm.env.model.site(region).size)
    low, high = arm.bounds(name)
    middle = (low + high) / 2
    if (np.abs(middle - site.xpos)[:2] > size[:2]).any():
        return
    along = np.eye(3)[int(np.argmax(size[:2]))]
    along *= 1.0 if (site.xpos - middle) @ along >= 0.0 else -1.0
    start = Pose(middle - (0.5 * np.ptp([low @ along, high @ along]) + 0.035) * along, turned(0.0))
    start = start.raised_to(high[2] - 0.015)
    arm.gripper = CLOSE
    yield from move(arm, start.raised_to(high[2] + 0.06), "reach", tolerance_m=0.02)
    yield from move(arm, start, "descend", tolerance_m=0.012, steps=20)
    yield from move(arm, start.moved(0.14 * along), "push", speed=0.7, tolerance_m=0.02, steps=40)
    yield from _leave(arm, 0.0 * along)
    yield from settle(arm, name)


def turn_knob(arm: Arm, part: Part, state: str) -> Skill:
    """Grasp the knob's ridge above its axis and turn it."""
    top = part.top()
    ridge = np.concatenate([points for points in part.shapes() if points[:, 2].max() > top - 0.005])
    sense = 1.0 if state == "turnon" else -1.0
    yaws = np.linspace(-np.pi, np.pi, 72, endpoint=False)
    width = [np.ptp(ridge[:, :2] @ (-np.sin(yaw), np.cos(yaw))) for yaw in yaws]
    narrow = yaws[np.isclose(width, min(width), atol=1e-4)]
    yaw = min(narrow, key=lambda yaw: abs(yaw + 0.5 * sense - _EASY_YAW_RAD))
    grasp = Pose(np.append(part.anchor[:2], top - 0.012), turned(yaw))

    def ahead() -> Pose:
        turn = Rotation.from_rotvec(0.4 * sense * part.axis).as_matrix()
        return Pose(grasp.position, turn @ arm.pose.rotation)

    arm.gripper = OPEN
    yield from move(arm, grasp.moved((0, 0, arm.style.hover_m)), "reach", tolerance_m=0.02, bow=0.5)
    yield from descend(arm, grasp)
    yield from close_hand(arm, grasp)
    yield from _until(arm, lambda: part.holds(state), ahead, "turn", steps=60)
    yield from release(arm, arm.pose)
    yield from _leave(arm, 0 * part.axis)


def inside(bring: Callable[..., Skill]) -> Callable[..., Skill]:
    """In(object, region), once what covers the region is open; by `bring` where nothing does."""

    def recipe(arm: Arm, name: str, region: str) -> Skill:
        part = Part.before(arm, region)
        if part is None:
            yield from bring(arm, name, region)
            return
        if not part.holds("open"):
            yield from recipe_open(arm, part.name)
        for _ in range(_ATTEMPTS):
            if arm.holds("in", name, region):
                return
            if not part.slides:
                yield from put_through_door(arm, name, region)
            elif not (yield from put_in_drawer(arm, name, region)):
                yield from bring(arm, name, region)
                return

    return recipe


def recipe_open(arm: Arm, name: str) -> Skill:
    """Open(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.holds("open"):
            break
        yield from (open_drawer if part.slides else open_door)(arm, part)
    yield from _unwind(arm)


def recipe_close(arm: Arm, name: str) -> Skill:
    """Close(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.holds("close"):
            break
        yield from push_closed(arm, part)
    yield from _unwind(arm)


def recipe_turn(arm: Arm, name: str, state: str) -> Skill:
    """Turnon(fixture), Turnoff(fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.holds(state):
            return
        yield from turn_knob(arm, part, state)


RECIPES: dict[str, Callable[..., Skill]] = {
    "open": recipe_open,
    "close": recipe_close,
    "turnon": lambda arm, name: recipe_turn(arm, name, "turnon"),
    "turnoff": lambda arm, name: recipe_turn(arm, name, "turnoff"),
}
"""What to do for each goal predicate about a moving part."""
