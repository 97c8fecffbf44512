"""Image encoders with FiLM conditioning and spatial softmax: one image to the coordinates of K keypoints.

Axes in names: B batch, H height, W width, C channels, K keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class EncoderConfig:
    """`compact` trains on a CPU core (a strided patch stem, then 3x3 convolutions); `resnet18` is the
    published size."""

    kind: str = "compact"
    channels: tuple[int, ...] = (32, 64, 64, 128)
    """compact: width after the stem (stride 4), the strided convolution (stride 8) and each one that
    follows"""
    keypoints: int = 64
    film_dim: int = 64
    """width of the projection of language and skill that conditions every layer"""


class Film(nn.Module):
    """Group normalisation whose scale and shift are predicted from the condition; the identity at
    initialisation."""

    def __init__(self, channels: int, condition_dim: int, group: int = 8):
        super().__init__()
        self.groups = channels // group
        self.scale_shift = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.scale_shift.weight)
        nn.init.zeros_(self.scale_shift.bias)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.scale_shift(condition)[:, :, None, None].to(x_BCHW.dtype).chunk(2, dim=1)
        x_BCHW = F.group_norm(x_BCHW, self.groups)
        return torch.addcmul(shift, x_BCHW, 1 + scale)


class ConvFilm(nn.Module):
    """Convolution, FiLM, ReLU."""

    def __init__(
        self, c_in: int, c_out: int, condition_dim: int, kernel: int = 3, stride: int = 1, padding: int = 1
    ):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.film = Film(c_out, condition_dim)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        return F.relu(self.film(self.conv(x_BCHW), condition), inplace=True)


class BasicBlock(nn.Module):
    """ResNet basic block with FiLM in place of each batch normalisation."""

    def __init__(self, c_in: int, c_out: int, condition_dim: int, stride: int):
        super().__init__()
        self.first = ConvFilm(c_in, c_out, condition_dim, stride=stride)
        self.conv = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.film = Film(c_out, condition_dim)
        self.shortcut = (
            nn.Identity() if stride == 1 and c_in == c_out else nn.Conv2d(c_in, c_out, 1, stride, bias=False)
        )

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        residual = self.film(self.conv(self.first(x_BCHW, condition)), condition)
        return F.relu(residual + self.shortcut(x_BCHW))


def _layers(config: EncoderConfig) -> tuple[list[nn.Module], int]:
    if config.kind == "compact":
        stem, *widths = config.channels
        layers: list[nn.Module] = [ConvFilm(3, stem, config.film_dim, kernel=8, stride=4, padding=2)]
        for i, (c_in, c_out) in enumerate(zip(config.channels, widths, strict=False)):
            layers.append(ConvFilm(c_in, c_out, config.film_dim, stride=2 if i == 0 else 1))
        return layers, config.channels[-1]
    if config.kind == "resnet18":
        layers = [ConvFilm(3, 64, config.film_dim, kernel=7, stride=2, padding=3)]
        c_in = 64
        for c_out, stride in (
            (64, 2),
            (128, 2),
            (256, 1),
            (512, 1),
        ):  # stride 8 in all, so that keypoints stay sharp
            layers += [
                BasicBlock(c_in, c_out, config.film_dim, stride),
                BasicBlock(c_out, c_out, config.film_dim, 1),
            ]
            c_in = c_out
        return layers, c_in
    raise ValueError(f"unknown encoder '{config.kind}'; choices: compact, resnet18")


class ImageEncoder(nn.Module):
    """uint8 [B, H, W, 3] images and a condition [B, film_dim] to keypoint coordinates [B, 2K] in [-1, 1]."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        layers, channels = _layers(config)
        self.layers = nn.ModuleList(layers)
        self.to_keypoints = nn.Conv2d(channels, config.keypoints, 1)
        self.output_dim = 2 * config.keypoints

    def forward(self, image_BHWC: Tensor, condition: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        x_BCHW = image_BHWC.permute(0, 3, 1, 2).to(dtype, memory_format=torch.contiguous_format)
        x_BCHW = x_BCHW.sub_(127.5).div_(64.0)
        for layer in self.layers:
            x_BCHW = layer(x_BCHW, condition)
        return spatial_softmax(self.to_keypoints(x_BCHW))


def spatial_softmax(x_BKHW: Tensor) -> Tensor:
    """Expected coordinates [B, 2K] (all x, then all y; -1 to 1) of each channel read as a distribution over
    the image."""
    _, _, height, width = x_BKHW.shape
    weights = x_BKHW.float().flatten(2).softmax(-1).unflatten(2, (height, width))
    x = weights.sum(2) @ torch.linspace(-1, 1, width, device=weights.device)
    y = weights.sum(3) @ torch.linspace(-1, 1, height, device=weights.device)
    return torch.cat([x, y], dim=1)
