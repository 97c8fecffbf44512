"""Where things move in a pair of frames: what a loss on pixels must attend to."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def motion_weight(now: Tensor, future: Tensor, gain: float) -> Tensor:
    """Weight [B, 1, H, W] of each pixel, mean 1: 1 where nothing moves, up to 1 + gain where it does.

    A robot's video is mostly static background; without this the best z^l for the average pixel ignores the
    arm.
    """
    # A change of a fifth of the range counts fully, and so do the pixels beside it, which things uncover.
    moved = (future - now).abs().mean(1, keepdim=True)
    weight = 1 + gain * F.avg_pool2d((moved * 5).clamp(max=1), 5, 1, 2)
    return weight / weight.mean()
