"""Moving flat things, which offer no grasp, along a table: closed fingers inside the rim draw them along."""

from __future__ import annotations

import numpy as np

from hilam_sim.experts.arm import CLOSE, Arm
from hilam_sim.experts.moves import Move, go_to, travel
from hilam_sim.experts.placing import Goal
from hilam_sim.experts.pose import Pose, turned

_FLAT_M, _WIDE_M = 0.03, 0.08  # lower and wider than this there is no good grasp: the hand opens by 79 mm
_INSIDE = 0.2  # of the width, from the middle: where the fingers go. At the rim they would slip over it
_HEIGHT_M = 0.012  # of the grip site above what the object stands on
_PRESS_M = 0.015  # by which the aim is lower: the controller is soft, and this keeps the fingers down
_SPEED = 0.35  # faster, the plate runs ahead of the fingers
_LOST_M = 0.075  # farther from the middle than that, the fingers are outside the rim: start again
_THERE_M = 0.012  # from the goal: LIBERO's regions for flat things are 4 cm to each side
_STEPS = 120  # of one push; a second one follows where it was too short


def is_flat(arm: Arm, name: str) -> bool:
    """Whether an object is too wide and too low to be held well."""
    size = np.ptp(arm.bounds(name), axis=0)
    return bool(size[2] < _FLAT_M and size[:2].min() > _WIDE_M)


def push(arm: Arm, goal: Goal) -> Move:
    """Put closed fingers inside an object's rim, on the side of the goal, and draw it along."""
    aim = arm.env.problem.sim.data.get_site_xpos(goal.target)[:2] + 0.5 * arm.style.release_offset_m
    arm.gripper = CLOSE
    start = _inside(arm, goal.name, aim)
    yield from travel(arm, start.moved((0.0, 0.0, arm.style.hover_m)), "reach")
    yield from go_to(arm, start, "descend", tolerance_m=0.004, steps=40)

    def ahead() -> Pose:
        away = aim - arm.object_position(goal.name)[:2]
        away *= min(1.0, 0.05 / max(float(np.linalg.norm(away)), 1e-9))
        return Pose(np.append(arm.position[:2] + away, start.position[2] - _PRESS_M), start.rotation)

    for _ in range(_STEPS):
        centre = arm.object_position(goal.name)[:2]
        if np.linalg.norm(aim - centre) < _THERE_M or np.linalg.norm(arm.position[:2] - centre) > _LOST_M:
            break
        yield arm.action_towards(ahead(), _SPEED * arm.style.speed, 0.5 * arm.style.noise), "push"
    yield from go_to(arm, arm.pose.moved((0.0, 0.0, 0.1)), "retreat", tolerance_m=0.03, steps=30)


def _inside(arm: Arm, name: str, aim: np.ndarray) -> Pose:
    """The closed hand just inside the rim, on the side of `aim` [2]."""
    low, high = arm.bounds(name)
    centre = (low + high)[:2] / 2
    ahead = (aim - centre) / np.linalg.norm(aim - centre)
    inside = centre + _INSIDE * (high - low)[:2].min() * ahead
    return Pose(np.append(inside, low[2] + _HEIGHT_M), turned(arm.style.yaw_rad))
