"""Putting a held object somewhere."""

from __future__ import annotations

import numpy as np
from hilam_sim.experts.arm import Arm, Pose, turned
from hilam_sim.experts.grasping import PALM_M
from hilam_sim.experts.skills import Skill, move, release


def place_in(arm: Arm, name: str, container: str) -> Skill:
    """Carry a held object over a container, lower it inside, let go and move away."""
    rotation = turned(arm.style.yaw_rad)
    box = arm.bounds(container)
    hanging = arm.position[2] - arm.bounds(name)[0, 2]
    carry_height = max(box[1, 2], 0.15) + arm.style.clearance_m + hanging
    centre = (box[0, :2] + box[1, :2]) / 2 + arm.style.release_offset_m
    above = Pose(np.append(centre, carry_height), rotation)
    inside = above.raised_to(max(box[0, 2] + arm.style.release_height_m + hanging, box[1, 2] - PALM_M))
    up = Pose(arm.position, rotation).raised_to(carry_height)
    yield from move(arm, up, "lift", tolerance_m=0.03, steps=40)
    yield from move(arm, above, "carry", tolerance_m=0.02, bow=0.7)
    yield from move(arm, inside, "place", tolerance_m=0.012, steps=30)
    yield from release(arm, inside)
    yield from move(arm, above, "retreat", tolerance_m=0.03, steps=30)
