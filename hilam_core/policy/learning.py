"""What policy training reads from demonstrations, and its losses.

Frames stay in their memory-mapped caches; a batch copies out the images it needs, each shifted by a few
pixels. Axes: N all frames of all episodes, B batch, L chunk length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hilam_core.data import Episode
from hilam_core.errors import DataError
from hilam_core.observation import ObservationSpec, prepare_image, proprioception
from hilam_core.policy.baku import Baku, BakuOutput
from hilam_core.policy.instructions import embed_instruction
from hilam_core.policy.policy import Policy

SHIFT_PX = 4  # random shift, per 128 pixels of image
WAYPOINT_SCALE_M = 0.1
Batch = dict[str, Any]


class PolicyFrames:
    """All frames of some episodes as policies read them: images, proprioception [N, 8], language [N, D]."""

    def __init__(self, episodes: Sequence[Episode], spec: ObservationSpec):
        if not episodes:
            raise DataError("no demonstrations to train a policy on")
        self.episodes, self.spec = list(episodes), spec
        lengths = np.array([len(episode) for episode in episodes])
        ends = lengths.cumsum()
        # [N] the first and the last frame of each frame's episode
        self.first = np.repeat(ends - lengths, lengths)
        self.last = np.repeat(ends - 1, lengths)
        self.episode_of = np.repeat(np.arange(len(episodes)), lengths)
        self.proprio = np.concatenate([proprioception(e.ee_pos, e.ee_quat, e.gripper_qpos) for e in episodes])
        instructions = sorted({episode.instruction for episode in episodes})
        self.embeddings = np.stack([embed_instruction(text) for text in instructions])
        self.language_of = np.array([instructions.index(episode.instruction) for episode in episodes])

    def __len__(self) -> int:
        return len(self.first)

    def waypoints(self) -> np.ndarray:
        """How far it is to where the gripper next starts to open or close, float32 [N, 3] m: hindsight, from
        proprioception alone."""
        return np.concatenate([_next_gripper_event(e.ee_pos, e.gripper_qpos) for e in self.episodes])

    def chunk_rows(self, rows: np.ndarray, length: int) -> np.ndarray:
        """Frame numbers [B, L] of the chunks that start at `rows`; the last frame of an episode repeats."""
        return np.minimum(rows[:, None] + np.arange(length), self.last[rows][:, None])

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
        """A batch of observations: images, proprio, language."""
        language = self.embeddings[self.language_of[self.episode_of[rows]]]
        return {
            "images": self.images(rows, rng),
            "proprio": torch.from_numpy(self.proprio[rows]),
            "language": torch.from_numpy(language),
        }


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
    opening = gripper_qpos[:, 0] - gripper_qpos[:, 1]
    moving = np.abs(np.diff(opening, append=opening[-1])) > threshold_m
    starts = np.flatnonzero(moving & ~np.concatenate([[False], moving[:-1]]))
    events = np.append(starts, len(ee_pos) - 1)
    next_event = events[np.searchsorted(events, np.arange(len(ee_pos)))]
    return (ee_pos[next_event] - ee_pos).astype(np.float32)


def statistics(values: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per column (never below 1% of the largest), to normalise with."""
    std = values.std(0)
    return torch.from_numpy(values.mean(0)), torch.from_numpy(np.maximum(std, max(1e-6, 0.01 * std.max())))


def set_input_statistics(level: Baku, frames: PolicyFrames) -> None:
    """Normalise what a level reads by the data it will train on."""
    if level.config.proprio_dim:
        mean, std = statistics(frames.proprio)
        level.proprio_mean.copy_(mean)
        level.proprio_std.copy_(std)
    if level.config.language_dim:
        # Similar sentences have similar embeddings: what differs between them matters.
        level.language_mean.copy_(torch.from_numpy(frames.embeddings.mean(0)))
        level.language_std.fill_(max(0.01, float(frames.embeddings.std(0).mean())))


def set_target_statistics(level: Baku, targets: np.ndarray) -> None:
    """Normalise what a level predicts by its targets [N, A]."""
    mean, std = statistics(targets)
    level.output_mean.copy_(mean)
    level.output_std.copy_(std)


def run_level(level: Baku, batch: Batch, skill: Tensor | None = None) -> BakuOutput:
    """One level on a batch of `PolicyFrames.inputs`."""
    language = batch["language"] if level.config.language_dim else None
    return level(batch["images"], batch["proprio"], language, skill)


def level_loss(
    level: Baku, output: BakuOutput, batch: Batch, prefix: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """L1 of the chunk in normalised units, plus the auxiliary heads where there are any.

    Reads `<prefix>target` [B, L, A] and, where configured, `<prefix>boundary` [B] and `waypoint` [B, 3].
    """
    target = (batch[f"{prefix}target"] - level.output_mean) / level.output_std
    terms = {f"{prefix}l1": F.l1_loss(output.chunk, target)}
    loss = terms[f"{prefix}l1"]
    if output.boundary_logit is not None:
        boundary = F.binary_cross_entropy_with_logits(output.boundary_logit, batch[f"{prefix}boundary"])
        loss, terms[f"{prefix}boundary"] = loss + 0.1 * boundary, boundary
    if output.waypoint is not None:
        waypoint = F.l1_loss(output.waypoint, batch["waypoint"] / WAYPOINT_SCALE_M)
        loss, terms[f"{prefix}waypoint_m"] = loss + waypoint, waypoint.detach() * WAYPOINT_SCALE_M
    return loss, terms


@torch.no_grad()
def predict_skills(policy: Policy, frames: PolicyFrames, batch_size: int = 256) -> np.ndarray:
    """pi^h's skill for every frame, float32 [N, D]: what fine-tuning shows pi^l, as the robot will."""
    policy.eval()
    skills = []
    for start in range(0, len(frames), batch_size):
        batch = frames.inputs(np.arange(start, min(start + batch_size, len(frames))))
        skills.append(policy.plan(batch["images"], batch["proprio"], batch["language"])[0].numpy())
    return np.concatenate(skills)


def held_out_metrics(
    batches: Sequence[Batch], loss_fn: Callable[[Any, Batch], tuple[Tensor, Mapping[str, Tensor | float]]]
) -> Callable[[Any], dict[str, float]]:
    """Averages the loss terms over fixed held-out batches."""

    def evaluate(model: Any) -> dict[str, float]:
        device = next(model.parameters()).device
        terms = []
        for batch in batches:
            loss, scalars = loss_fn(model, to_device(batch, device))
            terms.append({"loss": loss, **scalars})
        return {name: float(np.mean([float(t[name]) for t in terms])) for name in terms[0]} if terms else {}

    return evaluate


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on `device`."""
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    return batch.to(device) if isinstance(batch, Tensor) else batch
