"""How success is measured: step limits, which episodes, and the interval of a success rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hilam_sim.errors import SimError
from hilam_sim.rollout import EpisodeSpec
from hilam_sim.tasks import MAX_STEPS, get_task, initial_states, list_tasks

__all__ = ["MAX_STEPS", "scattered_protocol", "stored_protocol", "wilson_interval"]

_SCATTERED_SEED = 1_000_000  # far from any seed of a demonstration's attempt number


def wilson_interval(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a success rate (z = 1.96: 95%).

    Raises:
        SimError: successes are not within 0..n.
    """
    if not 0 <= successes <= n:
        raise SimError(f"no interval for {successes} successes of {n} episodes")
    if n == 0:
        return 0.0, 1.0
    rate = successes / n
    centre = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    return max(0.0, low), min(1.0, high)


def stored_protocol(
    suite: str, tasks: Sequence[int | str] | None = None, episodes: int = 50, seed: int = 0
) -> list[EpisodeSpec]:
    """The first `episodes` stored states of every task, in order: comparable with the literature.

    The seed places fixtures, which are not in the stored states; LIBERO-Object has none.

    Raises:
        SimError: unknown suite or task, or more episodes than stored states.
    """
    chosen = list_tasks(suite) if tasks is None else [get_task(suite, task) for task in tasks]
    for task in chosen:
        if not 1 <= episodes <= len(initial_states(task)):
            raise SimError(f"{episodes} episodes of {task.name}: choose 1 to {len(initial_states(task))}")
    return [
        EpisodeSpec(suite, t.index, "stored", seed, init_state=i) for t in chosen for i in range(episodes)
    ]


def scattered_protocol(
    suite: str, tasks: Sequence[int | str] | None = None, episodes: int = 20, seed: int = 0
) -> list[EpisodeSpec]:
    """`episodes` scattered placements of every task: the measure of seeing.

    Raises:
        SimError: unknown suite or task, or no episodes.
    """
    if episodes < 1:
        raise SimError(f"{episodes} episodes: choose at least 1")
    chosen = list_tasks(suite) if tasks is None else [get_task(suite, task) for task in tasks]
    first = _SCATTERED_SEED + seed * 10_000
    return [
        EpisodeSpec(suite, task.index, "scattered", first + 1000 * task.index + episode)
        for task in chosen
        for episode in range(episodes)
    ]
