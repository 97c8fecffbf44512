"""Latency and rate statistics of a control loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np


def summarize_ms(durations_s: Iterable[float]) -> dict[str, float]:
    """Durations in seconds -> {count, p50, p99, max} in milliseconds; only {count: 0} without any."""
    values = np.asarray(list(durations_s), np.float64) * 1e3
    if not len(values):
        return {"count": 0}
    p50, p99, largest = (round(float(value), 3) for value in np.percentile(values, [50, 99, 100]))
    return {"count": len(values), "p50": p50, "p99": p99, "max": largest}


class StageStats:
    """Latency, rate and age of one stage over its last `window` outputs; memory stays bounded."""

    def __init__(self, window: int = 200):
        self.count = 0
        self._latencies_s: deque[float] = deque(maxlen=window)
        self._times_s: deque[float] = deque(maxlen=window)

    def add(self, latency_s: float, now_s: float) -> None:
        self.count += 1
        self._latencies_s.append(latency_s)
        self._times_s.append(now_s)

    def report(self, now_s: float) -> dict[str, float]:
        """{count, rate_hz, age_s, p50_ms, p99_ms, max_ms}; without outputs only the count."""
        if not self._times_s:
            return {"count": 0}
        span_s = self._times_s[-1] - self._times_s[0]
        latency = summarize_ms(self._latencies_s)
        return {
            "count": self.count,
            "rate_hz": round((len(self._times_s) - 1) / span_s, 2) if span_s > 0 else 0.0,
            "age_s": round(now_s - self._times_s[-1], 4),
            **{f"{name}_ms": latency[name] for name in ("p50", "p99", "max")},
        }
