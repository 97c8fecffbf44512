"""Image encoders with FiLM conditioning and spatial softmax: one image to the coordinates of K keypoints.

Axes in names: B batch, H height, W width, C channels, K keypoints. Activations stay channels-last: on a CPU
that is what the bfloat16 convolutions are fast in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.errors import ConfigError


@dataclass(frozen=True)
class EncoderConfig:
    """`compact` (patch stem, 3x3 convolutions) trains on a CPU core; `resnet18` is the published size."""

    kind: str = "compact"
    patch: int = 4
    """compact: side of the stem's patches, pixels"""
    channels: tuple[int, ...] = (32, 64, 64, 64)
    """compact: width after the stem, the convolution that halves the grid, and each that follows"""
    keypoints: int = 64
    film_dim: int = 64
    """width of the projection of language and skill that conditions every layer"""


class Film(nn.Module):
    """Normalisation over each image, then a scale and shift predicted from the condition."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.scale_shift = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.scale_shift.weight)
        nn.init.zeros_(self.scale_shift.bias)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        x_BHWC = x_BCHW.permute(0, 2, 3, 1)
        scale, shift = self.scale_shift(condition)[:, None, None].to(x_BHWC.dtype).chunk(2, dim=3)
        x_BHWC = F.layer_norm(x_BHWC, x_BHWC.shape[1:])
        return (x_BHWC * (1 + scale) + shift).permute(0, 3, 1, 2)


class PatchStem(nn.Module):
    """Non-overlapping patches through one matrix: the cheapest way down from pixels."""

    def __init__(self, patch: int, channels: int):
        super().__init__()
        self.patch, self.project = patch, nn.Linear(3 * patch * patch, channels)

    def forward(self, image_BHWC: Tensor, dtype: torch.dtype) -> Tensor:
        batch, height, width, _ = image_BHWC.shape
        p = self.patch
        patches = image_BHWC.view(batch, height // p, p, width // p, p, 3).transpose(2, 3).flatten(3)
        return F.relu(self.project(_standardise(patches, dtype))).permute(0, 3, 1, 2)


class ConvStem(nn.Module):
    """ResNet's overlapping 7x7 stem."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 7, 2, 3)

    def forward(self, image_BHWC: Tensor, dtype: torch.dtype) -> Tensor:
        return F.relu(self.conv(_standardise(image_BHWC, dtype).permute(0, 3, 1, 2)))


def _standardise(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    return pixels.to(dtype).sub_(127.5).div_(64.0)


class ConvFilm(nn.Module):
    """Convolution, FiLM, ReLU."""

    def __init__(self, c_in: int, c_out: int, condition_dim: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.film = Film(c_out, condition_dim)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        return F.relu(self.film(self.conv(x_BCHW), condition))


class BasicBlock(nn.Module):
    """ResNet basic block with FiLM in place of each batch normalisation."""

    def __init__(self, c_in: int, c_out: int, condition_dim: int, stride: int):
        super().__init__()
        self.first = ConvFilm(c_in, c_out, condition_dim, stride)
        self.conv = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.film = Film(c_out, condition_dim)
        same = stride == 1 and c_in == c_out
        self.shortcut = nn.Identity() if same else nn.Conv2d(c_in, c_out, 1, stride, bias=False)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        residual = self.film(self.conv(self.first(x_BCHW, condition)), condition)
        return F.relu(residual + self.shortcut(x_BCHW))


class ImageEncoder(nn.Module):
    """uint8 [B, H, W, 3] images and a condition [B, film_dim] to keypoint coordinates [B, 2K] in [-1, 1]."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        film_dim = config.film_dim
        layers: list[nn.Module] = []
        if config.kind == "compact":
            self.stem: nn.Module = PatchStem(config.patch, config.channels[0])
            for i, (c_in, c_out) in enumerate(zip(config.channels, config.channels[1:], strict=False)):
                layers.append(ConvFilm(c_in, c_out, film_dim, stride=2 if i == 0 else 1))
            channels = config.channels[-1]
        elif config.kind == "resnet18":
            self.stem, channels = ConvStem(64), 64
            # Stride 8 in all, with the stem's: keypoints stay sharp.
            for c_out, stride in ((64, 2), (128, 2), (256, 1), (512, 1)):
                layers += [
                    BasicBlock(channels, c_out, film_dim, stride),
                    BasicBlock(c_out, c_out, film_dim, 1),
                ]
                channels = c_out
        else:
            raise ConfigError(f"unknown encoder '{config.kind}'; choices: compact, resnet18")
        self.layers = nn.ModuleList(layers)
        self.to_keypoints = nn.Conv2d(channels, config.keypoints, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image_BHWC: Tensor, condition: Tensor) -> Tensor:
        device = image_BHWC.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        x_BCHW = self.stem(image_BHWC, dtype)
        for layer in self.layers:
            x_BCHW = layer(x_BCHW, condition)
        return spatial_softmax(self.to_keypoints(x_BCHW))


def spatial_softmax(x_BKHW: Tensor) -> Tensor:
    """Expected coordinates [B, 2K] (all x, then all y; -1 to 1) of each channel read as a distribution."""
    _, _, height, width = x_BKHW.shape
    weights_BKHW = x_BKHW.float().flatten(2).softmax(-1).unflatten(2, (height, width))
    x = weights_BKHW.sum(2) @ torch.linspace(-1, 1, width, device=x_BKHW.device)
    y = weights_BKHW.sum(3) @ torch.linspace(-1, 1, height, device=x_BKHW.device)
    return torch.cat([x, y], dim=1)
