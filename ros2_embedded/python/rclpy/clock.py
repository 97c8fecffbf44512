"""Clocks: system, steady, and ROS time, which follows /clock when `use_sim_time` is set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.exceptions import NotInitializedException
from rclpy.time import Time

if TYPE_CHECKING:
    from rclpy.context import Context

__all__ = ["Clock", "ClockChange", "ClockType", "JumpHandle", "JumpThreshold", "ROSClock", "TimeJump"]


class ClockChange(IntEnum):
    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class JumpThreshold:
    """Which jumps a callback wants: forward of at least, backward of at least (negative), a change of
    source."""

    def __init__(
        self,
        *,
        min_forward: Duration | None,
        min_backward: Duration | None,
        on_clock_change: bool = True,
    ) -> None:
        if min_forward is not None and min_forward.nanoseconds <= 0:
            raise ValueError("min_forward must be a positive non-zero duration")
        if min_backward is not None and min_backward.nanoseconds >= 0:
            raise ValueError("min_backward must be a negative non-zero duration")
        if min_forward is None and min_backward is None and not on_clock_change:
            raise ValueError("At least one jump threshold must be enabled")
        self.min_forward, self.min_backward, self.on_clock_change = min_forward, min_backward, on_clock_change


@dataclass(frozen=True)
class TimeJump:
    clock_change: ClockChange
    delta: Duration


class JumpHandle:
    """Keeps a jump callback registered until `unregister`."""

    def __init__(self, clock: Clock, threshold: JumpThreshold, pre: Any, post: Any) -> None:
        self._clock, self.threshold, self.pre, self.post = clock, threshold, pre, post
        clock._jumps.append(self)

    def unregister(self) -> None:
        if self in self._clock._jumps:
            self._clock._jumps.remove(self)

    def __enter__(self) -> JumpHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.unregister()

    def wants(self, jump: TimeJump) -> bool:
        t, delta = self.threshold, jump.delta.nanoseconds
        changed = jump.clock_change in (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED)
        return bool(
            (t.on_clock_change and changed)
            or (t.min_forward and delta >= t.min_forward.nanoseconds)
            or (t.min_backward and delta <= t.min_backward.nanoseconds)
        )


class Clock:
    """Clock() is a system clock; Clock(clock_type=ClockType.ROS_TIME) a ROSClock."""

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        if not isinstance(clock_type, ClockType):
            raise TypeError("Clock type must be a ClockType enum")
        return super().__new__(ROSClock if clock_type == ClockType.ROS_TIME else cls)

    def __init__(self, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> None:
        self._type = clock_type
        self._sim_ns: int | None = None  # set while ROS time follows /clock
        self._jumps: list[JumpHandle] = []
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], None]] = []  # executors to wake when simulated time moves

    @property
    def clock_type(self) -> ClockType:
        return self._type

    def now_ns(self) -> int:
        if self._sim_ns is not None:
            return self._sim_ns
        return time.monotonic_ns() if self._type == ClockType.STEADY_TIME else time.time_ns()

    def now(self) -> Time:
        return Time(nanoseconds=self.now_ns(), clock_type=self._type)

    def create_jump_callback(
        self,
        threshold: JumpThreshold,
        *,
        pre_callback: Callable[[], None] | None = None,
        post_callback: Callable[[TimeJump], None] | None = None,
    ) -> JumpHandle:
        if pre_callback is None and post_callback is None:
            raise ValueError("One of pre_callback or post_callback must be callable")
        return JumpHandle(self, threshold, pre_callback, post_callback)

    def sleep_until(self, until: Time, context: Context | None = None) -> bool:
        """Sleeps until the clock shows `until`; False if the context was shut down or the clock's source
        changed."""
        from rclpy.utilities import get_default_context

        context = context or get_default_context()
        if not context.ok():
            raise NotInitializedException()
        if until.clock_type != self._type:
            raise ValueError("until's clock type does not match this clock's type")
        simulated = self._sim_ns is not None
        with self._changed:
            while context.ok() and (self._sim_ns is not None) == simulated:
                left = until.nanoseconds - self.now_ns()
                if left <= 0:
                    return True
                self._changed.wait(min(left / 1e9, 0.1))
        return False

    def sleep_for(self, rel_time: Duration, context: Context | None = None) -> bool:
        return self.sleep_until(self.now() + rel_time, context)

    def __repr__(self) -> str:
        return f"Clock(clock_type={self._type.name})"


class ROSClock(Clock):
    """System time, or simulated time while an override is active."""

    def __new__(cls) -> ROSClock:
        return object.__new__(cls)

    def __init__(self, **_: Any) -> None:
        super().__init__(clock_type=ClockType.ROS_TIME)
        self._override_ns = 0  # what the clock shows once simulated time is active

    @property
    def ros_time_is_active(self) -> bool:
        return self._sim_ns is not None

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        if enabled != self.ros_time_is_active:
            change = ClockChange.ROS_TIME_ACTIVATED if enabled else ClockChange.ROS_TIME_DEACTIVATED
            self._move(self._override_ns if enabled else None, change)

    def set_ros_time_override(self, time: Time) -> None:
        """Moves simulated time; seen while it is active."""
        if not isinstance(time, Time):
            raise TypeError(f"Time must be specified as rclpy.time.Time, not {time!r}")
        self._override_ns = time.nanoseconds
        if self.ros_time_is_active:
            self._move(time.nanoseconds, ClockChange.ROS_TIME_NO_CHANGE)

    def _move(self, sim_ns: int | None, change: ClockChange) -> None:
        before = self.now_ns()
        after = time.time_ns() if sim_ns is None else sim_ns
        jump = TimeJump(change, Duration(nanoseconds=after - before))
        told = [handle for handle in self._jumps if handle.wants(jump)]
        for handle in told:
            if handle.pre:
                handle.pre()
        with self._changed:
            self._sim_ns = sim_ns
            self._changed.notify_all()
        for handle in told:
            if handle.post:
                handle.post(jump)
        for wake in list(self._listeners):
            wake()
