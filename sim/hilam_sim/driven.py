"""The arm of a LIBERO scene under continuous control, as the driver of a real arm has it."""

from __future__ import annotations

import numpy as np
from transforms3d.quaternions import axangle2quat, qmult, quat2mat

from hilam_sim.env import LiberoEnv

STIFFNESS = 150.0  # 1/s^2, critically damped: LIBERO's own controller
# A velocity servo follows at once: 0.05 s behind the commanded motion, where LIBERO's controller is 0.16 s.
SERVO_STIFFNESS = 1600.0

# What reflexes let pass: twice what the profiles allow, and less than a policy's steps at 20 Hz (5 cm, or
# 0.3 m/s), which an arm would have to take at once.
_GOAL_M_S, _GOAL_RAD_S = 0.8, 4.0
_TWIST_M_S2, _TWIST_RAD_S2 = 4.0, 20.0
_USUAL_S, _LONGEST_S = 0.01, 0.1  # what counts as the time between two commands


class Reflexes:
    """Feels commands that no arm can follow: a goal or a velocity too far from the one before.

    Args:
        position, quat_xyzw: Where the arm stands, as of `DrivenArm.pose`.
    """

    def __init__(self, position: np.ndarray, quat_xyzw: np.ndarray) -> None:
        self._position, self._quat, self._twist = position, quat_xyzw, np.zeros(6)
        self._stamp_s: float | None = None

    def feel_goal(self, position: np.ndarray, quat_xyzw: np.ndarray, stamp_s: float) -> str:
        """What is wrong with a goal pose; empty: nothing."""
        elapsed_s = self._elapsed_s(stamp_s)
        jump_m = float(np.linalg.norm(position - self._position))
        jump_rad = 2 * float(np.arccos(np.clip(abs(quat_xyzw @ self._quat), 0.0, 1.0)))
        self._position, self._quat = position, quat_xyzw
        if jump_m > _GOAL_M_S * elapsed_s or jump_rad > _GOAL_RAD_S * elapsed_s:
            return f"a goal {jump_m:.3f} m and {jump_rad:.2f} rad from the one {elapsed_s:.3f} s before"
        return ""

    def feel_twist(self, twist: np.ndarray, stamp_s: float) -> str:
        """What is wrong with a twist float64 [6]; empty: nothing."""
        elapsed_s, jump = self._elapsed_s(stamp_s), twist - self._twist
        self._twist = twist
        linear, angular = float(np.linalg.norm(jump[:3])), float(np.linalg.norm(jump[3:]))
        if linear > _TWIST_M_S2 * elapsed_s or angular > _TWIST_RAD_S2 * elapsed_s:
            return (
                f"a velocity {linear:.2f} m/s and {angular:.2f} rad/s from the one {elapsed_s:.3f} s before"
            )
        return ""

    def _elapsed_s(self, stamp_s: float) -> float:
        before_s, self._stamp_s = self._stamp_s, stamp_s
        return _LONGEST_S if before_s is None else min(max(stamp_s - before_s, _USUAL_S), _LONGEST_S)


class DrivenArm:
    """Moves the end effector of an environment towards a goal pose, or at a velocity; world frame.

    Args:
        env: A LiberoEnv that was reset.
        stiffness: Of the pull towards the goal, 1/s^2, critically damped.
    """

    def __init__(self, env: LiberoEnv, stiffness: float = STIFFNESS) -> None:
        self.env, self._stepper = env, env.stepper
        self._stepper.stiffen(stiffness)
        self._substep_s = float(env.model.opt.timestep)
        self.twist = np.zeros(6)
        self.closing = -1.0
        self.hold()

    def hold(self) -> None:
        """Stay at the measured pose."""
        self._goal_position, self._goal_quat = self.pose()
        self.twist = np.zeros(6)

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Measured position float64 [3] m and orientation float64 [4] xyzw, as LiberoEnv observes them."""
        observed = self.env.proprioception()
        return observed["ee_pos"], observed["ee_quat"]

    def aim(self, position: np.ndarray, quat_xyzw: np.ndarray) -> None:
        """Pull towards this pose from now on."""
        self._goal_position, self._goal_quat = np.asarray(position), np.asarray(quat_xyzw)
        self.twist = np.zeros(6)

    def move(self, twist: np.ndarray) -> None:
        """Move at this twist float64 [6] (m/s, rad/s) from now on."""
        if not twist.any() and self.twist.any():
            self.hold()
        self.twist = np.asarray(twist)

    def grip(self, closing: float) -> None:
        """Close the fingers (positive) or open them."""
        self.closing = closing

    def advance(self, duration_s: float) -> None:
        """Let time pass: a multiple of the simulation's step of 2 ms."""
        if self.twist.any():
            turn = self.twist[3:] * duration_s
            angle = float(np.linalg.norm(turn))
            self._goal_position = self._goal_position + self.twist[:3] * duration_s
            if angle > 0:
                turned = qmult(axangle2quat(turn, angle), np.roll(self._goal_quat, 1))
                self._goal_quat = np.roll(turned / np.linalg.norm(turned), -1)
        # The controller turns a site of the hand, poses are of its body: the same turn leads to both goals.
        _, quat = self.pose()
        rotation = _matrix(self._goal_quat) @ _matrix(quat).T @ self._stepper.site_rotation()
        self._stepper.follow(self._goal_position, rotation, self.closing, round(duration_s / self._substep_s))


def _matrix(quat_xyzw: np.ndarray) -> np.ndarray:
    return quat2mat(np.roll(quat_xyzw, 1))
