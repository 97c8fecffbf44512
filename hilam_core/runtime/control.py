"""The loop a robot runs: plan a skill once in a plan period (pi^h), act every control step (pi^l).

A policy in one process and one divided over nodes follow the same PlanSchedule and give the same actions. A
robot runs one episode; an evaluation runs many side by side, and the networks read their observations in
batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hilam_core.observation import Observation, ObservationError, RawObservation, preprocess
from hilam_core.policy.model import Policy
from hilam_core.runtime.schedule import PlanSchedule
from hilam_core.runtime.units import NonFiniteError, require_finite


@dataclass(frozen=True)
class Skill:
    """A latent skill z^h: float32 [D] (empty for a flat policy), its number in the episode, P(a new segment
    begins here)."""

    vector: np.ndarray
    id: int
    boundary_probability: float


class TemporalAggregation:
    """Exponential average of what the overlapping action chunks say about this step."""

    def __init__(self, chunk: int, decay: float):
        self.weights = np.exp(-decay * np.arange(chunk))
        self.chunks: deque[tuple[int, np.ndarray]] = deque(maxlen=chunk)

    def reset(self) -> None:
        """Begin an episode: forget every chunk."""
        self.chunks.clear()

    def __call__(self, chunk: np.ndarray, step: int) -> np.ndarray:
        """Add the chunk [L, A] predicted at a control step; returns the step's action [A].

        Steps may be skipped: a chunk votes with what it said about this very step. A step that is not after
        the last one begins anew.
        """
        if self.chunks and step <= self.chunks[-1][0]:
            self.chunks.clear()
        self.chunks.append((step, np.asarray(chunk)))
        while step - self.chunks[0][0] >= len(self.weights):
            self.chunks.popleft()
        ages = np.array([step - past for past, _ in reversed(self.chunks)])
        votes = np.stack([past[age] for age, (_, past) in zip(ages, reversed(self.chunks), strict=True)])
        weights = self.weights[ages]
        return (weights[:, None] * votes).sum(0) / weights.sum()


class _Conditioned:
    """A policy level told which instruction to follow."""

    def __init__(self, policy: Policy):
        policy.require_language()
        self.policy = policy
        self.device = policy.low.positions.device
        self.language: torch.Tensor | None = None

    def reset(self, instruction: str) -> None:
        """Begin an episode. A policy that reads no language takes any instruction."""
        self.language = torch.from_numpy(self.policy.embed(instruction))[None].to(self.device)

    def reset_without_instruction(self) -> None:
        """Follow none, to try the network before there is one."""
        self.language = torch.zeros(1, self.policy.language_dim, device=self.device)

    def check(self, obs: Observation) -> None:
        """Refuse what the policy cannot read."""
        if self.language is None:
            raise RuntimeError("reset(instruction) begins an episode, and comes first")
        size = self.policy.spec.image_size
        for name in self.policy.spec.cameras:
            if name not in obs.images or obs.images[name].shape != (size, size, 3):
                found = {camera: image.shape for camera, image in obs.images.items()}
                raise ObservationError(
                    f"the policy reads {name!r} [{size}, {size}, 3]; the observation has {found}"
                )
        dim, proprio = self.policy.spec.proprio_dim, np.asarray(obs.proprio)
        if proprio.shape != (dim,) or not np.isfinite(proprio).all():
            raise ObservationError(f"proprio must be {dim} finite numbers, got {proprio.tolist()}")


def _stack(
    levels: Sequence[_Conditioned], observations: Sequence[Observation], rows: int
) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Observations of one policy's episodes as a batch of `rows`, the last one repeated: images,
    proprioception, language."""
    for level, obs in zip(levels, observations, strict=True):
        level.check(obs)
    at = [min(row, len(levels) - 1) for row in range(rows)]
    device = levels[0].device
    images = {
        name: torch.from_numpy(np.stack([observations[i].images[name] for i in at])).to(device)
        for name in levels[0].policy.spec.cameras
    }
    proprio = np.stack([np.asarray(observations[i].proprio, np.float32) for i in at])
    languages = [level.language for level in levels if level.language is not None]
    return images, torch.from_numpy(proprio).to(device), torch.cat([languages[i] for i in at])


