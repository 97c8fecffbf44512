"""Which images and arm states belong together. Stamps are integer nanoseconds."""

from __future__ import annotations

from collections import deque
from typing import Any

from hilam_core.errors import ConfigError
from hilam_core.runtime.stamps import FUTURE_NS

RULES = ("exact", "asof")
MAX_PENDING = 8  # references waiting for the other streams
HISTORY_NS = 500_000_000  # samples older than this beside their stream's newest are forgotten


def seconds_to_ns(seconds: float) -> int:
    """Seconds -> whole nanoseconds."""
    return round(seconds * 1e9)


class Pairing:
    """Collects one sample of every stream for each sample of the reference stream (the first one).

    `exact`: all stamps equal. `asof`: of each other stream, the sample nearest to the reference within
    `tolerance_s`; a stream that has none `wait_s` after the reference arrived is held, that is, its newest
    sample is used again if it is no older than `hold_s`. A reference that a newer complete set overtakes is
    dropped, so sets come out in the order of their stamps. A clock that is set back, here or at a sensor,
    starts everything anew: what came before cannot belong to what comes after.
    """

    def __init__(
        self,
        streams: list[str],
        rule: str = "exact",
        tolerance_s: float = 0.01,
        wait_s: float = 0.01,
        hold_s: float = 0.0,
    ):
        if rule not in RULES:
            raise ConfigError(f"pairing '{rule}' is not one of {', '.join(RULES)}")
        self.streams, self.rule = streams, rule
        self.tolerance_ns = 0 if rule == "exact" else seconds_to_ns(tolerance_s)
        self.wait_ns, self.hold_ns = seconds_to_ns(wait_s), seconds_to_ns(hold_s)
        self.dropped = 0  # reference samples that never became a set
        self.held = 0  # sets with at least one held sample
        self._now_ns = -FUTURE_NS
        self.reset()

    def reset(self, after_ns: int = -1) -> None:
        """Forget everything; references stamped up to `after_ns` will be ignored."""
        self._samples: dict[str, deque[tuple[int, Any]]] = {stream: deque() for stream in self.streams}
        self._pending: deque[tuple[int, int]] = deque()  # (stamp, arrival) of references without a set yet
        self._last_stamp = after_ns

    def add(self, stream: str, stamp_ns: int, now_ns: int, sample: Any) -> tuple[int, dict[str, Any]] | None:
        """Take in one sample; returns the newest complete (stamp, samples by stream), or None."""
        samples = self._samples[stream]
        if now_ns < self._now_ns - FUTURE_NS or (samples and stamp_ns < samples[-1][0] - HISTORY_NS):
            self.reset()
            samples = self._samples[stream]
        self._now_ns = now_ns
        samples.append((stamp_ns, sample))
        while samples[0][0] < stamp_ns - HISTORY_NS:
            samples.popleft()
        if stream == self.streams[0] and stamp_ns > self._last_stamp:
            if len(self._pending) == MAX_PENDING:
                self._pending.popleft()
                self.dropped += 1
            self._pending.append((stamp_ns, now_ns))
        return self.poll(now_ns)

    def poll(self, now_ns: int) -> tuple[int, dict[str, Any]] | None:
        """The newest set that is complete, or due to be completed by holding."""
        for index in reversed(range(len(self._pending))):
            stamp_ns, arrived_ns = self._pending[index]
            overdue = self.rule == "asof" and now_ns - arrived_ns >= self.wait_ns
            samples = self._match(stamp_ns, overdue)
            if samples is not None:
                return self._emit(index, stamp_ns, samples)
        return None

    def lacking(self) -> str:
        """Why the newest reference sample has no set yet; empty: it has one, or there is none."""
        if not self._pending:
            return ""
        stamp_ns, _ = self._pending[-1]
        for stream, samples in self._samples.items():
            best_ns = min((abs(stamp - stamp_ns) for stamp, _ in samples), default=None)
            if best_ns is None:
                return f"no {stream} came"
            if best_ns > self.tolerance_ns:
                return (
                    f"the nearest {stream} is {best_ns * 1e-6:.0f} ms from {self.streams[0]}, "
                    f"the tolerance is {self.tolerance_ns * 1e-6:.0f} ms"
                )
        return ""

    def _emit(self, index: int, stamp_ns: int, samples: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        for _ in range(index + 1):
            self._pending.popleft()
        self.dropped += index
        self._last_stamp = stamp_ns
        return stamp_ns, samples

    def _match(self, stamp_ns: int, hold: bool) -> dict[str, Any] | None:
        matched, held = {}, False
        for stream, samples in self._samples.items():
            best = min(samples, key=lambda sample: abs(sample[0] - stamp_ns), default=None)
            if best is None:
                return None
            if abs(best[0] - stamp_ns) > self.tolerance_ns:
                if not (hold and 0 <= stamp_ns - best[0] <= self.hold_ns):
                    return None
                held = True
            matched[stream] = best[1]
        self.held += held
        return matched


class RateGate:
    """Thins a stream to `rate_hz` by stamp, without losing samples of a stream that has just that rate.

    A sample up to a quarter period early passes, so that jitter drops nothing; a gap, or a clock that was set
    back, starts the count anew.
    """

    def __init__(self, rate_hz: float):
        self.period_ns = seconds_to_ns(1 / rate_hz)
        self._due_ns: int | None = None

    def passes(self, stamp_ns: int) -> bool:
        """Whether the sample of this stamp is one to keep."""
        due_ns = stamp_ns if self._due_ns is None else self._due_ns
        if not due_ns - 2 * self.period_ns <= stamp_ns <= due_ns + self.period_ns:
            due_ns = stamp_ns
        self._due_ns = due_ns
        if stamp_ns < due_ns - self.period_ns // 4:
            return False
        self._due_ns += self.period_ns
        return True
