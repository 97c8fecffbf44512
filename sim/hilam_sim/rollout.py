"""Episodes of one policy in many simulations: workers simulate and render, this process acts for all of them.

What an episode becomes does not depend on the number of workers, as long as an action depends on nothing but
the observations of its own episode.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hilam_core.conventions import CAMERAS, CONTROL_HZ
from hilam_core.video import write_video
from hilam_sim.env import LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.placements import STORED
from hilam_sim.workers import WorkerPool


class Policy(Protocol):
    """What a rollout drives: one policy for episodes side by side, each in a slot (0, 1, ...) of its own."""

    batch: int
    """Observations to read at once. A rollout waits for that many, unless fewer episodes are under way."""

    def reset(self, slot: int, instruction: str) -> None:
        """Begin an episode in a slot; what the slot held is forgotten."""

    def act(self, observations: Mapping[int, dict[str, np.ndarray]]) -> Mapping[int, np.ndarray]:
        """Actions [7] for observations of `LiberoEnv`, both by slot."""


@dataclass(frozen=True)
class EpisodeSpec:
    """One episode: which task, where its objects start, what the policy is told (None: the task's own
    instruction), and of which task of the scene the stored state is (None: the task's own)."""

    suite: str
    task: int | str
    placement: str = "stored"
    seed: int = 0
    init_state: int = 0
    max_steps: int | None = None
    instruction: str | None = None
    states_of: int | str | None = None


@dataclass(frozen=True)
class EpisodeResult:
    """What came of an episode.

    Attributes:
        spec: The episode.
        success: The goal held at some step.
        steps: Steps until success or the limit.
        progress: The largest share of the goal's conditions that held at once; None where it is not known.
        seconds: Wall time of the episode, without building the environment.
        video: The file of its video, where one was asked for.
    """

    spec: EpisodeSpec
    success: bool
    steps: int
    progress: float | None = None
    seconds: float = 0.0
    video: Path | None = None


class OneEnvironment:
    """The environments of a worker, one at a time: built with `options` when another task is asked for."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._env: LiberoEnv | None = None
        self._asked: tuple[Any, ...] = ()

    def __call__(self, suite: str, task: int | str, max_steps: int | None = None) -> LiberoEnv:
        """The environment of a task, the one there is where it was asked for last."""
        asked = (suite, task, max_steps)
        if self._env is None or asked != self._asked:
            self.close()
            self._env, self._asked = LiberoEnv(suite, task, max_steps=max_steps, **self._options), asked
        return self._env

    def close(self) -> None:
        """Free the environment there is."""
        if self._env is not None:
            self._env.close()
            self._env = None


Question = tuple[str | None, dict[str, np.ndarray]]


class _Runner:
    """In a worker: one environment at a time. Yields (the instruction, or None after the first step; the
    observation) and receives the action."""

    def __init__(self, video_dir: Path | None, options: dict[str, Any]) -> None:
        self._environment = OneEnvironment(**options)
        self._video_dir = video_dir

    def __call__(self, spec: EpisodeSpec) -> Generator[Question, np.ndarray, EpisodeResult]:
        env = self._environment(spec.suite, spec.task, spec.max_steps)
        start = time.perf_counter()
        options = {name: getattr(spec, name) for name in ("placement", "init_state", "states_of")}
        observation, info = env.reset(seed=spec.seed, options=options)
        instruction: str | None = spec.instruction or env.instruction
        frames = [_frame(observation)] if self._video_dir else []
        ended, progress = False, info["progress"]
        while not ended:
            action = yield instruction, observation
            instruction = None
            observation, _, terminated, truncated, info = env.step(action)
            ended, progress = terminated or truncated, max(progress, info["progress"])
            if self._video_dir:
                frames.append(_frame(observation))
        video = None
        if self._video_dir:
            number = spec.init_state if spec.placement in STORED else spec.seed
            name = (
                f"{env.task.name}_{spec.placement}_{number}_{'success' if info['success'] else 'failure'}.mp4"
            )
            video = self._video_dir / name
            write_video(video, frames, CONTROL_HZ)
        seconds = time.perf_counter() - start
        return EpisodeResult(spec, info["success"], info["steps"], progress, seconds, video)


def _frame(observation: dict[str, np.ndarray]) -> np.ndarray:
    """All cameras side by side, uint8 [H, n W, 3]."""
    return np.concatenate([observation[camera] for camera in CAMERAS], axis=1)


def run_episodes(
    specs: Sequence[EpisodeSpec],
    policy: Policy,
    workers: int = 1,
    image_size: int = 128,
    assets: str = "auto",
    render: bool = True,
    on_result: Callable[[EpisodeResult], None] | None = None,
    video_dir: Path | None = None,
    quality: str = "auto",
    exact: bool = False,
    worker_memory_mb: float = 4000.0,
) -> list[EpisodeResult]:
    """Run episodes in spawned workers; results come in the order of `specs`.

    An episode whose worker dies is run again in a new one. Memory is that of one environment a worker, and of
    one policy.

    Args:
        specs: The episodes.
        policy: Called in this process alone; its slots are 0 to workers - 1.
        workers: Worker processes; the calling script needs the usual `if __name__ == "__main__"`.
        image_size: Pixels of both sides of the images.
        assets: "auto", "builtin" or "official".
        render: Without, observations have no images.
        on_result: Called in this process as episodes end, in order of completion.
        video_dir: Folder for an mp4 of each episode, all cameras side by side.
        quality: "auto", "fast" or "stock", as of `LiberoEnv`.
        exact: Step as stock LIBERO to the last bit, as of `LiberoEnv`.
        worker_memory_mb: A worker that holds more after an episode is replaced by a new one. The official
            assets take up to 1.7 GB.

    Raises:
        SimError: unknown names, an action that is not finite or has the wrong shape.
        WorkerError: an episode killed its worker three times.
        What the policy raises comes through.
    """
    if video_dir is not None and (not render or image_size % 2):
        raise SimError(f"video_dir needs render=True and an even image_size, not {render} and {image_size}")
    if not specs:
        return []

    def answer(questions: dict[int, Question]) -> Mapping[int, np.ndarray]:
        for slot, (instruction, _) in questions.items():
            if instruction is not None:
                policy.reset(slot, instruction)
        return policy.act({slot: observation for slot, (_, observation) in questions.items()})

    results: dict[int, EpisodeResult] = {}
    drawing = {"image_size": image_size, "assets": assets, "render": render, "quality": quality}
    pool = WorkerPool(
        min(workers, len(specs)),
        _Runner,
        (video_dir, {**drawing, "exact": exact}),
        worker_memory_mb,
        answer=answer,
        gather=policy.batch,
    )
    with pool:
        for index, spec in enumerate(specs):
            pool.submit(index, spec, group=(spec.suite, spec.task))
        while len(results) < len(specs):
            index, result = pool.collect()
            results[index] = result
            if on_result is not None:
                on_result(result)
    return [results[index] for index in range(len(specs))]
