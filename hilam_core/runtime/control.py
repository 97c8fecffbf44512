"""The loop a robot runs: plan a skill now and then (pi^h), act every control step (pi^l).

One process and several follow the same PlanSchedule, so that both give the same actions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hilam_core.observation import Observation, ObservationError, RawObservation, preprocess
from hilam_core.policy.language import embed_instruction
from hilam_core.policy.model import Policy, load_policy
from hilam_core.runtime.schedule import PlanSchedule
from hilam_core.runtime.units import NonFiniteError


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

        Steps increase, but may be skipped: a chunk votes with what it said about this very step.
        """
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
        self.policy = policy
        self.device = policy.low.positions.device
        self.language: torch.Tensor | None = None

    def reset(self, instruction: str) -> None:
        """Begin an episode. A policy that reads no language takes any instruction."""
        reads = self.policy.reads_language
        vector = embed_instruction(instruction) if reads else np.zeros(0, np.float32)
        self.language = torch.from_numpy(vector)[None].to(self.device)

    def inputs(self, obs: Observation) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """An observation as a batch of one: images, proprioception, language."""
        if self.language is None:
            raise RuntimeError("reset(instruction) begins an episode, and comes first")
        size = self.policy.spec.image_size
        for name in self.policy.spec.cameras:
            if name not in obs.images or obs.images[name].shape != (size, size, 3):
                found = {camera: image.shape for camera, image in obs.images.items()}
                raise ObservationError(
                    f"the policy reads {name!r} [{size}, {size}, 3]; the observation has {found}"
                )
        images = {
            name: torch.tensor(obs.images[name], device=self.device)[None]
            for name in self.policy.spec.cameras
        }
        return (
            images,
            torch.from_numpy(np.asarray(obs.proprio, np.float32))[None].to(self.device),
            self.language,
        )


class SkillPlanner(_Conditioned):
    """pi^h on a robot."""

    def __init__(self, policy: Policy):
        super().__init__(policy)
        self.next_id = 0

    def reset(self, instruction: str) -> None:
        """Begin an episode; skills are numbered from 0 again."""
        super().reset(instruction)
        self.next_id = 0

    @torch.inference_mode()
    def plan(self, obs: Observation) -> Skill:
        """The skill to follow from this observation on.

        Raises:
            NonFiniteError: the network gave NaN or infinity.
        """
        vector, boundary = np.zeros(0, np.float32), 1.0
        if self.policy.high is not None:
            skill, probability = self.policy.plan(*self.inputs(obs))
            vector, boundary = skill[0].cpu().numpy().astype(np.float32), float(probability[0])
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
        self.aggregation.reset()

    @torch.inference_mode()
    def act(self, obs: Observation, skill: Skill, step: int) -> np.ndarray:
        """The action float32 [7] in [-1, 1] for the observation of a control step; steps increase.

        Raises:
            NonFiniteError: the network gave NaN or infinity.
        """
        dim = self.policy.skill_dim
        if np.shape(skill.vector) != (dim,):
            raise ObservationError(f"the policy reads skills of length {dim}, got {np.shape(skill.vector)}")
        vector = torch.from_numpy(np.asarray(skill.vector, np.float32))[None].to(self.device) if dim else None
        chunk = self.policy.act(*self.inputs(obs), vector)[0].cpu().numpy()
        if not np.isfinite(chunk).all():
            raise NonFiniteError("the action is not finite; the checkpoint or its input is damaged")
        return np.clip(self.aggregation(chunk, step), -1.0, 1.0).astype(np.float32)


class PolicyRunner:
    """A whole policy in one process: observation in, action out."""

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
        """The action float32 [7] for a raw observation (or LiberoEnv's dictionary)."""
        if not isinstance(raw, RawObservation):
            raw = RawObservation.from_env(raw)
        obs = preprocess(raw, self.policy.spec)
        if self.schedule.due(self.steps):
            self.skill = self.planner.plan(obs)
        assert self.skill is not None  # the first step of an episode is always due
        action = self.executor.act(obs, self.skill, self.steps)
        self.steps += 1
        return action


def load_runner(path: Path | str) -> PolicyRunner:
    """A policy ready to run, on one thread: what a simulation worker calls."""
    torch.set_num_threads(1)
    return PolicyRunner(load_policy(path))
