"""Operating the moving parts of fixtures: drawers are pulled, doors swung, knobs turned, both pushed shut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.experts.arm import CLOSE, OPEN, Arm
from hilam_sim.experts.moves import Move, close_hand, descend, go_to, hold, leave, release
from hilam_sim.experts.parts import Part
from hilam_sim.experts.pose import Pose, turned

# From straight down. Pulling, the palm must stay before the front while the fingertips are behind the handle;
# pushing, an upright hand would meet the handles above. A door has nothing above it: nearly upright.
_PULL_TILT_RAD, _PUSH_TILT_RAD, _PUSH_DOOR_TILT_RAD = 0.9, 0.65, 0.15
_FINGER_M = 0.010  # half the thickness of closed fingertips, with a little room
_HAND_M = 0.035  # half the thickness of an upright hand, which is what touches a door
_AHEAD_M = 0.06  # of the contact: a little more than a full action, so that the arm never waits for the part
_LEAN = 0.35  # away from the base, where a door's handle would ask the hand to point back: there the arm jams
_READY_M = np.array([0.48, 0.0, 0.30])  # from the robot's base: in front of it, high
_AJAR_M = 0.14  # of the handle's way: pulled further, the arm would be stretched out
_EASY_YAW_RAD = np.pi / 4  # of a hand pointing down: the last joint in the middle of its range
_MARGIN_STEPS = 3  # beyond the first step in which LIBERO's predicate holds


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
) -> Move:
    """Go after a moving aim until something is reached, and `_MARGIN_STEPS` on."""
    count = 0
    for _ in range(steps):
        count += reached()
        if count > _MARGIN_STEPS:
            return
        yield arm.action_towards(aim(), arm.style.speed, 0.5 * arm.style.noise), phase


def unwind(arm: Arm) -> Move:
    """Raise a tilted hand and turn it down where the arm has room: from there any posture can be reached.

    Turned where it is, the arm may straighten, and a straight arm does not come back.
    """
    if arm.pose.rotation[2, 2] < -0.8 or arm.env.success():
        return
    ready = Pose(arm.env.data.body("robot0_base").xpos + _READY_M, turned(0.0))
    yield from go_to(arm, arm.pose.raised_to(ready.position[2]), "retreat", tolerance_m=0.04, steps=30)
    yield from go_to(arm, Pose(ready.position, arm.pose.rotation), "reach", tolerance_m=0.08)
    yield from go_to(arm, ready, "reach", tolerance_m=0.10, tolerance_rad=0.4)


def _come_over(part: Part, target: Pose) -> Move:
    """Turn the hand as at `target` and go above it, high enough not to touch the part on the way."""
    arm = part.arm
    yield from unwind(arm)
    height = max(part.top(), target.position[2]) + 0.04 + arm.style.clearance_m
    if arm.position[2] < part.top() + 0.02:
        yield from go_to(arm, arm.pose.raised_to(height), "reach", tolerance_m=0.03, steps=40)
    yield from go_to(arm, target.raised_to(height), "reach", tolerance_m=0.02, bow=0.5)


def open_drawer(arm: Arm, part: Part) -> Move:
    """Hook the fingertips behind the handle from above and pull."""
    outwards = part.outwards()
    rotation = facing(-outwards, _PULL_TILT_RAD + arm.style.yaw_rad)

    def hook() -> Pose:
        low, high = part.handle()
        behind = (low + high - outwards * (abs(outwards) @ (high - low) + 0.012)) / 2
        return Pose(np.append(behind[:2], high[2]) + part.grip_offset(), rotation)

    arm.gripper = CLOSE
    yield from go_to(arm, hook().moved(0.1 * outwards + (0, 0, 0.15)), "reach", tolerance_m=0.03, bow=0.5)
    yield from go_to(arm, hook().backed_off(0.04), "reach", tolerance_m=0.012)
    yield from go_to(arm, hook(), "descend", tolerance_m=0.01, steps=20)
    yield from _until(
        arm,
        lambda: part.holds("open"),
        # 1 cm below the handle's top: pressed down, the fingertips do not slip off upwards.
        lambda: Pose(arm.position, rotation).raised_to(hook().position[2] - 0.01).moved(_AHEAD_M * outwards),
        "pull",
    )
    yield from leave(arm, 0 * outwards)


def open_door(arm: Arm, part: Part) -> Move:
    """Grasp the handle and pull the door ajar, then go behind it and push it open."""
    away = part.panel() - arm.env.data.body("robot0_base").xpos
    lean = _LEAN * away / np.linalg.norm(away)
    rotation = facing(lean - part.outwards(part.panel()), _PULL_TILT_RAD + arm.style.yaw_rad)

    def grip() -> Pose:
        return Pose(part.handle().mean(axis=0) + part.grip_offset(), rotation)

    arm.gripper = OPEN
    before = grip().backed_off(0.08)
    yield from _come_over(part, before)
    yield from go_to(arm, before, "reach", tolerance_m=0.015)
    yield from descend(arm, grip())
    yield from close_hand(arm, grip())
    start = part.handle().mean(axis=0)
    yield from _until(
        arm,
        lambda: float(np.linalg.norm(part.handle().mean(axis=0) - start)) > _AJAR_M,
        lambda: grip().moved(_AHEAD_M * part.outwards()),
        "pull",
        steps=40,
    )
    yield from release(arm, arm.pose)
    yield from leave(arm, part.outwards())

    def behind() -> Pose:
        panel = part.panel()
        outwards = part.outwards(panel)
        lever = panel - part.anchor
        lever[2] = 0.0  # 0.4 of it beyond the middle: near the free edge, where little force opens the door
        return Pose(panel + 0.4 * lever - (_HAND_M + 0.02) * outwards, facing(outwards, _PUSH_DOOR_TILT_RAD))

    arm.gripper = CLOSE
    before = behind().moved(-0.02 * part.outwards())
    yield from _come_over(part, before)
    yield from go_to(arm, before, "descend", tolerance_m=0.015, steps=30)
    yield from _until(
        arm,
        lambda: part.holds("open"),
        lambda: behind().moved(_AHEAD_M * part.outwards(part.panel())),
        "push",
    )
    yield from leave(arm, -part.outwards())


def push_closed(arm: Arm, part: Part) -> Move:
    """Push the handle with the fingertips, along its path."""
    tilt = (_PUSH_TILT_RAD if part.slides else _PUSH_DOOR_TILT_RAD) + 0.5 * arm.style.yaw_rad
    thickness = _FINGER_M if part.slides else _HAND_M

    def contact() -> Pose:
        low, high = part.handle()
        outwards = part.outwards()
        front = (low + high + outwards * (abs(outwards) @ (high - low))) / 2 + outwards * thickness
        # Above the middle: much higher, the tips slide over a bar handle (8 mm thick), lower, under it.
        return Pose(front + part.grip_offset() + np.array([0.0, 0.0, 0.006]), facing(-outwards, tilt))

    def before() -> Pose:
        return contact().moved(0.02 * part.outwards())

    arm.gripper = CLOSE
    yield from _come_over(part, before())
    yield from go_to(arm, before, "descend", tolerance_m=0.015, steps=30)
    yield from _until(
        arm, lambda: part.holds("close"), lambda: contact().moved(-_AHEAD_M * part.outwards()), "push"
    )
    yield from leave(arm, part.outwards())


def turn_knob(arm: Arm, part: Part, state: str) -> Move:
    """Grasp the knob's ridge above its axis and turn it."""
    top = part.top()
    ridge = np.concatenate([points for points in part.shapes() if points[:, 2].max() > top - 0.005])
    sense = 1.0 if state == "turnon" else -1.0
    yaws = np.linspace(-np.pi, np.pi, 72, endpoint=False)
    width = [np.ptp(ridge[:, :2] @ (-np.sin(yaw), np.cos(yaw))) for yaw in yaws]
    narrow = yaws[np.isclose(width, min(width), atol=1e-4)]
    # The turn to come, about a radian, lies around the middle of the last joint's range.
    yaw = min(narrow, key=lambda yaw: abs(yaw + 0.5 * sense - _EASY_YAW_RAD))
    # The pads reach 12 mm above the grip site: all of them hold the ridge.
    grasp = Pose(np.append(part.anchor[:2], top - 0.012), turned(yaw + arm.style.yaw_rad))

    def ahead() -> Pose:
        # Fast in the open, slowly to the stop, where the knob would bounce back.
        angle = min(0.4, 0.08 + 0.6 * part.way_left(sense))
        turn = Rotation.from_rotvec(angle * sense * part.axis).as_matrix()
        return Pose(grasp.position, turn @ arm.pose.rotation)

    arm.gripper = OPEN
    yield from go_to(arm, grasp.moved((0, 0, arm.style.hover_m)), "reach", tolerance_m=0.02, bow=0.5)
    yield from descend(arm, grasp)
    yield from close_hand(arm, grasp)
    yield from _until(arm, lambda: part.holds(state), ahead, "turn")
    yield from hold(arm, arm.pose, "turn", steps=8)
    yield from release(arm, arm.pose)
    yield from leave(arm, 0 * part.axis)
