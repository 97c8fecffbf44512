"""The loss of a latent action model: l1 of the predicted frame, where things move."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from hilam_core.lam.encoder import to_input
from hilam_core.lam.model import LatentActionModel


def motion_weight(now: Tensor, future: Tensor, gain: float) -> Tensor:
    """Weight [B, 1, H, W] of each pixel, mean 1: 1 where nothing moves, up to 1 + gain where it does.

    A robot's video is mostly static background; without this the best z^l for the average pixel ignores the
    arm.
    """
    # A change of a fifth of the range counts fully, and so do the pixels beside it, which things uncover.
    moved = (future - now).abs().mean(1, keepdim=True)
    weight = 1 + gain * F.avg_pool2d((moved * 5).clamp(max=1), 5, 1, 2)
    return weight / weight.mean()


def lam_loss(model: LatentActionModel, batch: dict[str, Tensor], motion_gain: float = 20.0):
    """Motion-weighted l1 between the FDM's frame and the true one."""
    now = to_input(batch["now"], model.config.image_size)
    future = to_input(batch["future"], model.config.image_size)
    predicted, z = model(now, future)
    now, future = F.avg_pool2d(now, 2), F.avg_pool2d(future, 2)
    loss = (motion_weight(now, future, motion_gain) * (predicted - future).abs()).mean()
    return loss, {"l1": (predicted - future).detach().abs().mean(), "z_spread": z.detach().std(0).mean()}
