"""Picking objects up."""

from __future__ import annotations

import numpy as np
from hilam_sim.experts.arm import OPEN, Arm, Pose, turned
from hilam_sim.experts.skills import SkillWithOutcome, close_hand, descend, idle, move
from hilam_sim.geometry import object_points

PALM_M = 0.010  # how far an object may stand out above the grip site: seams lower down catch on the pads
_FINGERTIP_M = 0.010  # the grip site's least height above what the object stands on
_MAX_WIDTH_M = 0.072
ATTEMPTS = 4


def grasp_pose(arm: Arm, name: str) -> Pose:
    """A grasp from above: the least turn at which the object fits."""
    points = object_points(arm.env.problem, name)
    low, high = points.min(axis=0), points.max(axis=0)
    yaw = 0.0
    for yaw in sorted(np.linspace(-np.pi / 2, np.pi / 2, 25)[1:], key=abs):
        across = points[:, :2] @ np.array([-np.sin(yaw), np.cos(yaw)])
        if np.ptp(across) < _MAX_WIDTH_M:
            break
    height = max(low[2] + _FINGERTIP_M, high[2] - PALM_M)
    centre = np.append((low[:2] + high[:2]) / 2, height)
    offset = arm.style.grasp_offset_m * (1.0, 1.0, float(high[2] - low[2] > 0.05))
    return Pose(centre + offset, turned(float(yaw) + arm.style.yaw_rad))


def pick(arm: Arm, name: str) -> SkillWithOutcome:
    """Grasp an object from above and lift it; returns whether it is in the hand. Tries again after a miss."""
    for _ in range(ATTEMPTS):
        target = grasp_pose(arm, name)
        above = target.raised_to(arm.bounds(name)[1, 2] + arm.style.hover_m)
        arm.gripper = OPEN
        yield from move(arm, above, "reach", tolerance_m=0.025, bow=1.0)
        yield from descend(arm, target)
        rest = arm.object_position(name)[2]
        yield from close_hand(arm, target)
        yield from move(arm, target.moved((0.0, 0.0, 0.06)), "lift", tolerance_m=0.02, steps=20)
        if arm.object_position(name)[2] > rest + 0.02:
            return True
        arm.gripper = OPEN
        yield from move(arm, above, "retreat", tolerance_m=0.03, steps=25)
        yield from idle(arm, "settle", 4)
    return False
