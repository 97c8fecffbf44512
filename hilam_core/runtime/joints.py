"""Joint positions by name, out of several publishers' messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilam_core.observation import ObservationError


class JointMerge:
    """The joints that the policy reads, whichever messages they arrive in.

    Arm and gripper often publish `joint_states` separately, in any order, each with its own joints.
    """

    def __init__(self, names: Sequence[str], max_age_s: float = 0.2):
        self.names, self.max_age_ns = tuple(names), round(max_age_s * 1e9)
        self.seen: dict[str, None] = {}  # every joint heard of, in order
        self.reset()

    def reset(self) -> None:
        """Forget every position: an episode begins, or a clock was set back."""
        self._newest: dict[str, tuple[int, float]] = {}

    def add(self, names: Sequence[str], positions: Sequence[float], stamp_ns: int) -> np.ndarray | None:
        """Take in one message; the wanted positions float64[n] as of its stamp.

        None where the message has none of the wanted joints, or another one is unknown or too old.

        Raises:
            ObservationError: names and positions do not correspond.
        """
        if len(names) != len(positions):
            raise ObservationError(f"joint states name {len(names)} joints for {len(positions)} positions")
        self.seen |= dict.fromkeys(names)
        wanted = {n: p for n, p in zip(names, positions, strict=True) if n in self.names}
        self._newest |= {name: (stamp_ns, position) for name, position in wanted.items()}
        if not wanted or any(not self._is_current(name, stamp_ns) for name in self.names):
            return None
        return np.array([self._newest[name][1] for name in self.names], np.float64)

    def missing(self) -> str:
        """What keeps the wanted joints from being complete; empty: nothing does."""
        lacking = [name for name in self.names if name not in self._newest]
        if not lacking:
            return ""
        return f"joint states lack '{lacking[0]}'; they have {', '.join(self.seen) or 'no joints'}"

    def _is_current(self, name: str, stamp_ns: int) -> bool:
        return name in self._newest and abs(stamp_ns - self._newest[name][0]) <= self.max_age_ns
