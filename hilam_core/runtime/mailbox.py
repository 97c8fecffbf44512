"""Which command a control step applies. Stamps are integer nanoseconds."""

from __future__ import annotations

import numpy as np

from hilam_core.runtime.stamps import stamp_problem
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
    """The newest sound command, applied until it is older than `max_age_s`; then the arm holds still.

    Holding: zero motion, the gripper as last commanded (open at first). A command that is not finite, has no
    stamp or comes from the future is refused, and the arm holds until a sound one comes: whatever sent it is
    not to be trusted.
    """

    def __init__(self, scale: CommandScale, max_age_s: float):
        self.scale, self.max_age_s = scale, max_age_s
        self.reset()

    def reset(self, after_ns: int = 0) -> None:
        """An episode begins: the gripper is open, and commands stamped before `after_ns` do not count."""
        self.after_ns = after_ns
        self.refused = 0  # commands that were not sound
        self.held = 0  # steps without a valid command
        self.problem = ""  # why the last command was refused; empty: it was sound
        self._stamp_ns: int | None = None
        self._twist = np.zeros(6)
        self._gripper_m = self.scale.gripper_open_m

    def add_twist(self, stamp_ns: int, twist: np.ndarray, now_ns: int) -> None:
        """Take in a twist float64[6] (m/s, rad/s) unless it is older than the last one."""
        self._notice_clock(now_ns)
        if not np.isfinite(twist).all():
            self._refuse("is not finite")
        elif problem := stamp_problem(stamp_ns, now_ns):
            self._refuse(problem)
        elif stamp_ns >= max(self.after_ns, self._stamp_ns or 0):
            self._stamp_ns, self._twist, self.problem = stamp_ns, twist, ""

    def add_gripper(self, gripper_m: float) -> None:
        """Take in a finger position in metres; one that is not finite is refused."""
        if np.isfinite(gripper_m):
            self._gripper_m = gripper_m
        else:
            self.refused += 1

    def action(self, now_ns: int) -> np.ndarray:
        """The action float32[7] to apply now."""
        if not self.holding(now_ns):
            return self.scale.to_action(self._twist, self._gripper_m)
        self.held += 1
        return self.scale.to_action(np.zeros(6), self._gripper_m)

    def applied_ns(self, now_ns: int) -> int:
        """The stamp of the command to apply now; 0: the arm holds."""
        return 0 if self.holding(now_ns) else self._stamp_ns or 0

    def holding(self, now_ns: int) -> str:
        """Why the arm holds still now; empty: it follows a command."""
        self._notice_clock(now_ns)
        if self._stamp_ns is None:
            return self.problem or "no motion command came"
        problem = stamp_problem(self._stamp_ns, now_ns, self.max_age_s)
        return f"the last motion command {problem}" if problem else ""

    def _refuse(self, problem: str) -> None:
        self.refused += 1
        self._stamp_ns, self.problem = None, f"a twist command {problem}"

    def _notice_clock(self, now_ns: int) -> None:
        """Forget what a clock set back has moved into the future: new commands must count at once."""
        if stamp_problem(self.after_ns or now_ns, now_ns):
            self.after_ns = 0
        if self._stamp_ns is not None and stamp_problem(self._stamp_ns, now_ns):
            self._stamp_ns = None
