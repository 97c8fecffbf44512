"""Inverse and forward dynamics: z^l_t = IDM(I_t, I_{t+k}),  I_{t+k} ~ FDM(I_t, z^l_t).

A compact pair in place of UniSkill's. Two things keep z^l from copying the future image: it is small, and it
is normalised to unit variance and gets noise in training. Whatever the network does, a dimension then carries
at most 0.5 log2(1 + 1/noise^2) bits. Shapes: B batch, C channels, h w feature map, Z latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.cards import config_from
from hilam_core.checkpoint import load_checkpoint, restore
from hilam_core.errors import ConfigError
from hilam_core.lam.encoder import FrameEncoder, ResidualBlock


@dataclass
class LAMConfig:
    """Architecture of the latent action model. Channels are multiples of 8, the groups of their norms."""

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

    def __init__(self, config: LAMConfig) -> None:
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

    def __init__(self, config: LAMConfig) -> None:
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


class LatentActionModel(nn.Module):
    """Encoder, IDM and FDM. Images are float [B, 3, H, W] in [0, 1], see `to_input`."""

    def __init__(self, config: LAMConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LAMConfig()
        self.encoder = FrameEncoder(config.encoder_stem, config.encoder_channels)
        self.idm = InverseDynamics(config)
        self.fdm = ForwardDynamics(config)

    def infer(self, now: Tensor, future: Tensor) -> Tensor:
        """z^l [B, Z] of image pairs; without noise."""
        return self.idm(*self.encoder(torch.cat([now, future])).chunk(2))

    def predict(self, now: Tensor, z: Tensor) -> Tensor:
        """Future frames [B, 3, H/2, W/2] from images and latent actions."""
        return self.fdm(now, self.encoder(now), z)

    def forward(self, now: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
        """(predicted future, z^l); in training mode the FDM gets z^l with noise."""
        f_now, f_future = self.encoder(torch.cat([now, future])).chunk(2)
        z = self.idm(f_now, f_future)
        noisy = z + self.config.noise * torch.randn_like(z) if self.training else z
        return self.fdm(now, f_now, noisy), z


def load_lam(folder: str | Path, device: str = "cpu") -> LatentActionModel:
    """A trained latent action model, in evaluation mode."""
    state, card = load_checkpoint(folder, "lam")
    model = LatentActionModel(config_from(LAMConfig, card["config"], folder))
    restore(model, state, folder)
    return model.to(device).eval()
