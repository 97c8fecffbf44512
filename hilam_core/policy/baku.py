"""BAKU (arXiv 2406.07539): image, proprioception, language and skill tokens through a small GPT to a chunk of
outputs.

One class for every policy here: flat BAKU, a blind one (no cameras), pi^h (chunk of one skill, with a
boundary head) and pi^l (a skill token) differ in `BakuConfig` alone. Axes: B batch, N tokens, D width, L
chunk length, A output.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.conventions import ACTION_DIM, CAMERAS
from hilam_core.errors import ConfigError
from hilam_core.policy.language import LANGUAGE_DIM
from hilam_core.policy.vision import EncoderConfig, ImageEncoder


@dataclass(frozen=True)
class BakuConfig:
    """Sizes of one BAKU; the defaults train on one CPU core in about half an hour."""

    cameras: tuple[str, ...] = CAMERAS
    """none at all makes a blind policy"""
    patches: tuple[int, ...] = (8, 4)
    """side of the compact encoder's patches for each camera, pixels: finest where objects look largest; the
    last counts for all cameras that follow"""
    proprio_dim: int = 0
    """8 to read proprioception, as the blind policy must; else 0. With it a seeing policy imitates better and
    acts worse: it reads from the arm's position where the demonstrator was going, and ignores the images"""
    language_dim: int = LANGUAGE_DIM
    """0: no language token (and no language in FiLM)"""
    skill_dim: int = 0
    """0: no skill token"""
    output_dim: int = ACTION_DIM
    """numbers of one output: 7 of a robot's action, or those of z^l or z^h"""
    chunk: int = 10
    """outputs predicted at once, one a control step"""
    boundary: bool = False
    """also predict the probability that a new skill begins (pi^h)"""
    waypoint: bool = False
    """also predict how far the gripper is from where it next opens or closes: an auxiliary loss that teaches
    localisation"""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """the image encoder of each camera"""
    shared_encoder: bool = False
    """one image encoder for all cameras, as BAKU has it, instead of one for each"""
    token_dim: int = 0
    """length of the tokens, which a linear map brings to the trunk's width; 0: the width itself, no map"""
    width: int = 128
    """width of the trunk"""
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if not self.patches:
            raise ConfigError("patches needs a number, of the first camera")
        if self.shared_encoder and self.encoder.kind == "compact" and len(set(self.patches)) > 1:
            raise ConfigError(f"one encoder for all cameras has one size of patches, got {self.patches}")


def published(config: BakuConfig) -> BakuConfig:
    """The same policy with BAKU's published network.

    One ResNet-18, cut after its second residual layer, for all cameras; 256 keypoints; tokens of length 512;
    a trunk of 8 layers, 4 heads, width 256. With proprioception 8.7 million parameters, in BAKU's own code
    8.8; docs/training.md lists what stays different.
    """
    encoder = EncoderConfig(kind="resnet18", keypoints=256, film_dim=0)
    return replace(
        config, encoder=encoder, shared_encoder=True, token_dim=512, width=256, layers=8, heads=4, dropout=0.1
    )


class BakuOutput(NamedTuple):
    """`chunk` [B, L, A] in the units of the loss (`Baku.denormalise`); `boundary_logit` [B] and `waypoint`
    [B, 3] where configured."""

    chunk: Tensor
    boundary_logit: Tensor | None
    waypoint: Tensor | None