class SkillPlanner(_Conditioned):
    """pi^h on a robot."""

    def __init__(self, policy: Policy):
        super().__init__(policy)
        self.next_id = 0

    def reset(self, instruction: str) -> None:
        """Begin an episode; skills are numbered from 0 again."""
        super().reset(instruction)
        self.next_id = 0

    def warm_up(self, obs: Observation) -> None:
        """Run the network once: the first time takes longer, and a damaged one shows.

        Raises:
            NonFiniteError: the network gave NaN or infinity.
        """
        self.reset_without_instruction()
        self.plan(obs)
        self.next_id, self.language = 0, None

    def plan(self, obs: Observation) -> Skill:
        """The skill to follow from this observation on.

        Raises:
            NonFiniteError: the network gave NaN or infinity.
        """
        return plan_together([self], [obs])[0]

    def number(self, vector: np.ndarray, boundary: float) -> Skill:
        """The episode's next skill, from what the network gave."""
        if not (np.isfinite(vector).all() and np.isfinite(boundary)):
            raise NonFiniteError(
                f"skill {self.next_id} is not finite; the checkpoint or its input is damaged"
            )
        self.next_id += 1
        return Skill(vector, self.next_id - 1, boundary)


class ActionExecutor(_Conditioned):
    """pi^l on a robot: one action a control step, averaged over overlapping chunks."""

    def __init__(self, policy: Policy):
        super().__init__(policy)
        config = policy.config
        self.aggregation = TemporalAggregation(config.low.chunk, config.aggregation_decay)

    def reset(self, instruction: str) -> None:
        """Begin an episode; earlier chunks are forgotten."""
        super().reset(instruction)
        self.forget()

    def forget(self) -> None:
        """Drop earlier chunks: the arm was held, and does not stand where they expected it."""
        self.aggregation.reset()

    def warm_up(self, obs: Observation) -> None:
        """Run the network once, as `SkillPlanner.warm_up`."""
        self.reset_without_instruction()
        self.act(obs, Skill(np.zeros(self.policy.skill_dim, np.float32), 0, 0.0), step=0)
        self.forget()
        self.language = None

    def act(self, obs: Observation, skill: Skill, step: int) -> np.ndarray:
        """The action float32 [A] for the observation of a control step; steps increase. It is in the units of
        the data: LIBERO's in [-1, 1].

        Raises:
            NonFiniteError: the network gave NaN or infinity.
        """
        return act_together([self], [obs], [skill], [step])[0]

    def average(self, chunk: np.ndarray, step: int) -> np.ndarray:
        """The action of a step, from the chunk [L, A] that the network gave and earlier ones."""
        if not np.isfinite(chunk).all():
            raise NonFiniteError("the action is not finite; the checkpoint or its input is damaged")
        action = self.aggregation(chunk, step).astype(np.float32)
        return action.clip(-1.0, 1.0) if self.policy.config.unit_actions else action


@torch.inference_mode()
def plan_together(
    planners: Sequence[SkillPlanner], observations: Sequence[Observation], rows: int = 1
) -> list[Skill]:
    """`plan` for up to `rows` episodes of one policy, in one pass through the network."""
    policy = planners[0].policy
    if policy.high is None:
        return [planner.number(np.zeros(0, np.float32), 1.0) for planner in planners]
    skills, probabilities = policy.plan(*_stack(planners, observations, rows))
    outputs = zip(planners, skills.cpu().numpy().astype(np.float32), probabilities.tolist(), strict=False)
    return [planner.number(vector, probability) for planner, vector, probability in outputs]


