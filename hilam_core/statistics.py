"""Intervals and tests that reports give beside their numbers."""

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


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided p-value of the exact McNemar (sign) test of two policies on the same episodes.

    only_first, only_second: episodes that only the one or only the other solved. Under the hypothesis that
    both are equally good each such episode is a fair coin.

    Raises:
        HilamError: a negative number of episodes.
    """
    if min(only_first, only_second) < 0:
        raise HilamError(f"no test for {only_first} and {only_second} episodes")
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)


def paired_difference_interval(
    only_first: int, only_second: int, n: int, z: float = 1.96
) -> tuple[float, float]:
    """Interval of the first success rate less the second, over the same `n` episodes (z = 1.96: 95%).

    The Wald interval for pairs with half an episode added to each of the four outcomes (Agresti and Min): it
    keeps its coverage for few episodes and rates near 0 or 1.

    Raises:
        HilamError: more episodes that only one solved than episodes.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > n:
        raise HilamError(f"no interval for {only_first} and {only_second} of {n} episodes")
    first, second, total = only_first + 0.5, only_second + 0.5, n + 2
    difference = (first - second) / total
    spread = z * math.sqrt((first + second) - (first - second) ** 2 / total) / total
    return max(-1.0, difference - spread), min(1.0, difference + spread)
