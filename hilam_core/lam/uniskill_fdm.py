"""UniSkill's forward dynamics model: InstructPix2Pix's diffusion, conditioned on z^l in place of a text.

Shapes: B batch, h w the VAE's latent image (a pixel of it is 8 of the frame).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.errors import ConfigError


class ForwardDynamics(nn.Module):
    """UNet and VAE, made from their configurations as diffusers writes them (`config.json`).

    Raises:
        ConfigError: diffusers is not installed.
    """

    def __init__(self, unet: Mapping[str, Any], vae: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
        super().__init__()
        try:
            from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        except ImportError:
            raise ConfigError("UniSkill's FDM needs diffusers: pip install 'hilam[uniskill]'") from None
        self.unet = UNet2DConditionModel.from_config(dict(unet))
        self.vae = AutoencoderKL.from_config(dict(vae)).requires_grad_(False)
        # DDIM clips images to [-1, 1] by default; latent images reach further.
        self.scheduler = DDIMScheduler.from_config(dict(scheduler), clip_sample=False)

    def encode(self, images_B3PP: Tensor) -> Tensor:
        """The VAE's mode [B, 4, h, w] of images in [0, 1]."""
        with torch.no_grad():
            return self.vae.encode(images_B3PP * 2 - 1).latent_dist.mode()

    def denoising_loss(self, now: Tensor, future: Tensor, context: Tensor, weight: Tensor) -> Tensor:
        """Squared error of the predicted noise at a random time: the loss UniSkill trains with.

        now, future: [B, 3, P, P] in [0, 1]; context: [B, 1, C]; weight: [B, 1, P, P], mean 1.
        """
        clean = self.encode(future) * self.vae.config.scaling_factor
        noise = torch.randn_like(clean)
        times = torch.randint(self.scheduler.config.num_train_timesteps, (len(clean),), device=clean.device)
        noisy = self.scheduler.add_noise(clean, noise, times)
        seen = torch.cat([noisy, self.encode(now)], 1)
        predicted = self.unet(seen, times, encoder_hidden_states=context).sample
        wanted = noise
        if self.scheduler.config.prediction_type == "v_prediction":
            wanted = self.scheduler.get_velocity(clean, noise, times)
        weight = F.adaptive_avg_pool2d(weight, clean.shape[-2:])
        return (weight * (predicted - wanted).float().square()).mean()

    @torch.no_grad()
    def sample(
        self, now: Tensor, context: Tensor, steps: int, guidance: float, image_guidance: float
    ) -> Tensor:
        """Future frames [B, 3, P, P] in [0, 1] from frames and contexts; the same noise in every call.

        guidance, image_guidance: InstructPix2Pix's two weights, of the context and of the frame.
        """
        frame = self.encode(now)
        nothing, no_frame = torch.zeros_like(context), torch.zeros_like(frame)
        contexts = torch.cat([context, nothing, nothing])
        frames = torch.cat([frame, frame, no_frame])
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(frame.shape, generator=generator).to(frame) * self.scheduler.init_noise_sigma
        self.scheduler.set_timesteps(steps, device=frame.device)
        for time in self.scheduler.timesteps:
            scaled = self.scheduler.scale_model_input(torch.cat([x] * 3), time)
            outputs = self.unet(torch.cat([scaled, frames], 1), time, encoder_hidden_states=contexts).sample
            full, image_only, neither = outputs.chunk(3)
            guided = neither + image_guidance * (image_only - neither) + guidance * (full - image_only)
            x = self.scheduler.step(guided, time, x).prev_sample
        images = self.vae.decode(x / self.vae.config.scaling_factor).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)
