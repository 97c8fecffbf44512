"""The safety monitor: what is proposed for an arm, limited; and the stop that stays until it is reset.

It knows no policy: a joystick or a script behind it is limited in the same way. Not safety-rated.
Times are integer nanoseconds of the node's clock where they are compared with stamps, and seconds of a steady
clock where they decide how far the arm may move.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilam_core.errors import FileError, HilamError
from hilam_core.files import writable_folder, write_json
from hilam_core.runtime.goals import GoalPose, Pose
from hilam_core.runtime.joints import JointGuard
from hilam_core.runtime.limits import Limits
from hilam_core.runtime.motion import MotionLimiter
from hilam_core.runtime.stamps import stamp_problem

# By the steady clock, should the node's stand still (a bag that ended, a simulator that hangs): long enough
# for simulated time that runs slower than real time.
STALLED_S = 1.0
# A state that fails so long while commands come is a broken driver, not a hiccup: someone must look.
LOST_S = 1.0
QUIET_S = 1.0  # a hold is repeated so long, should a message be lost; then the arm's driver holds alone
_ROUNDING_M = 1e-6
_NO_MOTION = np.zeros(6)


class SafetyError(HilamError):
    """The monitor refuses: the message is one line with the cause."""


@dataclass(frozen=True)
class Command:
    """What the arm is told: a twist float64[6] (m/s, rad/s), and where it should be where it takes goals."""

    twist: np.ndarray
    stamp_ns: int
    pose: Pose | None = None


class LatchedStop:
    """A stop that stays until it is reset, also over the end of the process: it lies in a file.

    Raises:
        FileError: the file's folder cannot be written to.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        writable_folder(self.path.parent)
        self.reason = self._read()

    def _read(self) -> str:
        try:
            return str(json.loads(self.path.read_text())["reason"])
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"the stop file '{self.path}' cannot be read: {error}"

    def latch(self, reason: str) -> None:
        """Stop; the first reason stays."""
        if self.reason:
            return
        self.reason = reason
        try:
            write_json(self.path, {"reason": reason, "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        except FileError as error:
            self.reason += f"; it will not survive a restart: {error}"

    def release(self) -> None:
        """End the stop.

        Raises:
            FileError: the file cannot be removed: the stop goes on.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"remove the stop file '{self.path}' by hand: {error.strerror}") from None
        self.reason = ""


class SafetyMonitor:
    """Takes proposals and the arm's state, gives the commands.

    `step` gives the next command, or None while there is nothing to say. Without `command_hz` every proposal
    is answered by one command; with it, `step` is called at that rate, and commands follow the newest
    proposal. `poses`: the arm takes goal poses. `clocked`: ages count; in lockstep the clock decides nothing,
    and a proposal waits for the state of its own stamp instead.
    """

    def __init__(
        self,
        limits: Limits,
        stop: LatchedStop,
        control_hz: float,
        command_hz: float = 0.0,
        poses: bool = False,
        clocked: bool = True,
    ):
        self.limits, self.stop, self.clocked = limits, stop, clocked
        self.streams, self.period_s = command_hz > 0, 1 / (command_hz or control_hz)
        self.motion, self.joints = MotionLimiter(limits, self.period_s), JointGuard(limits)
        self.goals = GoalPose(limits, control_hz) if poses else None
        self.causes: dict[str, str] = {}  # what stops the arm as long as it lasts, by kind
        self.counters: dict[str, int] = {}
        self.holding = ""  # why the arm holds still; empty: it follows proposals
        self.gripper_m: float | None = None
        self._twist: np.ndarray | None = None
        self._stamp_ns, self._arrived_s = 0, -math.inf
        self.refused = ""  # why the last proposal was refused
        self._pose: Pose | None = None
        self._pose_problem, self._pose_stamp_ns, self._pose_arrived_s = "", 0, -math.inf
        self._joints_arrived_s = -math.inf
        self._stepped_s: float | None = None
        self._rest_s: float | None = None  # since when the arm has been told to stand still
        self._lost_s: float | None = None
        self._paused = False  # nothing was sent for some time

    # What arrives

    def propose(self, twist: np.ndarray, stamp_ns: int, now_ns: int, now_s: float) -> None:
        """Take in a proposed twist float64[6]; refused: not finite, without a stamp, from the future."""
        twist = np.asarray(twist, np.float64)
        problem = "" if np.isfinite(twist).all() else "is not finite"
        if self.clocked and not problem:
            problem = stamp_problem(stamp_ns, now_ns)
        if problem:
            self.refuse_proposal(problem)
            return
        self._twist, self._stamp_ns, self._arrived_s, self.refused = twist, stamp_ns, now_s, ""
        # A goal from every refused proposal would be measured anew each time: an arm that sags would sink.
        refused = self.stop.reason or self.state_problem(now_ns, now_s)
        if self.goals and self._pose is not None and not refused:
            self.goals.aim(self._pose, twist)

    def refuse_proposal(self, problem: str) -> None:
        """A proposal came that cannot be followed: its source is not trusted until a sound one comes."""
        self._twist, self.refused = None, f"the proposed command {problem}"

    def propose_gripper(self, gripper_m: float) -> float | None:
        """The position to command for a proposed one, both in m; None: it is refused."""
        if not math.isfinite(gripper_m) or self.stop.reason:
            return None
        limited = min(max(gripper_m, self.limits.gripper_min_m), self.limits.gripper_max_m)
        if abs(limited - gripper_m) > _ROUNDING_M:
            self._count("limited gripper")
        self.gripper_m = limited
        return limited

    def observe_pose(self, position: np.ndarray, quat_xyzw: np.ndarray, stamp_ns: int, now_s: float) -> None:
        """Take in the measured pose."""
        norm = float(np.linalg.norm(quat_xyzw))
        if not (np.isfinite(position).all() and math.isfinite(norm) and norm > 0):
            self.refuse_pose("the measured pose is not finite, or no rotation")
            return
        self._pose_problem, self._pose_stamp_ns, self._pose_arrived_s = "", stamp_ns, now_s
        self._pose = Pose(np.asarray(position, np.float64), np.asarray(quat_xyzw, np.float64) / norm)

    def refuse_pose(self, problem: str) -> None:
        """A measured pose came that says nothing."""
        self._pose_problem = problem

    def observe_joints(
        self, names: Sequence[str], positions: Sequence[float], stamp_ns: int, now_s: float
    ) -> None:
        """Take in a joint state."""
        self.joints.add(names, positions, stamp_ns)
        if self.joints.stamp_ns == stamp_ns:
            self._joints_arrived_s = now_s

    def ready(self) -> bool:
        """Lockstep: a proposal waits, and the state that it answers is there."""
        stamps = (self._pose_stamp_ns, self.joints.stamp_ns)
        return self._twist is not None and all(stamp == self._stamp_ns for stamp in stamps)

    def answered(self) -> None:
        """Lockstep: the proposal has its command."""
        self._twist = None

    def let_go(self) -> None:
        """Follow nothing from now on: the arm stops and holds."""
        self.refuse_proposal("counts no more: the monitor ends")

    # The stop

    def cause(self, kind: str, reason: str) -> None:
        """Report what must stop the arm (`reason`), or that it is over (empty)."""
        if not reason:
            self.causes.pop(kind, None)
        else:
            self.causes[kind] = reason
            self.stop.latch(reason)

    def reset(self, now_ns: int, now_s: float) -> str:
        """End the latched stop; the reason it had.

        Raises:
            SafetyError: what caused a stop lasts, or nothing is stopped.
            FileError: the stop's file cannot be removed.
        """
        if not self.stop.reason:
            raise SafetyError("nothing is stopped")
        lasting = [*self.causes.values(), *([self.state_problem(now_ns, now_s)] if self.clocked else [])]
        if cause := next(filter(None, lasting), ""):
            raise SafetyError(f"not reset, because the cause lasts: {cause}")
        reason = self.stop.reason
        self.stop.release()
        self._twist, self._lost_s = None, None  # what was proposed before counts no more
        return reason

    # What goes out

    def step(self, now_ns: int, now_s: float) -> Command | None:
        """The command to send now."""
        self.holding = self._why_hold(now_ns, now_s)
        if self._stepped_s is None and self.holding:
            return None  # nothing has moved yet
        dt_s = self.period_s if self._stepped_s is None else now_s - self._stepped_s
        # In lockstep a step is a control period. Otherwise the change may be as large as the time allows, but
        # after a pause no larger than one step's.
        dt_s = min(dt_s, 2 * self.period_s) if self.clocked else self.period_s
        self._paused = self._paused or self._silent(now_s)
        if dt_s <= 0 or self._silent(now_s):
            return None
        self._stepped_s = now_s
        follow = self._follow_goal if self.goals else self._follow_twist
        command = follow(now_ns, now_s, dt_s)
        self.joints.moved(command.twist, dt_s)
        for limit in self.motion.limited if not self.holding else ():
            self._count(f"limited {limit}")
        self._rest_s = (self._rest_s or now_s) if self.motion.at_rest and self.holding else None
        return command

    def _silent(self, now_s: float) -> bool:
        """Whether the hold has been said often enough."""
        return bool(self.holding and self._rest_s is not None and now_s - self._rest_s > QUIET_S)

    def _follow_twist(self, now_ns: int, now_s: float, dt_s: float) -> Command:
        target = _NO_MOTION if self.holding or self._twist is None else self._guarded(self._twist)
        known = self._pose is not None and not self.state_problem(now_ns, now_s)
        position = self._pose.position if known and self._pose else None
        twist = self.motion.step(target, position, dt_s)
        return Command(twist, now_ns if self.streams or self.holding else self._stamp_ns)

    def _follow_goal(self, now_ns: int, now_s: float, dt_s: float) -> Command:
        assert self.goals is not None
        # Only after a silence: while the arm moves, it lags behind, and a new beginning would be a jolt.
        begins = self.goals.commanded is None or self._paused
        if self._pose is not None and begins and self.goals.left(self._pose):
            self.goals.begin(self._pose)
        self._paused = False
        if self.holding:
            self.goals.hold(None if self.state_problem(now_ns, now_s) else self._pose)
        target = (
            self._guarded(self.goals.velocity(dt_s)) if not self.stop.reason else self.goals.velocity(dt_s)
        )
        position = self.goals.commanded.position if self.goals.commanded else None
        twist = self.motion.step(target, position, dt_s)
        return Command(twist, now_ns, self.goals.move(twist, dt_s))

    def _guarded(self, twist: np.ndarray) -> np.ndarray:
        allowed = self.joints.allow(twist)
        if not np.array_equal(allowed, twist):
            self._count("limited joint")
        return allowed

    # Why not

    def state_problem(self, now_ns: int, now_s: float) -> str:
        """What is wrong with what the arm reports; empty: nothing."""
        if self._pose_problem or self.joints.problem:
            return self._pose_problem or self.joints.problem
        states = (
            ("pose", self._pose_stamp_ns if self._pose else None, self._pose_arrived_s),
            ("joint state", self.joints.stamp_ns, self._joints_arrived_s),
        )
        for name, stamp_ns, arrived_s in states:
            if stamp_ns is None:
                return f"the arm's {name} has not come yet"
            if self.clocked and (
                problem := stamp_problem(stamp_ns, now_ns, self.limits.max_state_age_s)
                or _stalled(arrived_s, now_s)
            ):
                return f"the arm's {name} {problem}"
        return ""

    def _why_hold(self, now_ns: int, now_s: float) -> str:
        self._notice_lost_state(now_ns, now_s)
        if self.stop.reason:
            return f"stopped: {self.stop.reason}"
        return self._proposal_problem(now_ns, now_s) or self.state_problem(now_ns, now_s)

    def _proposal_problem(self, now_ns: int, now_s: float) -> str:
        if self._twist is None:
            return self.refused or "no command was proposed yet"
        if not self.clocked:
            return ""
        problem = stamp_problem(self._stamp_ns, now_ns, self.limits.max_command_age_s)
        problem = problem or _stalled(self._arrived_s, now_s)
        return f"the last proposed command {problem}" if problem else ""

    def _notice_lost_state(self, now_ns: int, now_s: float) -> None:
        """Latch the stop where the arm's state fails while commands come."""
        wanted = self.clocked and not self._proposal_problem(now_ns, now_s)
        problem = self.state_problem(now_ns, now_s) if wanted and self._stepped_s is not None else ""
        if not problem:
            self._lost_s = None
        elif self._lost_s is None:
            self._lost_s = now_s
        elif now_s - self._lost_s > LOST_S:
            self.stop.latch(problem)

    def _count(self, event: str) -> None:
        self.counters[event] = self.counters.get(event, 0) + 1


def _stalled(arrived_s: float, now_s: float) -> str:
    age_s = now_s - arrived_s
    return f"came {age_s:.1f} s ago by the steady clock" if age_s > STALLED_S else ""
