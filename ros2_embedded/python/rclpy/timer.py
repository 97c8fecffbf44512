"""Timers and rates."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock
from rclpy.destroyable import Destroyable
from rclpy.exceptions import ROSInterruptException

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.context import Context


class Timer(Destroyable):
    """Calls back every `timer_period_ns` of a clock. Calls that were missed are skipped, the phase is
    kept."""

    def __init__(
        self,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup | None,
        timer_period_ns: int,
        clock: Clock,
        *,
        context: Context | None = None,
        autostart: bool = True,
    ) -> None:
        if timer_period_ns < 0:
            raise ValueError(f"timer period must not be negative, got {timer_period_ns} ns")
        self.callback, self.callback_group, self.clock = callback, callback_group, clock
        self._period = int(timer_period_ns)
        self._canceled = not autostart
        self._last = clock.now_ns()
        self._next = self._last + self._period
        self._wake: Callable[[], None] = lambda: None

    @property
    def timer_period_ns(self) -> int:
        self._check_alive()
        return self._period

    @timer_period_ns.setter
    def timer_period_ns(self, value: int) -> None:
        self._check_alive()
        self._period = int(value)
        self._next = self._last + self._period
        self._wake()

    def is_ready(self) -> bool:
        self._check_alive()
        return self._is_due()

    def _is_due(self) -> bool:
        return not self._canceled and self.clock.now_ns() >= self._next

    def is_canceled(self) -> bool:
        self._check_alive()
        return self._canceled

    def cancel(self) -> None:
        self._check_alive()
        self._canceled = True

    def reset(self) -> None:
        self._check_alive()
        self._last = self.clock.now_ns()
        self._next = self._last + self._period
        self._canceled = False
        self._wake()

    def time_since_last_call(self) -> int:
        self._check_alive()
        return self.clock.now_ns() - self._last

    def time_until_next_call(self) -> int | None:
        self._check_alive()
        return self._left_ns()

    def _left_ns(self) -> int | None:
        return None if self._canceled else self._next - self.clock.now_ns()

    def wait_ns(self) -> int | None:
        """Real nanoseconds until the timer is due; None if only a clock message or a reset can make it so."""
        left = self._left_ns()
        if left is None or left <= 0 or self.clock._sim_ns is None:
            return left
        if self._next - self.clock._sim_ns > self._period:  # simulated time jumped back
            self._next = self.clock._sim_ns + self._period
        return None

    def take(self) -> Callable[[], Any] | None:
        now = self.clock.now_ns()
        if self._canceled or now < self._next:
            return None
        self._last = now
        self._next += self._period
        if self._next < now:
            missed = 1 + (now - self._next) // self._period if self._period else 0
            self._next = self._next + missed * self._period if self._period else now
        return self.callback

    def destroy(self) -> None:
        self._mark_destroyed()
        self._canceled = True


class Rate:
    """Sleeps to keep a loop at a rate; needs an executor spinning in another thread."""

    def __init__(self, timer: Timer, *, context: Context) -> None:
        self._timer, self._context = timer, context
        self._event = threading.Event()
        event = weakref.ref(self._event)
        timer.callback = lambda: (found := event()) and found.set()
        self._destroyed = False

    def sleep(self) -> None:
        """Until the timer's next call, or until the rate is destroyed; ROSInterruptException at shutdown."""
        if self._destroyed:
            raise RuntimeError("Rate cannot sleep because it has been destroyed")
        self._event.clear()
        while not self._event.wait(0.1):
            if not self._context.ok():
                raise ROSInterruptException()

    def destroy(self) -> None:
        self._destroyed = True
        self._event.set()
        self._timer.destroy()
