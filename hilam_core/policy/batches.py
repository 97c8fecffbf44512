"""What policies are trained on: frames of demonstrations as they read them, with the labels of each stage.

Frames stay in their cache on the disk; a batch reads the images it needs, each shifted by a few pixels.
Axes: N all frames of all episodes, B batch, L chunk length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hilam_core.data import Clip, LatentStore, SkillStore
from hilam_core.errors import DataError
from hilam_core.observation import ObservationSpec, prepare_image
from hilam_core.policy.baku import Baku
from hilam_core.policy.language import LANGUAGE_MODEL, embed_instruction
from hilam_core.policy.model import Policy

# Random shift, per 128 pixels of image: enough to keep a network from learning pixels by heart.
SHIFT_PX = 4
Batch = dict[str, Any]


class PolicyFrames:
    """All frames of some clips as policies read them: images, proprioception [N, P], language [N, D]."""

    def __init__(
        self,
        episodes: Sequence[Clip],
        spec: ObservationSpec,
        proprio: bool = True,
        language: str | None = LANGUAGE_MODEL,
    ):
        """proprio: whether to give it, which needs demonstrations; language: whose embeddings, None: without.

        Raises:
            DataError: no clips, or one that lacks a camera or, where language is read, an instruction.
        """
        if not episodes:
            raise DataError("no demonstrations to train a policy on")
        for clip in episodes:
            clip.require_cameras(spec.cameras)
            if language and not clip.instruction.strip():
                raise DataError(
                    f"{clip.key} has no instruction: give it a caption in captions.jsonl beside it, "
                    "or pretrain with --no-language"
                )
        self.episodes: list[Any] = list(episodes)
        self.spec = spec
        lengths = np.array([len(episode) for episode in episodes])
        ends = lengths.cumsum()
        # [N] the first and the last frame of each frame's episode
        self.first = np.repeat(ends - lengths, lengths)
        self.last = np.repeat(ends - 1, lengths)
        self.episode_of = np.repeat(np.arange(len(episodes)), lengths)
        self.proprio, self.embeddings = None, None
        if proprio:
            self.proprio = np.concatenate([episode.proprio for episode in self.episodes])
        if language:
            instructions = sorted({episode.instruction for episode in episodes})
            self.embeddings = np.stack([embed_instruction(text, language) for text in instructions])
            self.language_of = np.array([instructions.index(episode.instruction) for episode in episodes])

    def __len__(self) -> int:
        return len(self.first)

    def waypoints(self) -> np.ndarray | None:
        """How far it is to where the gripper next starts to open or close, float32 [N, 3] m: hindsight, from
        the recorded robot state. None where pose and fingers were not recorded."""
        if not all(episode.has_gripper for episode in self.episodes):
            return None
        states = [episode.states for episode in self.episodes]
        return np.concatenate([_next_gripper_event(s["ee_pos"], s["gripper_qpos"]) for s in states])

    def chunks(
        self, values: np.ndarray, rows: np.ndarray, length: int, last: np.ndarray
    ) -> dict[str, Tensor]:
        """`low_target` [B, L, A], the `values` [N, A] from `rows` on, and `low_mask` [B, L], which of them
        are real: none after `last` [N], the last labelled frame of each frame's episode."""
        wanted, last_BL = rows[:, None] + np.arange(length), last[rows][:, None]
        target = values[np.minimum(wanted, last_BL)]
        return {"low_target": torch.from_numpy(target), "low_mask": torch.from_numpy(wanted <= last_BL)}

    def images(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> dict[str, Tensor]:
        """uint8 [B, S, S, 3] per camera; with a generator, randomly shifted (edges repeat)."""
        size = self.spec.image_size
        reach = round(SHIFT_PX * size / 128)
        images = {}
        for camera in self.spec.cameras:
            batch = np.empty((len(rows), size, size, 3), np.uint8)
            shifts = rng.integers(-reach, reach + 1, (len(rows), 2)) if rng else np.zeros((len(rows), 2), int)
            for out, row, (dy, dx) in zip(batch, rows, shifts, strict=True):
                frame = self.episodes[self.episode_of[row]].frames[camera][row - self.first[row]]
                shift_into(out, prepare_image(frame, size), dy, dx)
            images[camera] = torch.from_numpy(batch)
        return images

    def inputs(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """A batch of observations: images, proprio, language; None for what is not given."""
        batch: Batch = {"images": self.images(rows, rng), "proprio": None, "language": None}
        if self.proprio is not None:
            batch["proprio"] = torch.from_numpy(self.proprio[rows])
        if self.embeddings is not None:
            batch["language"] = torch.from_numpy(self.embeddings[self.language_of[self.episode_of[rows]]])
        return batch


def shift_into(out: np.ndarray, image: np.ndarray, dy: int, dx: int) -> None:
    """Write `image` moved down by dy and right by dx pixels into `out`; edge pixels fill what opens up."""
    height, width = image.shape[:2]
    top, bottom = max(dy, 0), height + min(dy, 0)
    left, right = max(dx, 0), width + min(dx, 0)
    out[top:bottom, left:right] = image[top - dy : bottom - dy, left - dx : right - dx]
    out[top:bottom, :left] = out[top:bottom, left : left + 1]
    out[top:bottom, right:] = out[top:bottom, right - 1 : right]
    out[:top] = out[top]
    out[bottom:] = out[bottom - 1]


def _next_gripper_event(
    ee_pos: np.ndarray, gripper_qpos: np.ndarray, threshold_m: float = 0.002
) -> np.ndarray:
    # 2 mm a step: fingers that move change the opening by 10, as their full travel takes 8 steps.
    opening = gripper_qpos[:, 0] - gripper_qpos[:, 1]
    moving = np.abs(np.diff(opening, append=opening[-1])) > threshold_m
    starts = np.flatnonzero(moving & ~np.concatenate([[False], moving[:-1]]))
    events = np.append(starts, len(ee_pos) - 1)
    next_event = events[np.searchsorted(events, np.arange(len(ee_pos)))]
    return (ee_pos[next_event] - ee_pos).astype(np.float32)


class Pseudolabels:
    """Batches for both levels from the same frames: those that have a latent action of their own, which the
    last k of an episode have not. Robot states and actions take no part."""

    def __init__(
        self,
        frames: PolicyFrames,
        latents: LatentStore,
        chunk: int,
        skills: SkillStore | None = None,
        stage: int = 0,
        latent_stage: int = 0,
    ):
        """skills: read by a hierarchy, of `stage` (0: a flat policy), and for a `latent_stage` beyond 0,
        whose segment vectors then take the place of z^l = zbar^0."""
        keys = [episode.key for episode in frames.episodes]
        self.frames, self.chunk = frames, chunk
        valid = np.array([int(latents[key]["valid"]) for key in keys])[frames.episode_of]
        self.last = frames.first + valid - 1
        self.rows = np.flatnonzero(np.arange(len(frames)) <= self.last)
        actions = [self._latent_actions(latents, skills, latent_stage, key) for key in keys]
        self.z_low = np.concatenate(actions)
        self.z_high = np.zeros((len(frames), 0), np.float32)
        self.boundary = np.zeros(len(frames), np.float32)
        if skills is not None and stage:
            self.z_high = np.concatenate([skills[key][f"z{stage}"] for key in keys])
            self.boundary = np.concatenate([skills[key][f"b{stage}"] for key in keys]).astype(np.float32)

    @staticmethod
    def _latent_actions(latents: LatentStore, skills: SkillStore | None, stage: int, key: str) -> np.ndarray:
        if stage == 0:
            return latents[key]["z"]
        assert skills is not None, "segment vectors are stored with skills"
        return skills[key][f"z{stage}"]

    def batch(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """Observations with `high_target`, `high_boundary`, `low_target`, their masks, and `skill`."""
        skill = torch.from_numpy(self.z_high[rows])
        return {
            **self.frames.inputs(rows, rng),
            "skill": skill,
            "high_target": skill[:, None],
            "high_mask": torch.ones(len(rows), 1, dtype=torch.bool),
            "high_boundary": torch.from_numpy(self.boundary[rows]),
            **self.frames.chunks(self.z_low, rows, self.chunk, self.last),
        }


class ActionLabels:
    """Batches of observations, the skill in force, and the actions that follow."""

    def __init__(
        self,
        frames: PolicyFrames,
        chunk: int,
        plan_period: int,
        skills: np.ndarray | None,
        plans: bool = False,
    ):
        """skills: a frozen pi^h's for every frame (`predict_skills`), None for a flat policy or where pi^h
        learns; plans: that batches hold the observation to plan from."""
        self.frames, self.chunk, self.plan_period, self.skills = frames, chunk, plan_period, skills
        self.plans = plans
        self.rows = np.arange(len(frames))
        self.actions = np.concatenate([episode.actions for episode in frames.episodes])
        self.waypoint = frames.waypoints()

    def batch(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Batch:
        """Observations with `low_target`, its mask, `waypoint`, and `skill` planned up to one period ago, or
        the observation `planned` to plan it from."""
        batch = {
            **self.frames.inputs(rows, rng),
            **self.frames.chunks(self.actions, rows, self.chunk, self.frames.last),
            "skill": None,
        }
        if self.waypoint is not None:
            batch["waypoint"] = torch.from_numpy(self.waypoint[rows])
        age = rng.integers(0, self.plan_period, len(rows)) if rng else np.zeros_like(rows)
        planned = np.maximum(rows - age, self.frames.first[rows])
        if self.skills is not None:
            batch["skill"] = torch.from_numpy(self.skills[planned])
        elif self.plans:
            batch["planned"] = self.frames.inputs(planned, rng)
        return batch


def statistics(values: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per column (never below 1% of the largest), to normalise with."""
    std = values.std(0)
    return torch.from_numpy(values.mean(0)), torch.from_numpy(np.maximum(std, max(1e-6, 0.01 * std.max())))


def set_input_statistics(level: Baku, frames: PolicyFrames) -> None:
    """Normalise what a level reads by the data it will train on."""
    if level.config.proprio_dim and frames.proprio is not None:
        mean, std = statistics(frames.proprio)
        level.proprio_mean.copy_(mean)
        level.proprio_std.copy_(std)
    if level.config.language_dim and frames.embeddings is not None:
        # Similar sentences have similar embeddings: what differs between them matters.
        level.language_mean.copy_(torch.from_numpy(frames.embeddings.mean(0)))
        level.language_std.fill_(max(0.01, float(frames.embeddings.std(0).mean())))


def set_target_statistics(level: Baku, targets: np.ndarray) -> None:
    """Normalise what a level predicts by its targets [N, A]."""
    mean, std = statistics(targets)
    level.output_mean.copy_(mean)
    level.output_std.copy_(std)


def set_action_units(policy: Policy, actions: np.ndarray) -> None:
    """Learn actions [N, A] that lie in [-1, 1], as LIBERO's, as they are, and others normalised."""
    unit = float(np.abs(actions).max()) <= 1.001  # float32 may round what was within
    policy.set_unit_actions(unit)
    if not unit:
        set_target_statistics(policy.low, actions)
