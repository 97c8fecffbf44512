"""z^l of whole clips: every frame is encoded once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hilam_core.errors import DataError
from hilam_core.lam.encoder import to_input
from hilam_core.lam.model import LatentActionModel


@torch.no_grad()
def extract_latents(
    model: LatentActionModel, frames: np.ndarray, gap: int, batch_size: int = 64
) -> np.ndarray:
    """z^l float32 [T, Z] of frames uint8 [T, H, W, 3].

    Row t is IDM(I_t, I_{t+gap}); the last `gap` rows repeat the last valid one.
    """
    count = len(frames) - gap
    if count < 1:
        raise DataError(f"{len(frames)} frames are too few for latent actions {gap} frames apart")
    device = next(model.parameters()).device
    features: list[Tensor] = []
    for start in range(0, len(frames), batch_size):
        images = to_input(frames[start : start + batch_size], model.config.image_size)
        features.append(model.encoder(images.to(device)))
    map_TChw = torch.cat(features)
    z = [
        model.idm(
            map_TChw[t : min(t + batch_size, count)], map_TChw[t + gap : min(t + batch_size, count) + gap]
        )
        for t in range(0, count, batch_size)
    ]
    z_TZ = torch.cat(z).cpu().numpy().astype(np.float32)
    return np.concatenate([z_TZ, np.repeat(z_TZ[-1:], gap, 0)])
