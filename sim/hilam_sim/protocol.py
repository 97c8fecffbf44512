"""The episodes over which success is measured: stored states, or scattered placements."""

from __future__ import annotations

from collections.abc import Sequence

from hilam_sim.errors import SimError
from hilam_sim.rollout import EpisodeSpec
from hilam_sim.tasks import get_task, initial_states, list_tasks

_SCATTERED_SEED = 1_000_000  # far from any seed of a demonstration's attempt number


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
    """`episodes` scattered placements of every task: memorised positions do not solve them.

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
