"""The frame encoder of the compact latent action model.

Shapes: B batch, C channels, H W image, h w feature map (h = H / 8).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FrameEncoder(nn.Module):
    """Small convolutional encoder, GroupNorm throughout: [B, 3, H, W] in [0, 1] to [B, channels, H/8, W/8].

    128 px images give a 16x16 map, 64 px images 8x8.
    """

    def __init__(self, stem: int, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 8, 4, 2), nn.GroupNorm(8, stem), nn.SiLU())
        self.down = nn.Sequential(nn.Conv2d(stem, channels, 4, 2, 1), nn.GroupNorm(8, channels), nn.SiLU())
        self.blocks = nn.Sequential(ResidualBlock(channels))

    def forward(self, images: Tensor) -> Tensor:
        # Pixels of [0, 1] spread over [-2, 2]: about unit variance for pictures of ordinary contrast.
        return self.blocks(self.down(self.stem((images - 0.5) * 4)))


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(x))), the inner convolution's output optionally FiLMed (scale, shift [B, C])."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(8, width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(8, width)
        nn.init.zeros_(self.norm2.weight)  # starts as the identity

    def forward(self, x: Tensor, film: tuple[Tensor, Tensor] | None = None) -> Tensor:
        y = self.norm1(self.conv1(x))
        if film is not None:
            y = y * (1 + film[0][..., None, None]) + film[1][..., None, None]
        return x + self.norm2(self.conv2(F.silu(y)))
