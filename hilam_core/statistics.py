"""Intervals and percentiles that reports give beside their numbers."""

from __future__ import annotations

import math

from hilam_core.errors import HilamError


def wilson_interval(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a success rate (z = 1.96: 95%); (0, 1) without trials.

    Raises:
        HilamError: successes are not within 0..n.
    """
    if not 0 <= successes <= n:
        raise HilamError(f"no interval for {successes} successes of {n} episodes")
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    centre = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    return max(0.0, low), min(1.0, high)