@torch.inference_mode()
def act_together(
    executors: Sequence[ActionExecutor],
    observations: Sequence[Observation],
    skills: Sequence[Skill],
    steps: Sequence[int],
    rows: int = 1,
) -> list[np.ndarray]:
    """`act` for up to `rows` episodes of one policy, in one pass through the network."""
    policy, dim = executors[0].policy, executors[0].policy.skill_dim
    for skill in skills:
        if np.shape(skill.vector) != (dim,):
            raise ObservationError(f"the policy reads skills of length {dim}, got {np.shape(skill.vector)}")
        require_finite(skill.vector, f"skill {skill.id}")
    images, proprio, language = _stack(executors, observations, rows)
    vectors = np.zeros((rows, dim), np.float32)
    vectors[: len(skills)] = [skill.vector for skill in skills]
    skill_rows = torch.from_numpy(vectors).to(proprio.device) if dim else None
    chunks = policy.act(images, proprio, language, skill_rows).cpu().numpy()
    outputs = zip(executors, chunks, steps, strict=False)
    return [executor.average(chunk, step) for executor, chunk, step in outputs]


class PolicyRunner:
    """A whole policy in one process, for one episode: observation in, action out."""

    def __init__(self, policy: Policy):
        self.policy = policy
        self.planner, self.executor = SkillPlanner(policy), ActionExecutor(policy)
        self.schedule = PlanSchedule(policy.plan_period)
        self.steps = 0
        self.skill: Skill | None = None

    def reset(self, instruction: str) -> None:
        """Begin an episode."""
        self.planner.reset(instruction)
        self.executor.reset(instruction)
        self.schedule.reset()
        self.steps, self.skill = 0, None

    def act(self, raw: RawObservation | Mapping[str, Any]) -> np.ndarray:
        """The action float32 [A] for a raw observation (or LiberoEnv's dictionary)."""
        return _step([self], [raw], batch=1)[0]


def _step(
    runners: Sequence[PolicyRunner], raws: Sequence[RawObservation | Mapping[str, Any]], batch: int
) -> list[np.ndarray]:
    """One control step of each of several episodes of one policy; `batch` as of BatchRunner."""
    spec = runners[0].policy.spec
    seen = [
        preprocess(raw if isinstance(raw, RawObservation) else RawObservation.from_env(raw), spec)
        for raw in raws
    ]
    episodes = list(zip(runners, seen, strict=True))
    due = [(runner, obs) for runner, obs in episodes if runner.schedule.due(runner.steps)]
    # As many as are due on average: episodes begin at different times, and fuller batches would be padding.
    rows = max(1, batch // runners[0].policy.plan_period)
    for part in _parts(due, rows):
        skills = plan_together([runner.planner for runner, _ in part], [obs for _, obs in part], rows)
        for (runner, _), skill in zip(part, skills, strict=True):
            runner.skill = skill
    actions: list[np.ndarray] = []
    for part in _parts(episodes, batch):
        executors = [runner.executor for runner, _ in part]
        # The first step of an episode is always due, so that each has a skill.
        skills = [runner.skill for runner, _ in part if runner.skill is not None]
        steps = [runner.steps for runner, _ in part]
        actions += act_together(executors, [obs for _, obs in part], skills, steps, batch)
    for runner in runners:
        runner.steps += 1
    return actions


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


class BatchRunner:
    """One policy for many episodes side by side, each in a slot of its own.

    The networks always read `batch` rows at once, the last one repeated where fewer episodes ask: in batches
    of one shape a row's result is independent of the other rows, so that an episode's actions are the same
    whatever runs beside it. Another `batch` changes the last bits.
    """

    def __init__(self, policy: Policy, batch: int = 1):
        policy.require_language()  # before simulations start, not in the first episode
        self.policy, self.batch = policy, batch
        self._runners: dict[int, PolicyRunner] = {}

    def reset(self, slot: int, instruction: str) -> None:
        """Begin an episode in a slot; what the slot held is forgotten."""
        self._runners.setdefault(slot, PolicyRunner(self.policy)).reset(instruction)

    def act(self, raws: Mapping[int, RawObservation | Mapping[str, Any]]) -> dict[int, np.ndarray]:
        """The actions float32 [A] for raw observations (or LiberoEnv's dictionaries), both by slot."""
        actions = _step([self._runners[slot] for slot in raws], list(raws.values()), self.batch)
        return dict(zip(raws, actions, strict=True))
