"""A skill model and the latent action model whose z^l it reads, trained end to end.

The paper freezes the latent action model. Here z^l is computed within the step from the frames of whole
clips, and the losses of the skill model reach the IDM and the FDM. L_latent alone would be least for a z^l
that never changes; the FDM must decode z^l to the future frame as well, which prevents that.

Shapes: B clips, T time, V cameras, N frames of all clips, M pairs of them, Z latent action of one camera.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hilam_core.data.episode import Clip
from hilam_core.distributed import mine
from hilam_core.lam.batches import FramePairs
from hilam_core.lam.evaluate import evaluate_lam
from hilam_core.lam.extract import extract_views
from hilam_core.lam.protocol import LatentActionModel
from hilam_core.skills.batches import SkillBatches
from hilam_core.skills.evaluate import evaluate_skills
from hilam_core.skills.loss import LossConfig, skill_loss
from hilam_core.skills.model import SkillModel

PART = 64  # frames whose activations are held at once: some hundred MB of the compact pair


class JointModel(nn.Module):
    """Both models; `lam.` begins the names of the latent action model's weights."""

    def __init__(self, skills: SkillModel, lam: LatentActionModel, gap: int) -> None:
        """gap: k, in frames."""
        super().__init__()
        self.skills, self.lam, self.gap = skills, lam, gap

    @property
    def config(self) -> dict[str, Any]:
        """Both architectures."""
        return {"skills": self.skills.config, "lam": self.lam.config}

    def latents(self, batch: Mapping[str, Tensor]) -> Tensor:
        """z^l [B, T, V * Z] with its gradient, zero where `mask` [B, T] is not set, of `frames`
        [V * N, H, W, 3]; `starts` [M] are the first frames of the pairs, clip by clip. Activations are
        computed again in the backward pass: those of all frames would take gigabytes."""
        views = self.skills.config.latent_dim // self.lam.latent_dim
        features = torch.cat([_again(self.lam.features, part) for part in batch["frames"].split(PART)])
        seen = [self._relate(view, batch["starts"]) for view in features.chunk(views)]
        z = torch.cat(seen, 1).float()
        return z.new_zeros(*batch["mask"].shape, z.shape[1]).index_put((batch["mask"],), z)

    def _relate(self, features: Tensor, starts: Tensor) -> Tensor:
        pairs = zip(features[starts].split(PART), features[starts + self.gap].split(PART), strict=True)
        return torch.cat([_again(self.lam.relate, now, future) for now, future in pairs])


def _again(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    return checkpoint(function, *inputs, use_reentrant=False)


def joint_loss(
    model: JointModel, batch: dict[str, Tensor], config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of the skill model with z^l of this step, and the decoding loss of z^l itself, on the frames
    of L_rec. `z_spread`, the standard deviation of z^l over them, shows a collapse."""
    z = model.latents(batch)
    loss, scalars = skill_loss(model.skills, model.lam, {**batch, "z": z}, config)
    chosen = z[batch["rows"], batch["times"] + 1].reshape(-1, model.lam.latent_dim)  # a row a camera
    own, more = model.lam.decoding_loss(batch["now"], batch["future"], chosen, config.motion_gain)
    return loss + config.rec * own, {**scalars, "lam": own.detach(), "z_spread": more["z_spread"]}


@torch.no_grad()
def evaluate_joint(
    model: JointModel,
    clips: Sequence[Clip],
    cameras: Sequence[str],
    language: Mapping[str, np.ndarray] | None = None,
    pairs: int = 512,
) -> dict[str, float]:
    """`evaluate_skills` with the z^l that the model gives now, and `evaluate_lam` on some pairs of frames as
    `<camera>/...`, of held-out clips."""
    own, gap, stored = mine(clips), model.gap, {}
    for clip in own:
        z = extract_views(model.lam, clip, cameras, gap)
        stored[clip.key] = {"z": z, "valid": np.int64(len(z) - gap)}
    metrics = evaluate_skills(model.skills, SkillBatches(own, stored, cameras, gap, language))
    for camera in cameras:
        errors = evaluate_lam(model.lam, FramePairs(clips, gap, gap, (camera,)), gap, pairs)
        metrics |= {f"{camera}/{name}": value for name, value in errors.items()}
    return metrics
