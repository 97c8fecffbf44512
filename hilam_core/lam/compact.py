"""The compact pair of IDM and FDM, which trains on one CPU core in minutes.

Two things keep z^l from copying the future image: it is small, and it is normalised to unit variance and
gets noise in training. Whatever the network does, a dimension then carries at most 0.5 log2(1 + 1/noise^2)
bits. Shapes: B batch, C channels, h w feature map, Z latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.errors import ConfigError
from hilam_core.lam.encoder import FrameEncoder, ResidualBlock
from hilam_core.lam.loss import motion_weight
from hilam_core.lam.protocol import Frames, LatentActionModel


@dataclass
class CompactConfig:
    """Architecture of the compact pair. Channels are multiples of 8, the groups of their norms."""

    kind: Literal["compact"] = "compact"
    """Tells the architectures apart in cards."""
    image_size: int = 128
    """Side of the images the encoder sees, in pixels; a multiple of 16."""
    target_size: int = 64
    """Side of the future frame the FDM predicts, in pixels: half of image_size."""
    latent_dim: int = 32
    """Length of the latent action z^l."""
    noise: float = 0.3
    """Standard deviation of the noise added to z^l in training (z^l itself has unit variance)."""
    width: int = 96
    """Channels inside the IDM and FDM."""
    encoder_stem: int = 32
    """Channels of the encoder's stem."""
    encoder_channels: int = 96
    """Channels of the encoder's feature map."""

    def __post_init__(self) -> None:
        if self.latent_dim < 2:  # its unit variance is over its own numbers
            raise ConfigError(f"latent_dim must be at least 2, got {self.latent_dim}")
        for name in ("width", "encoder_stem", "encoder_channels"):
            if getattr(self, name) < 8 or getattr(self, name) % 8:
                raise ConfigError(f"{name} must be a multiple of 8, got {getattr(self, name)}")
        if self.noise < 0:
            raise ConfigError(f"noise must not be negative, got {self.noise}")
        if self.image_size % 16 or self.image_size < 32:
            raise ConfigError(f"image_size must be a multiple of 16 from 32 on, got {self.image_size}")
        if self.target_size * 2 != self.image_size:
            raise ConfigError(f"target_size must be half of image_size, got {self.target_size}")


class InverseDynamics(nn.Module):
    """z^l from the feature maps of I_t and I_{t+k}."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        channels, width, side = config.encoder_channels, config.width, config.image_size // 32
        self.mix = nn.Conv2d(2 * channels, width, 1)
        self.down = nn.Sequential(
            nn.Conv2d(width, width, 3, 2, 1), nn.GroupNorm(8, width), nn.SiLU(), ResidualBlock(width),
            nn.Conv2d(width, width, 3, 2, 1), nn.GroupNorm(8, width), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Linear(width * side * side, config.latent_dim)

    def forward(self, now_BChw: Tensor, future_BChw: Tensor) -> Tensor:
        x = self.mix(torch.cat([future_BChw - now_BChw, now_BChw], 1))
        z_BZ = self.head(self.down(F.silu(x)).flatten(1)).float()
        return F.layer_norm(z_BZ, z_BZ.shape[-1:])


class ForwardDynamics(nn.Module):
    """The future frame from I_t and z^l: I_t moved by a flow, painted anew under a mask."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        channels, width = config.encoder_channels, config.width
        self.down = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1), nn.GroupNorm(8, width), nn.SiLU())
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(2))
        self.film = nn.Linear(config.latent_dim, 2 * 2 * width)
        self.place = nn.Linear(config.latent_dim, width)
        self.up16 = nn.Sequential(nn.Conv2d(width + channels, 64, 1), nn.GroupNorm(8, 64), nn.SiLU())
        self.conv16 = nn.Sequential(nn.Conv2d(64, 48, 3, 1, 1), nn.GroupNorm(8, 48), nn.SiLU())
        self.conv32 = nn.Sequential(nn.Conv2d(48, 32, 3, 1, 1), nn.GroupNorm(8, 32), nn.SiLU())
        self.out = nn.Conv2d(32 + 12, 24, 3, 1, 1)
        self.flow_scale = (
            0.2  # an output of 1 fetches from a tenth of the image away: motions are small at first
        )
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, images_B3HW: Tensor, features_BChw: Tensor, z_BZ: Tensor) -> Tensor:
        """[B, 3, H/2, W/2] in about [0, 1], from the images [B, 3, H, W] and their feature maps."""
        films = self.film(z_BZ).chunk(4, 1)
        x = self.down(features_BChw) + self.place(z_BZ)[..., None, None]
        for i, block in enumerate(self.blocks):
            x = block(x, (films[2 * i], films[2 * i + 1]))
        x = F.interpolate(x, scale_factor=2.0)
        x = self.conv16(self.up16(torch.cat([x, features_BChw], 1)))
        x = self.conv32(F.interpolate(x, scale_factor=2.0))
        now = F.avg_pool2d(images_B3HW, 2)
        x = F.pixel_shuffle(self.out(torch.cat([x, F.pixel_unshuffle(now, 2)], 1)), 2).float()
        # The mask starts near 0.12: first move what is there, paint only what cannot be moved.
        mask, paint = torch.sigmoid(x[:, 3:4] - 2), 0.5 + x[:, :3]
        moved = warp(now, x[:, 4:] * self.flow_scale)
        return moved + mask * (paint - moved)


def warp(images_BCHW: Tensor, flow_B2HW: Tensor) -> Tensor:
    """Each pixel fetched from where the flow points (in half images); no flow gives the image itself."""
    height, width = images_BCHW.shape[-2:]
    y = torch.linspace(-1 + 1 / height, 1 - 1 / height, height, device=flow_B2HW.device)
    x = torch.linspace(-1 + 1 / width, 1 - 1 / width, width, device=flow_B2HW.device)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1) + flow_B2HW.permute(0, 2, 3, 1)
    return F.grid_sample(images_BCHW, grid, padding_mode="border", align_corners=False)


class CompactLAM(LatentActionModel):
    """A frame encoder that IDM and FDM share."""

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CompactConfig()
        self.image_size, self.target_size = config.image_size, config.target_size
        self.encoder = FrameEncoder(config.encoder_stem, config.encoder_channels)
        self.idm = InverseDynamics(config)
        self.fdm = ForwardDynamics(config)

    def features(self, frames: Frames) -> Tensor:
        """Feature maps [B, C, S/8, S/8]."""
        return self.encoder(self.show(frames))

    def relate(self, now: Tensor, future: Tensor) -> Tensor:
        return self.idm(now, future)

    def predict(self, now: Frames, z: Tensor) -> Tensor:
        images = self.show(now)
        return self.fdm(images, self.encoder(images), z)

    def decoding_loss(
        self, now: Frames, future: Frames, z: Tensor | None = None, motion_gain: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Motion-weighted l1 of the predicted frame; in training mode the FDM gets z^l with noise."""
        images, target = self.show(now), self.target(future)
        if z is None:
            features, after = self.encoder(torch.cat([images, self.show(future)])).chunk(2)
            z = self.idm(features, after)
        else:
            features = self.encoder(images)
        noisy = z + self.config.noise * torch.randn_like(z) if self.training else z
        error = (self.fdm(images, features, noisy) - target).abs()
        loss = (motion_weight(self.target(now), target, motion_gain) * error).mean()
        return loss, {"l1": error.detach().mean(), "z_spread": z.detach().std(0).mean()}
