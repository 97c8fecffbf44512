"""Image encoders with FiLM conditioning and spatial softmax: one image to the coordinates of K keypoints.

"Encoder" in this package means an image encoder; sentence embeddings come from the "language model". Axes in
names: B batch, H height, W width, C channels, K keypoints. Activations stay channels-last, the
layout in which bfloat16 convolutions are fast on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.errors import ConfigError

GROUPS = 8  # of the group normalisation in ResNet-18, as BAKU has it for 64 and 128 channels


@dataclass(frozen=True)
class EncoderConfig:
    """One image encoder. `compact` (patch stem, 3x3 convolutions) trains on a CPU core; `resnet18` is the one
    BAKU published, ResNet-18 cut after its second residual layer."""

    kind: str = "compact"
    channels: tuple[int, ...] = (32, 64, 64, 64)
    """compact: width after the stem, the convolution that halves the grid, and each that follows"""
    keypoints: int = 64
    film_dim: int = 64
    """width of the projection of language and skill that conditions every layer; 0: no projection, their
    tokens condition it"""


class Film(nn.Module):
    """A scale and a shift of every channel, predicted from the condition; the identity before training."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.scale_shift = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.scale_shift.weight)
        nn.init.zeros_(self.scale_shift.bias)

    def forward(self, x_BHWC: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.scale_shift(condition)[:, None, None].to(x_BHWC.dtype).chunk(2, dim=3)
        return x_BHWC * (1 + scale) + shift


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
    """ResNet's stem: an overlapping 7x7 convolution and a maximum, a quarter of the image's side."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, image_BHWC: Tensor, dtype: torch.dtype) -> Tensor:
        x_BCHW = _standardise(image_BHWC, dtype).permute(0, 3, 1, 2)
        return F.max_pool2d(F.relu(self.norm(self.conv(x_BCHW))), 3, 2, 1)


def _standardise(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """0..255 to about zero mean and unit variance, by numbers that bfloat16 holds exactly."""
    return pixels.to(dtype).sub_(127.5).div_(64.0)


class ConvFilm(nn.Module):
    """Convolution, normalisation over each image, FiLM, ReLU: the compact encoder's layer."""

    def __init__(self, c_in: int, c_out: int, condition_dim: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.film = Film(c_out, condition_dim)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        x_BHWC = self.conv(x_BCHW).permute(0, 2, 3, 1)
        x_BHWC = self.film(F.layer_norm(x_BHWC, x_BHWC.shape[1:]), condition)
        return F.relu(x_BHWC.permute(0, 3, 1, 2))


class BasicBlock(nn.Module):
    """ResNet basic block with group in place of batch normalisation, and FiLM on what it puts out."""

    def __init__(self, c_in: int, c_out: int, condition_dim: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.first_norm = nn.GroupNorm(GROUPS, c_out)
        self.second = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.second_norm = nn.GroupNorm(GROUPS, c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            projection = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.GroupNorm(GROUPS, c_out))
        self.film = Film(c_out, condition_dim)

    def forward(self, x_BCHW: Tensor, condition: Tensor) -> Tensor:
        residual = F.relu(self.first_norm(self.first(x_BCHW)))
        residual = self.second_norm(self.second(residual))
        x_BCHW = F.relu(residual + self.shortcut(x_BCHW))
        return self.film(x_BCHW.permute(0, 2, 3, 1), condition).permute(0, 3, 1, 2)


class ImageEncoder(nn.Module):
    """uint8 [B, H, W, 3] images and a condition [B, D] to keypoint coordinates [B, 2K] in [-1, 1].

    patch: side of the compact stem's patches, pixels; condition_dim: D.

    Raises:
        ConfigError: an unknown kind of encoder.
    """

    def __init__(self, config: EncoderConfig, patch: int, condition_dim: int):
        super().__init__()
        layers: list[nn.Module] = []
        if config.kind == "compact":
            self.stem: nn.Module = PatchStem(patch, config.channels[0])
            for i, (c_in, c_out) in enumerate(zip(config.channels, config.channels[1:], strict=False)):
                layers.append(ConvFilm(c_in, c_out, condition_dim, stride=2 if i == 0 else 1))
            channels = config.channels[-1]
        elif config.kind == "resnet18":
            self.stem, channels = ConvStem(64), 64
            for c_out, stride in ((64, 1), (64, 1), (128, 2), (128, 1)):
                layers.append(BasicBlock(channels, c_out, condition_dim, stride))
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
