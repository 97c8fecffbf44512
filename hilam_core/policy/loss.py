"""The losses of policies: L1 of the chunk in normalised units, plus those of auxiliary heads."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.policy.baku import Baku, BakuOutput
from hilam_core.policy.batches import Batch
from hilam_core.policy.model import Policy

WAYPOINT_SCALE_M = 0.1  # brings a waypoint's error to the size of the normalised chunk's


def run_level(level: Baku, batch: Batch, skill: Tensor | None = None) -> BakuOutput:
    """One level on a batch of `PolicyFrames.inputs`."""
    language = batch["language"] if level.config.language_dim else None
    return level(batch["images"], batch["proprio"], language, skill)


def level_loss(
    level: Baku, output: BakuOutput, batch: Batch, prefix: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """L1 of the chunk in normalised units, plus the auxiliary heads where there are any.

    Reads `<prefix>target` [B, L, A], `<prefix>mask` bool [B, L] (false past an episode's end: does not count)
    and, where configured, `<prefix>boundary` [B] and `waypoint` [B, 3].
    """
    target = (batch[f"{prefix}target"] - level.output_mean) / level.output_std
    terms = {f"{prefix}l1": F.l1_loss(output.chunk, target, reduction="none")[batch[f"{prefix}mask"]].mean()}
    loss = terms[f"{prefix}l1"]
    if output.boundary_logit is not None:
        boundary = F.binary_cross_entropy_with_logits(output.boundary_logit, batch[f"{prefix}boundary"])
        # The boundary is only reported and shown: a tenth keeps it from steering the encoder.
        loss, terms[f"{prefix}boundary"] = loss + 0.1 * boundary, boundary
    if output.waypoint is not None:
        waypoint = F.l1_loss(output.waypoint, batch["waypoint"] / WAYPOINT_SCALE_M)
        loss, terms[f"{prefix}waypoint_m"] = loss + waypoint, waypoint.detach() * WAYPOINT_SCALE_M
    return loss, terms


def pretraining_loss(policy: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of the levels there are; they share no weights."""
    assert isinstance(policy, Policy)
    skill = batch["skill"] if policy.high is not None else None
    loss, terms = level_loss(policy.low, run_level(policy.low, batch, skill), batch, "low_")
    if policy.high is not None:
        high_loss, high_terms = level_loss(policy.high, run_level(policy.high, batch), batch, "high_")
        loss, terms = loss + high_loss, {**terms, **high_terms}
    return loss, terms


def action_loss(policy: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """pi^l's loss on robot actions; it reaches a pi^h that learns through the skill it plans."""
    assert isinstance(policy, Policy)
    skill = batch["skill"]
    if "planned" in batch:
        planned = batch["planned"]
        skill, _ = policy.plan(planned["images"], planned["proprio"], planned["language"])
    return level_loss(policy.low, run_level(policy.low, batch, skill), batch, "low_")
