"""Policy actions as an arm's commands, and back. No ROS here.

An action is LIBERO's OSC_POSE: 7 numbers in [-1, 1], of which +-1 means +-0.05 m and +-0.5 rad (rotation
vector in base axes) in one control period, and the gripper opens at -1 and closes at +1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACTION_DIM = 7


class NonFiniteCommand(ValueError):
    """A command or action with NaN or infinity in it; it must not reach the arm."""


@dataclass(frozen=True)
class CommandScale:
    """What one unit of action means on this arm."""

    control_hz: float = 20.0
    position_m: float = 0.05  # displacement per control period at full action
    rotation_rad: float = 0.5
    max_linear_m_s: float = 1.75  # on the norm; just above what full action on all three axes gives
    max_angular_rad_s: float = 17.5
    gripper_open_m: float = 0.04  # position of each finger
    gripper_closed_m: float = 0.0
    gripper_binary: bool = False  # command only open or closed, by the sign

    def to_twist(self, action: np.ndarray) -> np.ndarray:
        """Action[7] -> twist float64[6]: linear m/s, angular rad/s, in base axes, each within its limit."""
        motion = np.asarray(require_finite(action, "action"), np.float64)[:6]
        return np.concatenate(
            [
                limit_norm(motion[:3] * (self.position_m * self.control_hz), self.max_linear_m_s),
                limit_norm(motion[3:] * (self.rotation_rad * self.control_hz), self.max_angular_rad_s),
            ]
        )

    def to_gripper(self, action: np.ndarray) -> float:
        """Action[7] -> finger position in metres."""
        closing = float(require_finite(action, "action")[6])
        if self.gripper_binary:
            closing = 1.0 if closing > 0 else -1.0
        return self.gripper_open_m + (self.gripper_closed_m - self.gripper_open_m) * (closing + 1) / 2

    def to_action(self, twist: np.ndarray, gripper_m: float) -> np.ndarray:
        """Twist[6] and finger position -> action float32[7], the inverse of the two above."""
        require_finite(twist, "twist command")
        require_finite(np.array([gripper_m]), "gripper command")
        closing = 2 * (gripper_m - self.gripper_open_m) / (self.gripper_closed_m - self.gripper_open_m) - 1
        linear = np.asarray(twist[:3]) / (self.position_m * self.control_hz)
        angular = np.asarray(twist[3:]) / (self.rotation_rad * self.control_hz)
        return np.clip(np.concatenate([linear, angular, [closing]]), -1, 1).astype(np.float32)


class PoseTarget:
    """Goal poses for an impedance controller: the measured pose plus the twist over one control period.

    As in LIBERO's controller, a zero rotation keeps the last orientation goal, not the measured orientation.
    """

    def __init__(self, control_hz: float):
        self.period_s = 1 / control_hz
        self._orientation: np.ndarray | None = None

    def reset(self) -> None:
        self._orientation = None

    def target(
        self, position: np.ndarray, quat_xyzw: np.ndarray, twist: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Measured position[3] m and orientation[4] xyzw, twist[6] -> goal position[3] and orientation[4]."""
        rotation = np.asarray(twist[3:]) * self.period_s
        if self._orientation is None or np.any(rotation):
            self._orientation = multiply_quat(rotvec_to_quat(rotation), np.asarray(quat_xyzw, np.float64))
        return np.asarray(position) + np.asarray(twist[:3]) * self.period_s, self._orientation


def require_finite(values: np.ndarray, what: str) -> np.ndarray:
    """`values` themselves, or NonFiniteCommand."""
    if not np.isfinite(values).all():
        raise NonFiniteCommand(f"{what} is not finite: {np.asarray(values).tolist()}")
    return values


def limit_norm(vector: np.ndarray, limit: float) -> np.ndarray:
    """The vector, shortened to `limit` where it is longer; its direction stays."""
    norm = float(np.linalg.norm(vector))
    return vector if norm <= limit else vector * (limit / norm)


def rotvec_to_quat(rotvec: np.ndarray) -> np.ndarray:
    """Rotation vector[3] rad -> quaternion[4] xyzw."""
    angle = float(np.linalg.norm(rotvec))
    axis = rotvec / angle if angle > 0 else np.zeros(3)
    return np.append(axis * np.sin(angle / 2), np.cos(angle / 2))


def multiply_quat(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions[4] xyzw: the rotation `right`, then `left`."""
    x1, y1, z1, w1 = left
    x2, y2, z2, w2 = right
    return np.array(
        [
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        ]
    )
