"""Drawers, doors and knobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from hilam_sim.experts.arm import CLOSE, OPEN, Arm, Pose, turned
from hilam_sim.experts.skills import Skill, close_hand, descend, move, release
from hilam_sim.geometry import geom_points
from scipy.spatial.transform import Rotation

_ATTEMPTS = 3
_FINGERTIP_M = 0.009  # beyond the grip site
_PULL_TILT_RAD, _PUSH_TILT_RAD = 0.9, 0.65
_MARGIN_STEPS = 3  # beyond the first step in which LIBERO's predicate holds
_JUDGES = {"open": "is_open", "close": "is_close", "turnon": "turn_on", "turnoff": "turn_off"}


@dataclass(frozen=True)
class Part:
    """A moving part of a fixture: a drawer, a door or a knob, with one joint."""

    arm: Arm
    joint: int
    fixture: Any

    @staticmethod
    def named(arm: Arm, name: str) -> Part:
        """The part a goal names: the region of a drawer, or a fixture with one joint."""
        problem = arm.env.problem
        region = problem.object_sites_dict.get(name)
        fixture = problem.get_object(region.parent_name if region else name)
        joints = (region.joints if region else None) or fixture.joints
        return Part(arm, arm.env.model.joint(joints[0]).id, fixture)

    def is_in(self, state: str) -> bool:
        """Whether LIBERO calls the part "open", "close", "turnon" or "turnoff" now."""
        value = self.arm.env.data.qpos[self.arm.env.model.jnt_qposadr[self.joint]]
        return bool(getattr(self.fixture, _JUDGES[state])(value))

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

    def geoms(self) -> list[int]:
        """What can be touched of the part."""
        model = self.arm.env.model
        body = model.jnt_bodyid[self.joint]
        return [g for g in range(model.ngeom) if model.geom_bodyid[g] == body and model.geom_conaffinity[g]]

    def handle(self) -> np.ndarray:
        """Low and high corner [2, 3] of the handle, m, world frame: what moves farthest."""
        model, data = self.arm.env.model, self.arm.env.data
        geoms = self.geoms()
        centres = data.geom_xpos[geoms] - self.anchor
        reach = -centres @ self.axis if self.slides else np.linalg.norm(np.cross(self.axis, centres), axis=1)
        points = geom_points(model, data, geoms[int(np.argmax(reach))])
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def outwards(self) -> np.ndarray:
        """Direction [3] in which the handle moves when the part opens: all of LIBERO's open downwards."""
        direction = (
            self.axis if self.slides else np.cross(self.axis, self.handle().mean(axis=0) - self.anchor)
        )
        return -direction / np.linalg.norm(direction)


def facing(direction: np.ndarray, tilt_rad: float) -> np.ndarray:
    """Rotation [3, 3] of a hand that points along `direction` [3] as well as down, closing sideways.

    Of the two that do, half a turn apart, the one that keeps the last joint away from its limits.
    """
    yaw = float(np.arctan2(direction[1], direction[0]))
    if -np.pi / 4 <= yaw < 3 * np.pi / 4:
        return turned(yaw, tilt_rad)
    return turned(yaw + np.pi, -tilt_rad)


def _until(part: Part, state: str, aim: Callable[[], Pose], phase: str, steps: int = 100) -> Skill:
    """Go after a moving aim until the part is in `state`, and a little on."""
    arm, held = part.arm, 0
    for _ in range(steps):
        held += part.is_in(state)
        if held > _MARGIN_STEPS:
            return
        yield arm.action_towards(aim(), arm.style.speed, 0.5 * arm.style.noise), phase


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
        part,
        "open",
        lambda: Pose(arm.position, rotation).raised_to(hook().position[2] - 0.01).moved(0.06 * outwards),
        "pull",
    )
    yield from _leave(arm, 0 * outwards)


def push_closed(arm: Arm, part: Part) -> Skill:
    """Push the handle with the fingertips, along its path."""

    def contact() -> Pose:
        low, high = part.handle()
        outwards = part.outwards()
        before = (low + high + outwards * (abs(outwards) @ (high - low) + 0.02)) / 2
        return Pose(before + np.array([0.0, 0.0, 0.006]), facing(-outwards, _PUSH_TILT_RAD))

    arm.gripper = CLOSE
    away = contact().moved(0.1 * part.outwards() + (0, 0, 0.15))
    yield from move(arm, away, "reach", tolerance_m=0.03, bow=0.5)
    yield from move(arm, contact().backed_off(0.06), "reach", tolerance_m=0.015)
    yield from move(arm, contact, "descend", tolerance_m=0.012, steps=20)
    yield from _until(part, "close", lambda: contact().moved(-0.06 * part.outwards()), "push")
    yield from _leave(arm, part.outwards())


def turn_knob(arm: Arm, part: Part, state: str) -> Skill:
    """Grasp the knob's ridge above its axis and turn it."""
    model, data = arm.env.model, arm.env.data
    shapes = [geom_points(model, data, geom) for geom in part.geoms()]
    top = max(float(points[:, 2].max()) for points in shapes)
    ridge = np.concatenate([points for points in shapes if points[:, 2].max() > top - 0.005])
    yaws = np.linspace(-np.pi / 2, np.pi / 2, 36, endpoint=False)
    yaw = min(yaws, key=lambda yaw: np.ptp(ridge[:, :2] @ (-np.sin(yaw), np.cos(yaw))))
    grasp = Pose(np.append(part.anchor[:2], top - 0.012), turned(yaw))
    sense = 1.0 if state == "turnon" else -1.0

    def ahead() -> Pose:
        turn = Rotation.from_rotvec(0.4 * sense * part.axis).as_matrix()
        return Pose(grasp.position, turn @ arm.pose.rotation)

    arm.gripper = OPEN
    yield from move(arm, grasp.moved((0, 0, arm.style.hover_m)), "reach", tolerance_m=0.02, bow=0.5)
    yield from descend(arm, grasp)
    yield from close_hand(arm, grasp)
    yield from _until(part, state, ahead, "turn", steps=60)
    yield from release(arm, arm.pose)
    yield from _leave(arm, 0 * part.axis)


def recipe_open(arm: Arm, name: str) -> Skill:
    """Open(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.is_in("open"):
            return
        yield from open_drawer(arm, part)


def recipe_close(arm: Arm, name: str) -> Skill:
    """Close(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.is_in("close"):
            return
        yield from push_closed(arm, part)


def recipe_turn(arm: Arm, name: str, state: str) -> Skill:
    """Turnon(fixture), Turnoff(fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.is_in(state):
            return
        yield from turn_knob(arm, part, state)


RECIPES: dict[str, Callable[..., Skill]] = {
    "open": recipe_open,
    "close": recipe_close,
    "turnon": lambda arm, name: recipe_turn(arm, name, "turnon"),
    "turnoff": lambda arm, name: recipe_turn(arm, name, "turnoff"),
}
"""What to do for each goal predicate about a moving part."""
