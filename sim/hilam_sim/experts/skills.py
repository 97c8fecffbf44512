"""The vocabulary: each skill yields one (action, phase) a control step and looks again before the next."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from hilam_sim.experts.arm import CLOSE, OPEN, Arm, Pose

PHASES = (
    "reach",
    "descend",
    "grasp",
    "lift",
    "carry",
    "place",
    "release",
    "retreat",
    "settle",
    "pull",
    "push",
    "turn",
)

Step = tuple[np.ndarray, str]
Skill = Generator[Step, None, None]
SkillWithOutcome = Generator[Step, None, bool]


def move(
    arm: Arm,
    target: Pose | Callable[[], Pose],
    phase: str,
    speed: float = 1.0,
    tolerance_m: float = 0.01,
    tolerance_rad: float = 0.1,
    bow: float = 0.0,
    steps: int = 80,
) -> Skill:
    """Move the grip site to `target`, on a path bowed by the style's `bow_m` times `bow`."""
    aim = target if callable(target) else lambda: target
    length = max(float(np.linalg.norm(aim().position - arm.position)), 1e-6)
    for _ in range(steps):
        goal = aim()
        distance = float(np.linalg.norm(goal.position - arm.position))
        if distance < tolerance_m and float(np.linalg.norm(arm.turn_to(goal.rotation))) < tolerance_rad:
            return
        ahead = goal.moved(bow * arm.style.bow_m * min(1.0, distance / length))
        yield arm.action_towards(ahead, speed * arm.style.speed, arm.style.noise), phase


def hold(arm: Arm, target: Pose, phase: str, steps: int) -> Skill:
    """Stay at `target` while the fingers move."""
    for _ in range(steps):
        yield arm.action_towards(target, 0.3, 0.0), phase


def idle(arm: Arm, phase: str, steps: int) -> Skill:
    """Command no motion."""
    for _ in range(steps):
        yield np.array([0, 0, 0, 0, 0, 0, arm.gripper], dtype=np.float32), phase


def descend(arm: Arm, target: Pose) -> Skill:
    """Go to a grasp in the direction in which the hand points, errors aside of it first: the fingers must
    not land on the object."""
    forwards = target.rotation[:, 2]

    def aim() -> Pose:
        away = target.position - arm.position
        aside = float(np.linalg.norm(away - forwards * (forwards @ away)))
        return target.backed_off(3.0 * max(0.0, aside - 0.015))

    yield from move(arm, aim, "descend", tolerance_m=0.006, steps=40)


def travel(arm: Arm, target: Pose, phase: str, held: str | None = None) -> Skill:
    """Move through the open to `target`: up where something stands in the way, over it, and down."""
    hanging = arm.position[2] - arm.bounds(held)[0, 2] if held else 0.02
    need = _obstacle_height(arm, target, held) + hanging + arm.style.clearance_m
    start = arm.pose
    if need > min(start.position[2], target.position[2]):
        need = max(need, target.position[2])
        if start.position[2] < need - 0.02:
            yield from move(arm, start.raised_to(need), "lift" if held else phase, tolerance_m=0.03, steps=40)
        yield from move(arm, target.raised_to(need), phase, tolerance_m=0.02, bow=0.7)
    yield from move(arm, target, phase, tolerance_m=0.02, bow=0.0 if need > target.position[2] else 0.7)


def _obstacle_height(arm: Arm, target: Pose, held: str | None) -> float:
    """Top [m] of what stands between the hand and `target`."""
    ends = np.stack([arm.position[:2], target.position[:2]])
    low, high = ends.min(axis=0) - 0.06, ends.max(axis=0) + 0.06
    boxes = [arm.bounds(name) for name in arm.env.problem.obj_body_id if name != held]
    return max(
        (box[1, 2] for box in boxes if (box[0, :2] < high).all() and (box[1, :2] > low).all()), default=0.0
    )


def close_hand(arm: Arm, target: Pose) -> Skill:
    """Close the fingers, staying at `target`, until they move no more."""
    arm.gripper = CLOSE
    yield from hold(arm, target, "grasp", steps=int(arm.rng.integers(5, 8)))
    for _ in range(12):
        before = arm.opening_m
        yield from hold(arm, target, "grasp", steps=1)
        if before - arm.opening_m < 0.0005:
            return


def release(arm: Arm, target: Pose) -> Skill:
    """Open the fingers until they have let go: the gripper takes some steps before it moves at all."""
    arm.gripper = OPEN
    wide_enough = min(arm.opening_m + 0.015, 0.07)
    for _ in range(15):
        yield from hold(arm, target, "release", steps=1)
        if arm.opening_m > wide_enough:
            return


def settle(arm: Arm, name: str) -> Skill:
    """Wait until an object lies still."""
    yield from idle(arm, "settle", 4)
    for _ in range(20):
        if arm.speed_of(name) < 0.02:
            return
        yield from idle(arm, "settle", 1)
