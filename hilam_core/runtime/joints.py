"""Joint positions by name, out of several publishers' messages, and what their limits forbid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilam_core.observation import ObservationError
from hilam_core.runtime.limits import Limits

_APPROACH_S = 0.2  # over how long the motion is averaged that led a joint to its limit


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


class JointGuard:
    """Keeps joints out of the margin at their limits, without a model of the arm.

    A joint in its margin lets the arm only go back on the way that led there: against the mean motion of the
    time before. To first order this takes the joint back. Where that way is not known, or the joint goes on
    towards its limit all the same, nothing moves.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self.merge = JointMerge(limits.arm_joints, limits.max_state_age_s)
        self.scale = np.repeat([limits.max_linear_m_s, limits.max_angular_rad_s], 3)
        self.low = np.array(limits.joint_min_rad) + limits.joint_margin_rad
        self.high = np.array(limits.joint_max_rad) - limits.joint_margin_rad
        self.stamp_ns: int | None = None
        self.problem = ""  # what is wrong with the last message
        self._approach = np.zeros(6)
        self._depth = np.zeros(len(limits.arm_joints))  # rad within the margin
        self._back: dict[int, np.ndarray | None] = {}  # joint -> unit vector that led it into its margin

    def add(self, names: Sequence[str], positions: Sequence[float], stamp_ns: int) -> None:
        """Take in a joint state; one that is not finite or contradicts itself is refused and named."""
        try:
            found = self.merge.add(names, positions, stamp_ns)
        except ObservationError as error:
            self.problem = str(error)
            return
        if found is None:  # of other joints: that says nothing of a problem with these
            self.problem = self.merge.missing() or self.problem
            return
        if not np.isfinite(found).all():
            joint = self.limits.arm_joints[int(np.flatnonzero(~np.isfinite(found))[0])]
            self.problem = f"the position of {joint} is not finite"
            return
        self.problem, self.stamp_ns = "", stamp_ns
        self._judge(np.maximum(np.maximum(self.low - found, found - self.high), 0.0))

    def _judge(self, depth: np.ndarray) -> None:
        length = float(np.linalg.norm(self._approach))
        for joint in range(len(depth)):
            if depth[joint] == 0:
                self._back.pop(joint, None)
            elif joint not in self._back:
                self._back[joint] = self._approach / length if length > 1e-6 else None
                self._depth[joint] = depth[joint]
            elif depth[joint] > self._depth[joint] + self.limits.joint_margin_rad / 2:
                self._back[joint] = None
        self.depth = depth

    def moved(self, twist: np.ndarray, dt_s: float) -> None:
        """The arm was told to move so for this time."""
        weight = min(1.0, dt_s / _APPROACH_S)
        self._approach = (1 - weight) * self._approach + weight * twist / self.scale

    def allow(self, twist: np.ndarray) -> np.ndarray:
        """The part of a twist float64[6] that no joint in its margin forbids."""
        if not self._back:
            return twist
        motion = twist / self.scale
        for back in self._back.values():
            motion = np.zeros(6) if back is None else min(float(motion @ back), 0.0) * back
        return motion * self.scale

    def explain(self) -> str:
        """Which joint is in its margin; empty: none."""
        if not self._back:
            return ""
        joint, way = next(iter(self._back.items()))
        left = self.limits.joint_margin_rad - self.depth[joint]
        known = "only the way back is allowed" if way is not None else "move it away by other means"
        return f"{self.limits.arm_joints[joint]} is {left:.3f} rad from its limit: {known}"
