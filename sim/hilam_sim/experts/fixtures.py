"""Moving parts of fixtures: drawers are pulled, doors swung, knobs turned, and pushed shut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.experts.arm import CLOSE, OPEN, Arm, Pose, turned
from hilam_sim.experts.skills import Skill, close_hand, descend, hold, move, release
from hilam_sim.geometry import geom_points

_PULL_TILT_RAD, _PUSH_TILT_RAD = 0.9, 0.65
_PUSH_DOOR_TILT_RAD = 0.15
_HAND_M = 0.035  # half the thickness of an upright hand
_READY_M = np.array([0.48, 0.0, 0.30])  # from the robot's base: in front of it, high
_AJAR_M = 0.14  # of the handle's way: pulled farther, the arm would be stretched out
_EASY_YAW_RAD = np.pi / 4  # of a hand pointing down: the last joint in the middle of its range
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

    def way_left(self, sense: float) -> float:
        """How far, m or rad, the joint can still move towards its upper (+1) or lower (-1) limit."""
        model = self.arm.env.model
        value = self.arm.env.data.qpos[model.jnt_qposadr[self.joint]]
        low, high = model.jnt_range[self.joint]
        return float(max(0.0, high - value if sense > 0 else value - low))

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
        return [geom_points(model, data, geom) for geom in touchable.tolist()]

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

    def grip_offset(self) -> np.ndarray:
        """Where along the handle this demonstrator takes it, [3] in m from its middle."""
        low, high = self.handle()
        along = np.eye(3)[int(np.argmax(high - low))]
        return 1.5 * self.arm.style.grasp_offset_m[0] * along


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


def unwind(arm: Arm) -> Skill:
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
    yield from unwind(arm)
    height = max(part.top(), target.position[2]) + 0.04 + arm.style.clearance_m
    if arm.position[2] < part.top() + 0.02:
        yield from move(arm, arm.pose.raised_to(height), "reach", tolerance_m=0.03, steps=40)
    yield from move(arm, target.raised_to(height), "reach", tolerance_m=0.02, bow=0.5)


def leave(arm: Arm, outwards: np.ndarray) -> Skill:
    """Move the hand up and away from what it has let go of."""
    away = arm.pose.moved(0.05 * outwards + (0.0, 0.0, 0.06 + arm.style.hover_m))
    yield from move(arm, away, "retreat", tolerance_m=0.03, steps=30)


def open_drawer(arm: Arm, part: Part) -> Skill:
    """Hook the fingertips behind the handle from above and pull."""
    outwards = part.outwards()
    rotation = facing(-outwards, _PULL_TILT_RAD + arm.style.yaw_rad)

    def hook() -> Pose:
        low, high = part.handle()
        behind = (low + high - outwards * (abs(outwards) @ (high - low) + 0.012)) / 2
        return Pose(np.append(behind[:2], high[2]) + part.grip_offset(), rotation)

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
    yield from leave(arm, 0 * outwards)


def open_door(arm: Arm, part: Part) -> Skill:
    """Grasp the handle and pull the door ajar, then go behind it and push it open."""
    away = part.panel() - arm.env.data.body("robot0_base").xpos
    lean = 0.35 * away / np.linalg.norm(away)  # pointing back towards the base the arm jams
    rotation = facing(lean - part.outwards(part.panel()), _PULL_TILT_RAD + arm.style.yaw_rad)

    def grip() -> Pose:
        return Pose(part.handle().mean(axis=0) + part.grip_offset(), rotation)

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
    yield from leave(arm, part.outwards())

    def behind() -> Pose:
        panel = part.panel()
        outwards = part.outwards(panel)
        lever = panel - part.anchor
        lever[2] = 0.0
        return Pose(panel + 0.4 * lever - (_HAND_M + 0.02) * outwards, facing(outwards, _PUSH_DOOR_TILT_RAD))

    arm.gripper = CLOSE
    before = behind().moved(-0.02 * part.outwards())
    yield from _come_over(part, before)
    yield from move(arm, before, "descend", tolerance_m=0.015, steps=30)
    yield from _until(
        arm,
        lambda: part.holds("open"),
        lambda: behind().moved(0.06 * part.outwards(part.panel())),
        "push",
    )
    yield from leave(arm, -part.outwards())


def push_closed(arm: Arm, part: Part) -> Skill:
    """Push the handle with the fingertips, along its path."""
    tilt = (_PUSH_TILT_RAD if part.slides else _PUSH_DOOR_TILT_RAD) + 0.5 * arm.style.yaw_rad
    thickness = 0.010 if part.slides else _HAND_M

    def contact() -> Pose:
        low, high = part.handle()
        outwards = part.outwards()
        front = (low + high + outwards * (abs(outwards) @ (high - low))) / 2 + outwards * thickness
        return Pose(front + part.grip_offset() + np.array([0.0, 0.0, 0.006]), facing(-outwards, tilt))

    def before() -> Pose:
        return contact().moved(0.02 * part.outwards())

    arm.gripper = CLOSE
    yield from _come_over(part, before())
    yield from move(arm, before, "descend", tolerance_m=0.015, steps=30)
    yield from _until(
        arm, lambda: part.holds("close"), lambda: contact().moved(-0.06 * part.outwards()), "push"
    )
    yield from leave(arm, part.outwards())


def turn_knob(arm: Arm, part: Part, state: str) -> Skill:
    """Grasp the knob's ridge above its axis and turn it."""
    top = part.top()
    ridge = np.concatenate([points for points in part.shapes() if points[:, 2].max() > top - 0.005])
    sense = 1.0 if state == "turnon" else -1.0
    yaws = np.linspace(-np.pi, np.pi, 72, endpoint=False)
    width = [np.ptp(ridge[:, :2] @ (-np.sin(yaw), np.cos(yaw))) for yaw in yaws]
    narrow = yaws[np.isclose(width, min(width), atol=1e-4)]
    yaw = min(narrow, key=lambda yaw: abs(yaw + 0.5 * sense - _EASY_YAW_RAD))
    grasp = Pose(np.append(part.anchor[:2], top - 0.012), turned(yaw + arm.style.yaw_rad))

    def ahead() -> Pose:
        angle = min(0.4, 0.08 + 0.6 * part.way_left(sense))  # slowly to the stop: it would bounce back
        turn = Rotation.from_rotvec(angle * sense * part.axis).as_matrix()
        return Pose(grasp.position, turn @ arm.pose.rotation)

    arm.gripper = OPEN
    yield from move(arm, grasp.moved((0, 0, arm.style.hover_m)), "reach", tolerance_m=0.02, bow=0.5)
    yield from descend(arm, grasp)
    yield from close_hand(arm, grasp)
    yield from _until(arm, lambda: part.holds(state), ahead, "turn")
    yield from hold(arm, arm.pose, "turn", steps=8)
    yield from release(arm, arm.pose)
    yield from leave(arm, 0 * part.axis)
