"""UniSkill's pair (arXiv 2505.08787): an IDM on ResNet-18 and depth, a diffusion FDM.

The depth model comes through transformers, the FDM through diffusers (both: the extra `uniskill`); their
configurations stand in the card, so that a checkpoint of this project is whole. `published` reads the files
that the authors published. Shapes: B batch, Z latent, P side of a predicted frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.errors import ConfigError
from hilam_core.lam.loss import motion_weight
from hilam_core.lam.protocol import Frames, LatentActionModel
from hilam_core.lam.uniskill_fdm import ForwardDynamics
from hilam_core.lam.uniskill_idm import IDMConfig, InverseDynamics, imagenet


@dataclass
class FDMConfig:
    """The diffusion model: what diffusers' `config.json` files say, and how frames are sampled."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    scheduler: dict[str, Any]
    frame_size: int = 256
    """Side of the frames, pixels."""
    steps: int = 30
    """Denoising steps of a predicted frame; this and the next two as in UniSkill's validation."""
    guidance: float = 7.5
    """How strongly z^l steers (classifier-free guidance)."""
    image_guidance: float = 2.5
    """How strongly the frame steers."""


@dataclass
class UniSkillConfig:
    """Architecture of UniSkill's pair."""

    depth: dict[str, Any]
    """The depth model: the `config.json` of Depth-Anything-V2 as transformers writes it."""
    kind: Literal["uniskill"] = "uniskill"
    latent_dim: int = 64
    idm: IDMConfig = field(default_factory=IDMConfig)
    depth_size: int = 518
    """Side of the images that the depth model reads, pixels: a multiple of its patches of 14."""
    fdm: FDMConfig | None = None
    """None: no FDM, which extraction does not need."""

    def __post_init__(self) -> None:
        if self.latent_dim < 1:
            raise ConfigError(f"latent_dim must be at least 1, got {self.latent_dim}")
        if self.fdm is not None and self.fdm.unet["cross_attention_dim"] != self.idm.context_dim:
            raise ConfigError(
                f"the UNet reads vectors of {self.fdm.unet['cross_attention_dim']} numbers, "
                f"the IDM gives {self.idm.context_dim}"
            )


class UniSkillLAM(LatentActionModel):
    """IDM, frozen depth model and, where there is one, FDM (its VAE frozen).

    Raises:
        ConfigError: transformers is not installed, or diffusers where there is an FDM.
    """

    def __init__(self, config: UniSkillConfig) -> None:
        super().__init__()
        self.config = config
        self.image_size = config.idm.image_size
        self.target_size = config.fdm.frame_size if config.fdm else 0
        self.idm = InverseDynamics(config.idm, config.latent_dim)
        self.depth = depth_model(config.depth)
        self.fdm = (
            ForwardDynamics(config.fdm.unet, config.fdm.vae, config.fdm.scheduler) if config.fdm else None
        )

    def features(self, frames: Frames) -> Tensor:
        """Tokens [B, S, D]."""
        images = self.show(frames)
        return self.idm.describe(imagenet(images), self._depth(images))

    @torch.no_grad()
    def _depth(self, images_B3HW: Tensor) -> Tensor:
        size = self.config.depth_size
        # As Depth-Anything's image processor does it: bicubic, then ImageNet's statistics.
        large = F.interpolate(images_B3HW, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)
        depth = self.depth.eval()(imagenet(large)).predicted_depth.float()
        side = images_B3HW.shape[-1]
        return F.interpolate(depth[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]

    def relate(self, now: Tensor, future: Tensor) -> Tensor:
        return self.idm.relate(now, future)

    def predict(self, now: Frames, z: Tensor) -> Tensor:
        fdm, config = self._forward_dynamics()
        context = self.idm.context(z)
        return fdm.sample(self.target(now), context, config.steps, config.guidance, config.image_guidance)

    def decoding_loss(
        self, now: Frames, future: Frames, z: Tensor | None = None, motion_gain: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The denoising loss. It needs one pass through the UNet, where a decoded frame needs `steps`."""
        fdm, _ = self._forward_dynamics()
        z = self.infer(now, future) if z is None else z
        before, after = self.target(now), self.target(future)
        weight = motion_weight(before, after, motion_gain)
        loss = fdm.denoising_loss(before, after, self.idm.context(z), weight)
        return loss, {"z_spread": z.detach().std(0).mean()}

    def _forward_dynamics(self) -> tuple[ForwardDynamics, FDMConfig]:
        if self.fdm is None or self.config.fdm is None:
            raise ConfigError("this latent action model was imported without its FDM: import it with --unet")
        return self.fdm, self.config.fdm


def depth_model(config: dict[str, Any]) -> nn.Module:
    """A frozen Depth-Anything with random weights."""
    try:
        from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation
    except ImportError:
        raise ConfigError("UniSkill's IDM needs transformers: pip install 'hilam[uniskill]'") from None
    return DepthAnythingForDepthEstimation(DepthAnythingConfig.from_dict(config)).requires_grad_(False)