class Block(nn.Module):
    """Pre-norm transformer block with causal attention."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BND: Tensor) -> Tensor:
        qkv = self.qkv(self.norm_attention(x_BND)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        x_BND = x_BND + F.dropout(self.project(attended.transpose(1, 2).flatten(2)), dropout)
        return x_BND + F.dropout(self.mlp(self.norm_mlp(x_BND)), dropout)


def _mlp(d_in: int, hidden: int, d_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d_in, hidden), nn.ReLU(), nn.Linear(hidden, d_out))


class Baku(nn.Module):
    """One policy level. Inputs are raw (uint8 images, metres and radians); the statistics it normalises with
    are buffers, saved with the weights."""

    proprio_mean: Tensor
    proprio_std: Tensor
    language_mean: Tensor
    language_std: Tensor
    skill_mean: Tensor
    skill_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(self, config: BakuConfig):
        super().__init__()
        self.config = config
        width, film_dim = config.width, config.encoder.film_dim
        token_dim = config.token_dim or width
        conditions = max(1, config.language_dim + config.skill_dim)
        self.condition = nn.Linear(conditions, film_dim) if film_dim else None
        # A shared encoder lies under the name of the first camera.
        cameras = config.cameras[:1] if config.shared_encoder else config.cameras
        last = itertools.repeat(config.patches[-1])
        self.encoders = nn.ModuleDict(
            {
                name: ImageEncoder(config.encoder, patch, film_dim or token_dim)
                for name, patch in zip(cameras, itertools.chain(config.patches, last), strict=False)
            }
        )
        self.image_tokens = nn.ModuleDict(
            {name: nn.Linear(2 * config.encoder.keypoints, token_dim) for name in cameras}
        )
        self.proprio_token = _mlp(config.proprio_dim, token_dim, token_dim) if config.proprio_dim else None
        self.language_token = _mlp(config.language_dim, token_dim, token_dim) if config.language_dim else None
        self.skill_token = _mlp(config.skill_dim, token_dim, token_dim) if config.skill_dim else None
        self.to_width = nn.Linear(token_dim, width) if config.token_dim else nn.Identity()
        inputs = (config.language_dim, config.skill_dim, config.proprio_dim)
        tokens = len(config.cameras) + sum(map(bool, inputs)) + 1
        self.positions = nn.Parameter(
            torch.randn(tokens, width) * 0.02
        )  # GPT-2's scale; the last is the action's
        self.trunk = nn.Sequential(
            *(Block(width, config.heads, config.dropout) for _ in range(config.layers))
        )
        self.norm = nn.LayerNorm(width)
        self.boundary_head = nn.Linear(width, 1) if config.boundary else None
        sizes = {"proprio": config.proprio_dim, "language": config.language_dim, "skill": config.skill_dim}
        for name, size in sizes.items():
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_std", torch.ones(size))
        self.set_head(config.output_dim, config.waypoint)

    def set_head(self, output_dim: int, waypoint: bool = False) -> None:
        """Fresh heads for outputs and, where wanted, for waypoints: what fine-tuning does when pi^l moves
        from latent to robot actions."""
        self.config = replace(self.config, output_dim=output_dim, waypoint=waypoint)
        width = self.config.width
        self.waypoint_head = _mlp(width, width, 3) if waypoint else None
        self.head = _mlp(width, 2 * width, self.config.chunk * output_dim)
        self.register_buffer("output_mean", torch.zeros(output_dim))
        self.register_buffer("output_std", torch.ones(output_dim))

    def forward(
        self,
        images: Mapping[str, Tensor],
        proprio: Tensor | None,
        language: Tensor | None,
        skill: Tensor | None = None,
    ) -> BakuOutput:
        """The outputs for a batch of observations.

        images: uint8 [B, S, S, 3] for each camera; proprio: [B, P] m and rad; language: [B, 384] embeddings;
        skill: [B, D]. What the configuration does not read may be None.
        """
        given = next(x for x in (*images.values(), proprio, language, skill) if x is not None)
        tokens, condition = self._read_task(language, skill, len(given))
        tokens += [self._see(camera, images[camera], condition) for camera in self.config.cameras]
        if self.proprio_token is not None:
            assert proprio is not None, "this policy reads proprioception"
            tokens.append(self.proprio_token((proprio - self.proprio_mean) / self.proprio_std))
        x_BND = self.to_width(torch.stack([token.float() for token in tokens], 1)).float()
        x_BND = F.pad(x_BND, (0, 0, 0, 1)) + self.positions  # the action token is its position alone
        x_BD = self.norm(self.trunk(x_BND)[:, -1])
        chunk = self.head(x_BD).float().unflatten(1, (self.config.chunk, -1))
        boundary = self.boundary_head(x_BD).float()[:, 0] if self.boundary_head is not None else None
        waypoint = self.waypoint_head(x_BD).float() if self.waypoint_head is not None else None
        return BakuOutput(chunk, boundary, waypoint)

    def _read_task(
        self, language: Tensor | None, skill: Tensor | None, batch: int
    ) -> tuple[list[Tensor], Tensor]:
        """The tokens of language and skill, as far as they are read, and what conditions the encoders."""
        inputs, tokens = [], []
        if self.language_token is not None:
            assert language is not None, "this policy reads language"
            inputs.append((language - self.language_mean) / self.language_std)
            tokens.append(self.language_token(inputs[-1]))
        if self.skill_token is not None:
            assert skill is not None, "this policy reads a skill"
            inputs.append((skill - self.skill_mean) / self.skill_std)
            tokens.append(self.skill_token(inputs[-1]))
        if self.condition is not None:
            none = self.positions.new_zeros(batch, 1)
            return tokens, self.condition(torch.cat(inputs, 1) if inputs else none)
        none = self.positions.new_zeros(batch, self.config.token_dim or self.config.width)
        return tokens, sum(tokens, none)

    def _see(self, camera: str, image: Tensor, condition: Tensor) -> Tensor:
        """The token of one camera's image."""
        name = self.config.cameras[0] if self.config.shared_encoder else camera
        return self.image_tokens[name](self.encoders[name](image, condition))

    def denormalise(self, chunk: Tensor) -> Tensor:
        """From the units of the loss to those of the target."""
        return chunk * self.output_std + self.output_mean
