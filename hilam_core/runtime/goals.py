"""Goal poses for an arm that takes poses: interpolated, within the limits of motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from transforms3d.quaternions import axangle2quat, qconjugate, qmult, quat2axangle

from hilam_core.runtime.limits import Limits, limit_norm
from hilam_core.runtime.motion import ANGULAR, LINEAR
from hilam_core.runtime.units import PoseTarget

_LEFT_M, _LEFT_RAD = 0.05, 0.2  # an impedance controller under load, or against an obstacle, is off by less
_THERE = 1e-9  # m or rad: rounding, which would keep the arm from ever coming to rest


@dataclass(frozen=True)
class Pose:
    """Position float64[3] m and orientation float64[4] xyzw in the arm's base frame."""

    position: np.ndarray
    quat_xyzw: np.ndarray


class GoalPose:
    """The pose to command to an arm that takes goals: it moves to the goal as fast as the limiter allows.

    The goal is the measured pose plus one control period of the proposed twist, as in LIBERO's controller. It
    is reached in one control period where the limits allow it.
    """

    def __init__(self, limits: Limits, control_hz: float):
        self.target, self.period_s = PoseTarget(control_hz), 1 / control_hz
        self.braking = np.array([limits.max_linear_m_s2, limits.max_angular_rad_s2])
        self.commanded: Pose | None = None
        self.goal: Pose | None = None
        self._still = False

    def left(self, measured: Pose) -> bool:
        """Whether the arm is not where it was told to be: it was told nothing, or something else moved it.

        A small difference is the controller's own: to go on from the commanded pose leaves no jolt.
        """
        if self.commanded is None:
            return True
        way, turn = difference(self.commanded, measured)
        return float(np.linalg.norm(way)) > _LEFT_M or float(np.linalg.norm(turn)) > _LEFT_RAD

    def begin(self, measured: Pose) -> None:
        """The arm stands at `measured`; a pose held before it was moved there counts no more."""
        self.commanded = measured
        if self.goal is None or self._still:
            self.goal = measured

    def aim(self, measured: Pose, twist: np.ndarray) -> None:
        """A twist was proposed; a zero one holds the pose measured at the first of them."""
        if twist.any():
            self.goal, self._still = (
                Pose(*self.target.target(measured.position, measured.quat_xyzw, twist)),
                False,
            )
        else:
            self.hold(measured)

    def hold(self, measured: Pose | None) -> None:
        """Hold the measured pose, the first one of a hold: an arm that sags would follow itself down."""
        if self._still:
            return
        self.goal, self._still = measured or self.commanded, True

    def velocity(self, dt_s: float) -> np.ndarray:
        """The twist float64[6] that leads to the goal."""
        if self.commanded is None or self.goal is None:
            return np.zeros(6)
        pairs = zip(difference(self.commanded, self.goal), self.braking, strict=True)
        return np.concatenate([self._approach(way, braking, dt_s) for way, braking in pairs])

    def _approach(self, way: np.ndarray, braking: float, dt_s: float) -> np.ndarray:
        """The velocity at which a way is gone in one period, and no faster than one can still brake from."""
        length = float(np.linalg.norm(way))
        if length < _THERE:
            return np.zeros(3)
        # Half the braking the limits allow: the acceleration does not change at once.
        return limit_norm(way / max(self.period_s, dt_s), math.sqrt(braking * length))

    def move(self, twist: np.ndarray, dt_s: float) -> Pose | None:
        """The pose to command after moving so for a step; None while no pose is known."""
        if self.commanded is None:
            return None
        turned = twist[ANGULAR] * dt_s
        angle = float(np.linalg.norm(turned))
        quat = _wxyz(self.commanded.quat_xyzw)
        if angle > 0:
            quat = qmult(axangle2quat(turned, angle), quat)
            quat /= np.linalg.norm(quat)
        self.commanded = Pose(self.commanded.position + twist[LINEAR] * dt_s, np.roll(quat, -1))
        return self.commanded


def difference(start: Pose, end: Pose) -> tuple[np.ndarray, np.ndarray]:
    """The way float64[3] m and the rotation vector float64[3] rad, in base axes, from one pose to another."""
    turn = qmult(_wxyz(end.quat_xyzw), qconjugate(_wxyz(start.quat_xyzw)))
    axis, angle = quat2axangle(turn if turn[0] >= 0 else -turn)
    return end.position - start.position, axis * angle


def _wxyz(quat_xyzw: np.ndarray) -> np.ndarray:
    return np.roll(quat_xyzw, 1)  # transforms3d has w first
