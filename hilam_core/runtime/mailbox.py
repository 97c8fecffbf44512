"""Which command a control step applies. Stamps are integer nanoseconds."""

from __future__ import annotations

import numpy as np

from hilam_core.runtime.units import CommandScale


class LockstepMailbox:
    """Waits for the one twist and the one gripper command that answer an observation."""

    def __init__(self, scale: CommandScale):
        self.scale = scale
        self.expect(-1)

    def expect(self, stamp_ns: int) -> None:
        """Wait for the answer to the observation of this stamp; forget what came before."""
        self.stamp_ns = stamp_ns
        self._twist: np.ndarray | None = None
        self._gripper_m: float | None = None

    def add_twist(self, stamp_ns: int, twist: np.ndarray) -> None:
        """Take in a twist float64[6] (m/s, rad/s); one that answers another observation is ignored."""
        if stamp_ns == self.stamp_ns:
            self._twist = twist

    def add_gripper(self, gripper_m: float) -> None:
        """Take in a finger position in metres; it has no stamp, so the newest counts."""
        self._gripper_m = gripper_m

    def missing(self) -> list[str]:
        """Which of "twist", "gripper" have not arrived."""
        parts = {"twist": self._twist, "gripper": self._gripper_m}
        return [name for name, value in parts.items() if value is None]

    def action(self) -> np.ndarray | None:
        """The action float32[7], None while a part is missing; NonFiniteError if it is not finite."""
        if self._twist is None or self._gripper_m is None:
            return None
        return self.scale.to_action(self._twist, self._gripper_m)


class RealtimeMailbox:
    """The newest finite command, applied until it is older than `max_age_s`; then the arm holds still.

    Holding: zero motion, the gripper as last commanded (open at first).
    """

    def __init__(self, scale: CommandScale, max_age_s: float):
        self.scale, self.max_age_ns = scale, round(max_age_s * 1e9)
        self.refused = 0  # commands that were not finite
        self.held = 0  # steps without a valid command
        self._stamp_ns: int | None = None
        self._twist = np.zeros(6)
        self._gripper_m = scale.gripper_open_m

    def add_twist(self, stamp_ns: int, twist: np.ndarray) -> None:
        """Take in a twist float64[6] (m/s, rad/s) unless it is older than the last one; refuse NaN."""
        if not np.isfinite(twist).all():
            self.refused += 1
            self._stamp_ns = None  # whatever sent this is not to be trusted: hold until a sound command comes
        elif self._stamp_ns is None or stamp_ns >= self._stamp_ns:
            self._stamp_ns, self._twist = stamp_ns, twist

    def add_gripper(self, gripper_m: float) -> None:
        """Take in a finger position in metres; refuse NaN."""
        if np.isfinite(gripper_m):
            self._gripper_m = gripper_m
        else:
            self.refused += 1

    def action(self, now_ns: int) -> np.ndarray:
        """The action float32[7] to apply now."""
        if self._stamp_ns is not None and now_ns - self._stamp_ns <= self.max_age_ns:
            return self.scale.to_action(self._twist, self._gripper_m)
        self.held += 1
        return self.scale.to_action(np.zeros(6), self._gripper_m)
