"""Moving flat things along a table: what has nothing to hold is taken along from inside its rim."""

from __future__ import annotations

import numpy as np

from hilam_sim.experts.arm import CLOSE, Arm, Pose, turned
from hilam_sim.experts.placing import Goal
from hilam_sim.experts.skills import Skill, move, travel

_FLAT_M, _WIDE_M = 0.03, 0.08
_INSIDE = 0.2  # of the width: where the fingers go
_HEIGHT_M, _PRESS_M = 0.012, 0.015  # of the grip site above what the object stands on
_SPEED = 0.35
_LOST_M = 0.075
_STEPS = 120


def is_flat(arm: Arm, name: str) -> bool:
    """Whether an object is too wide and too low to be held well."""
    size = np.ptp(arm.bounds(name), axis=0)
    return bool(size[2] < _FLAT_M and size[:2].min() > _WIDE_M)


def push(arm: Arm, goal: Goal) -> Skill:
    """Put closed fingers inside an object's rim, on the side of the goal: it follows like a cart."""
    aim = arm.env.problem.sim.data.get_site_xpos(goal.target)[:2] + 0.5 * arm.style.release_offset_m
    arm.gripper = CLOSE
    start = _inside(arm, goal.name, aim)
    yield from travel(arm, start.moved((0.0, 0.0, arm.style.hover_m)), "reach")
    yield from move(arm, start, "descend", tolerance_m=0.004, steps=40)

    def ahead() -> Pose:
        away = aim - arm.object_position(goal.name)[:2]
        away *= min(1.0, 0.05 / max(float(np.linalg.norm(away)), 1e-9))
        return Pose(np.append(arm.position[:2] + away, start.position[2] - _PRESS_M), start.rotation)

    for _ in range(_STEPS):
        centre = arm.object_position(goal.name)[:2]
        if np.linalg.norm(aim - centre) < 0.012 or np.linalg.norm(arm.position[:2] - centre) > _LOST_M:
            break
        yield arm.action_towards(ahead(), _SPEED * arm.style.speed, 0.5 * arm.style.noise), "push"
    yield from move(arm, arm.pose.moved((0.0, 0.0, 0.1)), "retreat", tolerance_m=0.03, steps=30)


def _inside(arm: Arm, name: str, aim: np.ndarray) -> Pose:
    """The closed hand just inside the rim, on the side of `aim` [2]."""
    low, high = arm.bounds(name)
    centre = (low + high)[:2] / 2
    ahead = (aim - centre) / np.linalg.norm(aim - centre)
    inside = centre + _INSIDE * (high - low)[:2].min() * ahead
    return Pose(np.append(inside, low[2] + _HEIGHT_M), turned(arm.style.yaw_rad))
