"""Policy actions as an arm's commands, and back.

An action is LIBERO's OSC_POSE: 7 numbers in [-1, 1], of which +-1 means +-0.05 m and +-0.5 rad (rotation
vector in base axes) in one control period, and the gripper opens at -1 and closes at +1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from transforms3d.quaternions import axangle2quat, qmult

from hilam_core.conventions import CONTROL_HZ
from hilam_core.errors import ConfigError, HilamError


class NonFiniteError(HilamError):
    """NaN or infinity in a skill, an action or a command; it must not reach the arm."""


@dataclass(frozen=True)
class CommandScale:
    """What one unit of action means on this arm."""

    control_hz: float = float(CONTROL_HZ)
    position_m: float = 0.05  # displacement per control period at full action
    rotation_rad: float = 0.5
    gripper_open_m: float = 0.04  # position of each finger
    gripper_closed_m: float = 0.0
    gripper_binary: bool = False  # command only open or closed, by the sign

    def __post_init__(self) -> None:
        if self.gripper_open_m == self.gripper_closed_m:
            raise ConfigError(f"gripper_open_m and gripper_closed_m are both {self.gripper_open_m:g}")

    @property
    def full_twist(self) -> np.ndarray:
        """The twist float64[6] of full action: linear m/s, angular rad/s."""
        return np.repeat([self.position_m, self.rotation_rad], 3) * self.control_hz

    def to_twist(self, action: np.ndarray) -> np.ndarray:
        """Action[7] -> twist float64[6]: linear m/s, angular rad/s, in base axes.

        Raises:
            NonFiniteError: the action is not finite.
        """
        motion = np.asarray(require_finite(action, "action"), np.float64)[:6]
        return motion * self.full_twist

    def to_gripper(self, action: np.ndarray) -> float:
        """Action[7] -> finger position in metres.

        Raises:
            NonFiniteError: the action is not finite.
        """
        closing = float(require_finite(action, "action")[6])
        if self.gripper_binary:
            closing = 1.0 if closing > 0 else -1.0
        return self.gripper_open_m + (self.gripper_closed_m - self.gripper_open_m) * (closing + 1) / 2

    def to_action(self, twist: np.ndarray, gripper_m: float) -> np.ndarray:
        """Twist[6] and finger position -> action float32[7], the inverse of the two above.

        Raises:
            NonFiniteError: one of them is not finite.
        """
        require_finite(twist, "twist command")
        require_finite(np.array([gripper_m]), "gripper command")
        closing = 2 * (gripper_m - self.gripper_open_m) / (self.gripper_closed_m - self.gripper_open_m) - 1
        motion = np.asarray(twist) / self.full_twist
        return np.clip(np.append(motion, closing), -1, 1).astype(np.float32)


class PoseTarget:
    """Goal poses for an impedance controller: the measured pose plus the twist over one control period.

    As in LIBERO's controller, a zero rotation keeps the last orientation goal, not the measured orientation.
    """

    def __init__(self, control_hz: float):
        self.period_s = 1 / control_hz
        self._orientation: np.ndarray | None = None

    def reset(self) -> None:
        """Forget the last orientation goal: an episode begins or ends."""
        self._orientation = None

    def target(
        self, position: np.ndarray, quat_xyzw: np.ndarray, twist: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Measured position[3] m and orientation[4] xyzw, twist[6] -> goal position[3] and orientation[4].

        Raises:
            NonFiniteError: the pose or the twist is not finite, or the orientation no rotation.
        """
        require_finite(np.concatenate([position, quat_xyzw, twist]), "pose and twist of a goal")
        norm = float(np.linalg.norm(quat_xyzw))
        if norm == 0:
            raise NonFiniteError("the measured orientation is no rotation: [0, 0, 0, 0]")
        rotation = np.asarray(twist[3:]) * self.period_s
        angle = float(np.linalg.norm(rotation))
        if self._orientation is None or angle > 0:
            measured = np.roll(np.asarray(quat_xyzw, np.float64) / norm, 1)  # transforms3d has w first
            turn = axangle2quat(rotation, angle) if angle > 0 else np.array([1.0, 0.0, 0.0, 0.0])
            self._orientation = np.roll(qmult(turn, measured), -1)
        return np.asarray(position) + np.asarray(twist[:3]) * self.period_s, self._orientation


def require_finite(values: np.ndarray, what: str) -> np.ndarray:
    """`values` themselves, or NonFiniteError."""
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{what} is not finite: {np.asarray(values).tolist()}")
    return values
