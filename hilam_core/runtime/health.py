"""The health of a node: the state of its inputs, and its status in one line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from hilam_core.runtime.stamps import stamp_problem

READY = "ready"
OK, WARN, ERROR = "ok", "warn", "error"
# Ten control periods at 20 Hz: a hiccup passes, a camera that stopped is named before anyone wonders.
SILENT_S = 0.5
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


class InputHealth:
    """One input: when it came last, how often it comes, whether its stamps are of this clock."""

    def __init__(self, name: str, window: int = 40):
        self.name = name
        self._arrivals_s: deque[float] = deque(maxlen=window)
        self._problem = ""

    def arrived(self, now_ns: int, stamp_ns: int | None = None) -> None:
        """A message came, stamped with `stamp_ns` where its kind has a stamp."""
        now_s = now_ns * 1e-9
        if self._arrivals_s and now_s < self._arrivals_s[-1]:
            self._arrivals_s.clear()  # the clock was set back
        self._arrivals_s.append(now_s)
        # Half a second is beyond any camera's or network's delay: another clock, or an input that lags.
        self._problem = "" if stamp_ns is None else stamp_problem(stamp_ns, now_ns, max_age_s=SILENT_S)

    def slow(self, wanted_hz: float) -> str:
        """What is wrong with the rate of a full window; empty: nothing."""
        rate_hz = self.rate_hz()
        if len(self._arrivals_s) < (self._arrivals_s.maxlen or 0) or rate_hz > 0.75 * wanted_hz:
            return ""
        return f"{self.name} comes at {rate_hz:.1f} Hz, wanted are {wanted_hz:g} Hz"

    def age_s(self, now_ns: int) -> float | None:
        """Seconds since the last message; None where none has come."""
        return max(0.0, now_ns * 1e-9 - self._arrivals_s[-1]) if self._arrivals_s else None

    def problem(self, now_ns: int) -> str:
        """What is wrong with this input while it should flow; empty: nothing."""
        age_s = self.age_s(now_ns)
        if age_s is None:
            return f"no {self.name} came yet"
        if age_s > SILENT_S:
            return f"no {self.name} for {age_s:.1f} s"
        return f"{self.name} {self._problem}" if self._problem else ""

    def rate_hz(self) -> float:
        """Messages a second over the window; 0 before the second one."""
        span_s = self._arrivals_s[-1] - self._arrivals_s[0] if self._arrivals_s else 0.0
        return (len(self._arrivals_s) - 1) / span_s if span_s > 0 else 0.0

    def report(self, now_ns: int) -> str:
        """Rate and age in a few words."""
        age_s = self.age_s(now_ns)
        if age_s is None:
            return "nothing came yet"
        return f"{self.rate_hz():.1f} Hz, the last {age_s:.2f} s ago"


def lossy_images(image_bytes: int, limit_path: Path = RMEM_MAX) -> str:
    """Why images of this size may be lost on their way between processes; empty: they should not be."""
    try:
        limit = int(limit_path.read_text())
    except (OSError, ValueError):
        return ""  # not Linux
    wanted = 8_000_000  # an uncompressed 1080p image, and a third more
    if image_bytes < 1_000_000 or limit >= min(wanted, image_bytes):
        return ""
    return (
        f"images of {image_bytes / 1e6:.1f} MB may be lost: the kernel's receive buffers end at "
        f"{limit / 1e6:.1f} MB; sudo sysctl -w net.core.rmem_max={wanted}, see docs/deployment.md"
    )


def judge(problem: str, lacking: Sequence[str], flow: Iterable[str]) -> tuple[str, str]:
    """(level, message) of a node: `ready` only where nothing is wrong, nothing lacks and data flows.

    problem: what the node found wrong itself; lacking: what it needs before it can begin; flow: what is wrong
    with the data that should flow, empty texts for nothing.
    """
    if problem:
        return ERROR, problem
    if lacking:
        return WARN, f"waiting for {', '.join(lacking)}"
    found = next(filter(None, flow), "")
    return (WARN, found) if found else (OK, READY)
