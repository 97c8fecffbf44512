"""What every latent action model can do: z^l_t = IDM(I_t, I_{t+k}),  I_{t+k} ~ FDM(I_t, z^l_t).

Models take frames as they are recorded, uint8 [B, H, W, 3] of any size, and prepare them themselves, so that
training, extraction and the skill model's L_rec show a model the same. Shapes: B batch, Z latent, P side of a
predicted frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.observation import central_square

Frames = Tensor | np.ndarray


class LatentActionModel(nn.Module, ABC):
    """An inverse and a forward dynamics model."""

    config: Any
    """The architecture: a dataclass with `kind` and `latent_dim`."""
    image_size: int
    """Side of the images that the IDM reads, pixels."""
    target_size: int
    """P: side of the frames that the FDM predicts, pixels; 0 where there is no FDM."""
    gap: int = 0
    """k, in frames, of extraction: what the card says; 0 before there is one."""

    @property
    def latent_dim(self) -> int:
        """Z: length of z^l."""
        return self.config.latent_dim

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    @abstractmethod
    def features(self, frames: Frames) -> Tensor:
        """What the IDM needs of single frames [B, ...]: a sequence encodes each frame once."""

    @abstractmethod
    def relate(self, now: Tensor, future: Tensor) -> Tensor:
        """z^l [B, Z] from the `features` of two frames."""

    @abstractmethod
    def predict(self, now: Frames, z: Tensor) -> Tensor:
        """Future frames [B, 3, P, P] in about [0, 1]."""

    @abstractmethod
    def decoding_loss(
        self, now: Frames, future: Frames, z: Tensor | None = None, motion_gain: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """How badly the FDM makes `future` of `now` and z^l, differentiable in z^l; and scalars to log.

        z: [B, Z], by default the IDM's own: the loss that trains IDM and FDM together. motion_gain: how much
        more a moving pixel counts than a static one.
        """

    def infer(self, now: Frames, future: Frames) -> Tensor:
        """z^l [B, Z] of pairs of frames."""
        return self.relate(self.features(now), self.features(future))

    def show(self, frames: Frames) -> Tensor:
        """Frames as the IDM reads them, [B, 3, S, S] in [0, 1]."""
        return to_input(frames, self.image_size).to(self.device)

    def target(self, frames: Frames) -> Tensor:
        """Frames as the FDM predicts them, [B, 3, P, P] in [0, 1]."""
        return to_input(frames, self.target_size).to(self.device)


def to_input(images: Frames, size: int) -> Tensor:
    """uint8 [B, H, W, 3] to float [B, 3, size, size] in [0, 1].

    The picture that `observation.prepare_image` shows policies, not rounded to whole numbers: the central
    square, averaged down or bilinearly enlarged.
    """
    images = central_square(images)
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(np.array(images))  # a copy: given arrays may be read-only
    x = images.permute(0, 3, 1, 2).contiguous().float().div_(255)
    side = x.shape[-1]
    if side % size == 0:
        return F.avg_pool2d(x, side // size) if side > size else x
    return F.interpolate(x, (size, size), mode="bilinear", antialias=side > size, align_corners=False)
