"""Whether a stamp is recent. Stamps and times are integer nanoseconds of the same clock."""

from __future__ import annotations

from typing import Any

# Clocks that NTP keeps differ by milliseconds. What is further ahead comes from another clock, or was stamped
# before the clock was set back.
FUTURE_NS = 100_000_000


def stamp_to_ns(stamp: Any) -> int:
    """A builtin_interfaces/Time, of ROS or out of a bag."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_problem(stamp_ns: int, now_ns: int, max_age_s: float | None = None) -> str:
    """What is wrong with a stamp (none, too old, in the future), as the end of a sentence; empty: nothing."""
    if stamp_ns == 0:
        return "has no stamp (zero)"
    age_s = (now_ns - stamp_ns) * 1e-9
    if stamp_ns - now_ns > FUTURE_NS:
        return f"is stamped {-age_s:.3g} s in the future: another clock, or one that was set back"
    if max_age_s is not None and age_s > max_age_s:
        return f"is {age_s:.3g} s old, older than {max_age_s:g} s"
    return ""


class Watchdog:
    """Notices that messages which should come regularly have stopped."""

    def __init__(self, limit_s: float):
        self.limit_s = limit_s
        self._fed_s: float | None = None

    def feed(self, now_s: float) -> None:
        """A message came."""
        self._fed_s = now_s

    def reset(self) -> None:
        """Expect nothing until the next message."""
        self._fed_s = None

    def expired(self, now_s: float) -> bool:
        """Whether the last message is older than the limit, or from before the clock was set back."""
        return self._fed_s is not None and not 0 <= now_s - self._fed_s <= self.limit_s
