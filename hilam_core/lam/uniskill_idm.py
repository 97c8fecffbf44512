"""UniSkill's inverse dynamics model (arXiv 2505.08787), with the parameter names of its published file.

Of each frame a ResNet-18 feature map, enlarged to one feature for each 16x16 patch, is joined with the same
patch of a depth map; spatio-temporal transformer blocks relate the two frames. Shapes: B batch, T frames (2),
S patches, D width, N tokens of an attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.errors import ConfigError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass
class IDMConfig:
    """Sizes of the inverse dynamics model; the defaults are the published ones."""

    image_size: int = 224
    """Side of the images, pixels; a multiple of 32."""
    width: int = 256
    layers: int = 8
    heads: int = 4
    context_dim: int = 768
    """Length of the vector that conditions the FDM: that of its UNet's cross-attention."""
    normalise_qk: bool = True
    """Blocks normalise queries and keys, as those they are taken from (1X's world model, after Genie); else
    their inputs. A published file tells by its names."""
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        if self.image_size % 32 or self.image_size < 32:
            raise ConfigError(f"image_size must be a multiple of 32, got {self.image_size}")
        if self.width % self.heads:
            raise ConfigError(f"width must be a multiple of heads, got {self.width} and {self.heads}")


class ResidualBlock(nn.Module):
    """ResNet's basic block."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def resnet18() -> nn.Sequential:
    """ResNet-18 without its pooling and classifier: [B, 3, H, W] to [B, 512, H/32, W/32]."""
    layers = []
    for c_in, c_out, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers.append(nn.Sequential(ResidualBlock(c_in, c_out, stride), ResidualBlock(c_out, c_out, 1)))
    stem = (nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(*stem, *layers)


class Attention(nn.Module):
    """Self-attention over [B, N, D]; with `normalise_qk` one norm for queries and keys of each head."""

    def __init__(self, config: IDMConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=config.qkv_bias)
        self.proj = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width // config.heads) if config.normalise_qk else nn.Identity()

    def forward(self, x_BND: Tensor, causal: bool = False) -> Tensor:
        q, k, v = self.qkv(x_BND).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        # The scale is 8 / head length in the original: the usual one for the published 64.
        scale = 8 / q.shape[-1]
        y = F.scaled_dot_product_attention(self.norm(q), self.norm(k), v, is_causal=causal, scale=scale)
        return self.proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SpatioTemporalBlock(nn.Module):
    """Attention among the patches of a frame, then over time at each patch (causal), then an MLP."""

    def __init__(self, config: IDMConfig) -> None:
        super().__init__()
        plain = config.normalise_qk
        self.norm1 = nn.Identity() if plain else nn.LayerNorm(config.width)
        self.spatial_attn, self.temporal_attn = Attention(config), Attention(config)
        self.norm2 = nn.Identity() if plain else nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width)

    def forward(self, x_BTSD: Tensor) -> Tensor:
        batch = len(x_BTSD)
        x = x_BTSD.flatten(0, 1)
        x = x + self.spatial_attn(self.norm1(x))
        x = x.unflatten(0, (batch, -1)).transpose(1, 2).flatten(0, 1)
        x = x + self.temporal_attn(x, causal=True)
        x = x + self.mlp(self.norm2(x))
        return x.unflatten(0, (batch, -1)).transpose(1, 2)


class Transformer(nn.Module):
    def __init__(self, config: IDMConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SpatioTemporalBlock(config) for _ in range(config.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class InverseDynamics(nn.Module):
    """z^l from two frames and their depth."""

    PATCH = 16

    def __init__(self, config: IDMConfig, latent_dim: int) -> None:
        super().__init__()
        width, pixels = config.width, self.PATCH**2
        self.depth_proj = nn.Sequential(
            nn.Identity(), nn.LayerNorm(pixels), nn.Linear(pixels, width), nn.LayerNorm(width)
        )  # the first place of the original cuts the patches, and has no weights
        self.visual_encoder = resnet18()
        joined = width + 512
        self.modal_proj = nn.Sequential(nn.LayerNorm(joined), nn.Linear(joined, width), nn.LayerNorm(width))
        self.transformer = Transformer(config)
        patches = (config.image_size // self.PATCH) ** 2
        self.pos_embed_spatial = nn.Parameter(torch.zeros(1, 1, patches, width))
        self.pos_embed_temporal = nn.Parameter(torch.zeros(1, 2, 1, width))
        self.proj = nn.Linear(width, width)
        self.skill_norm, self.skill_proj = nn.LayerNorm(width), nn.Linear(width, latent_dim)
        self.latent_norm, self.latent_proj = (
            nn.LayerNorm(latent_dim),
            nn.Linear(latent_dim, config.context_dim),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)  # as published
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def describe(self, images_B3HW: Tensor, depth_BHW: Tensor) -> Tensor:
        """Tokens [B, S, D] of images normalised as ResNet expects and of depth maps."""
        patches = F.unfold(unit_range(depth_BHW)[:, None], self.PATCH, stride=self.PATCH).transpose(1, 2)
        seen = F.interpolate(
            self.visual_encoder(images_B3HW), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return self.modal_proj(torch.cat([self.depth_proj(patches), seen.flatten(2).transpose(1, 2)], -1))

    def relate(self, now_BSD: Tensor, future_BSD: Tensor) -> Tensor:
        """z^l [B, Z] from the tokens of two frames."""
        x = torch.stack([now_BSD, future_BSD], 1) + self.pos_embed_spatial + self.pos_embed_temporal
        return self.skill_proj(self.skill_norm(self.proj(self.transformer(x)[:, -1].mean(1))))

    def context(self, z_BZ: Tensor) -> Tensor:
        """What conditions the FDM, a sequence of one vector [B, 1, context_dim]."""
        return self.latent_proj(self.latent_norm(z_BZ))[:, None]


def unit_range(depth_BHW: Tensor) -> Tensor:
    """Each depth map stretched to 0..1; a flat one becomes 0."""
    low, high = depth_BHW.flatten(1).aminmax(dim=1)
    return (depth_BHW - low[:, None, None]) / (high - low).clamp(min=1e-6)[:, None, None]


def imagenet(images_B3HW: Tensor) -> Tensor:
    """Images of [0, 1] standardised by ImageNet's statistics, as ResNet and Depth-Anything read them."""
    mean, std = (images_B3HW.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (images_B3HW - mean) / std
