"""What an arm must never exceed, as its profile states it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from hilam_core.errors import ConfigError

AXES = "xyz"


@dataclass(frozen=True)
class Limits:
    """Limits of one arm. Positions in its base frame; speed, acceleration and jerk as norms of a vector."""

    workspace_min_m: tuple[float, ...]
    workspace_max_m: tuple[float, ...]
    max_linear_m_s: float
    max_linear_m_s2: float
    max_linear_m_s3: float
    max_angular_rad_s: float
    max_angular_rad_s2: float
    max_angular_rad_s3: float
    arm_joints: tuple[str, ...]
    joint_min_rad: tuple[float, ...]
    joint_max_rad: tuple[float, ...]
    joint_margin_rad: float
    gripper_min_m: float
    gripper_max_m: float
    max_command_age_s: float
    max_state_age_s: float

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other (ConfigError, one line)."""
        for name in ("workspace_min_m", "workspace_max_m"):
            self._require_length(name, len(AXES))
        for name in ("joint_min_rad", "joint_max_rad"):
            self._require_length(name, len(self.arm_joints))
        for field in fields(self):
            value = getattr(self, field.name)
            numbers = [value] if isinstance(value, float | int) else value
            if field.name != "arm_joints" and not np.isfinite(numbers).all():
                raise ConfigError(f"{field.name} is {value}, must be finite")
            if field.name.startswith("max_") and value <= 0:
                raise ConfigError(f"{field.name} is {value}, must be greater than 0")
        self._require_ranges()
        self._require_room_to_stop()

    def _require_length(self, name: str, length: int) -> None:
        if len(getattr(self, name)) != length:
            raise ConfigError(f"{name} has {len(getattr(self, name))} entries, must have {length}")

    def _require_ranges(self) -> None:
        for axis, low, high in zip(AXES, self.workspace_min_m, self.workspace_max_m, strict=True):
            if low >= high:
                raise ConfigError(f"the workspace is empty: {axis} from {low:g} to {high:g} m")
        if self.joint_margin_rad < 0:
            raise ConfigError(f"joint_margin_rad is {self.joint_margin_rad}, must not be negative")
        ranges = zip(self.arm_joints, self.joint_min_rad, self.joint_max_rad, strict=True)
        for joint, low, high in ranges:
            if high - low <= 2 * self.joint_margin_rad:
                raise ConfigError(
                    f"{joint} may go from {low:g} to {high:g} rad: nothing is left of that with a "
                    f"joint_margin_rad of {self.joint_margin_rad:g}"
                )
        if self.gripper_min_m >= self.gripper_max_m:
            raise ConfigError(
                f"the gripper's range is empty: from {self.gripper_min_m:g} to {self.gripper_max_m:g} m"
            )

    def _require_room_to_stop(self) -> None:
        needed_m = 2 * self.stop_distance_m
        for axis, low, high in zip(AXES, self.workspace_min_m, self.workspace_max_m, strict=True):
            if high - low < needed_m:
                raise ConfigError(
                    f"the workspace is {high - low:g} m wide in {axis}, but an arm at max_linear_m_s "
                    f"{self.max_linear_m_s:g} needs {needed_m / 2:.3g} m to stop on either side: widen "
                    "it, lower the speed, or raise max_linear_m_s2 and max_linear_m_s3"
                )

    @property
    def stop_time_s(self) -> float:
        """How long the arm takes at most to stop from its top speed: acceleration ramps up and down."""
        return max(
            _stop_time_s(self.max_linear_m_s, self.max_linear_m_s2, self.max_linear_m_s3),
            _stop_time_s(self.max_angular_rad_s, self.max_angular_rad_s2, self.max_angular_rad_s3),
        )

    @property
    def stop_distance_m(self) -> float:
        """How far the arm goes at most while it stops from its top speed."""
        # The speed falls symmetrically about the middle of the time: half the top speed on average.
        time_s = _stop_time_s(self.max_linear_m_s, self.max_linear_m_s2, self.max_linear_m_s3)
        return self.max_linear_m_s * time_s / 2


def _stop_time_s(speed: float, acceleration: float, jerk: float) -> float:
    if speed >= acceleration**2 / jerk:
        return speed / acceleration + acceleration / jerk
    return 2 * math.sqrt(speed / jerk)  # the acceleration's limit is never reached


def limit_norm(vector: np.ndarray, limit: float) -> np.ndarray:
    """The vector, shortened to `limit` where it is longer; its direction stays."""
    norm = math.sqrt(float(vector @ vector))
    return vector if norm <= limit else vector * (limit / norm)
