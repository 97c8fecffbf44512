"""The moves of an expert: generators that yield one (action, phase) a control step.

A move reads the state of the simulation again before each action, so it corrects what the last one missed.
`tolerance_m` and `tolerance_rad` end a move early, `steps` bounds it: a pose that cannot be reached must not
stop the episode. Positions only passed through have loose tolerances (2 to 3 cm), those at which fingers
close or open have tight ones (4 to 6 mm).
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from hilam_sim.experts.arm import CLOSE, OPEN, Arm
from hilam_sim.experts.pose import Pose

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

# Half the hand's thickness (35 mm) and the path's bow (20 mm). Half its width (103 mm) would lead the hand
# over much that it passes.
_BERTH_M = 0.06
_STANDSTILL_M = 0.0005  # a step (0.01 m/s): fingers slower than this have met something

Step = tuple[np.ndarray, str]
Move = Generator[Step, None, None]
MoveWithOutcome = Generator[Step, None, bool]


def go_to(
    arm: Arm,
    target: Pose | Callable[[], Pose],
    phase: str,
    speed: float = 1.0,
    tolerance_m: float = 0.01,
    tolerance_rad: float = 0.1,
    bow: float = 0.0,
    steps: int = 80,
) -> Move:
    """Move the grip site to `target`, a pose or a function that gives one at every step.

    Args:
        phase: One of `PHASES`, yielded with every action.
        speed: Share of the demonstrator's own speed.
        bow: The path is bowed by the style's `bow_m` times this.
        steps: Steps after which the move gives up. 80 steps (4 s) cross the whole workspace at the slowest
            style's speed.
    """
    aim = target if callable(target) else lambda: target
    length = max(float(np.linalg.norm(aim().position - arm.position)), 1e-6)
    for _ in range(steps):
        goal = aim()
        distance = float(np.linalg.norm(goal.position - arm.position))
        if distance < tolerance_m and float(np.linalg.norm(arm.turn_to(goal.rotation))) < tolerance_rad:
            return
        ahead = goal.moved(bow * arm.style.bow_m * min(1.0, distance / length))
        yield arm.action_towards(ahead, speed * arm.style.speed, arm.style.noise), phase


def hold(arm: Arm, target: Pose, phase: str, steps: int) -> Move:
    """Stay at `target` while the fingers move."""
    for _ in range(steps):
        # Slow and without noise: a jerk while the fingers close or open shifts the object.
        yield arm.action_towards(target, 0.3, 0.0), phase


def idle(arm: Arm, phase: str, steps: int) -> Move:
    """Command no motion."""
    for _ in range(steps):
        yield np.array([0, 0, 0, 0, 0, 0, arm.gripper], dtype=np.float32), phase


def descend(arm: Arm, target: Pose) -> Move:
    """Go to a grasp along the direction in which the hand points.

    Sideways errors are corrected first, so that the fingers do not land on the object.
    """
    forwards = target.rotation[:, 2]

    def aim() -> Pose:
        away = target.position - arm.position
        aside = float(np.linalg.norm(away - forwards * (forwards @ away)))
        # Up to 15 mm beside the line the fingers still clear most objects; 3 mm higher for each mm beyond.
        return target.backed_off(3.0 * max(0.0, aside - 0.015))

    yield from go_to(arm, aim, "descend", tolerance_m=0.006, steps=40)


def travel(arm: Arm, target: Pose, phase: str, held: str | None = None) -> Move:
    """Move to `target` over whatever stands between: up, across and down; straight where the way is free.

    Args:
        held: Name of the object in the hand, which is then carried clear of the others too.
    """
    # The pads of an empty hand end 4 mm below the grip site.
    hanging = arm.position[2] - arm.bounds(held)[0, 2] if held else 0.02
    need = _obstacle_height(arm, target, held) + hanging + arm.style.clearance_m
    start = arm.pose
    if need > min(start.position[2], target.position[2]):
        need = max(need, target.position[2])
        if start.position[2] < need - 0.02:
            yield from go_to(
                arm, start.raised_to(need), "lift" if held else phase, tolerance_m=0.03, steps=40
            )
        yield from go_to(arm, target.raised_to(need), phase, tolerance_m=0.02, bow=0.7)
    yield from go_to(arm, target, phase, tolerance_m=0.02, bow=0.0 if need > target.position[2] else 0.7)


def _obstacle_height(arm: Arm, target: Pose, held: str | None) -> float:
    """Top [m] of what stands in the rectangle between the hand and `target`, `_BERTH_M` around included."""
    ends = np.stack([arm.position[:2], target.position[:2]])
    low, high = ends.min(axis=0) - _BERTH_M, ends.max(axis=0) + _BERTH_M
    boxes = [arm.bounds(name) for name in arm.env.problem.obj_body_id if name != held]
    return max(
        (box[1, 2] for box in boxes if (box[0, :2] < high).all() and (box[1, :2] > low).all()), default=0.0
    )


def close_hand(arm: Arm, target: Pose) -> Move:
    """Close the fingers, staying at `target`, until they move no more."""
    arm.gripper = CLOSE
    # At first the fingers have not started, which looks like a standstill: wait before looking at them.
    yield from hold(arm, target, "grasp", steps=int(arm.rng.integers(5, 8)))
    for _ in range(12):
        before = arm.opening_m
        yield from hold(arm, target, "grasp", steps=1)
        if before - arm.opening_m < _STANDSTILL_M:
            return


def release(arm: Arm, target: Pose) -> Move:
    """Open the fingers until they have let go: the gripper takes some steps before it moves at all."""
    arm.gripper = OPEN
    # 15 mm more than they held, so that friction no longer drags the object; at most nearly all open.
    wide_enough = min(arm.opening_m + 0.015, 0.07)
    for _ in range(15):
        yield from hold(arm, target, "release", steps=1)
        if arm.opening_m > wide_enough:
            return


def leave(arm: Arm, outwards: np.ndarray) -> Move:
    """Move the hand up and away, along `outwards` [3], from what it has let go of."""
    away = arm.pose.moved(0.05 * outwards + (0.0, 0.0, 0.06 + arm.style.hover_m))
    yield from go_to(arm, away, "retreat", tolerance_m=0.03, steps=30)


def settle(arm: Arm, name: str) -> Move:
    """Wait until an object lies still (under 2 cm/s), for at most 24 steps: it may be rolling away."""
    yield from idle(arm, "settle", 4)
    for _ in range(20):
        if arm.speed_of(name) < 0.02:
            return
        yield from idle(arm, "settle", 1)
