"""z^l of whole clips: every frame is encoded once, and of several cameras z^l has a part of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hilam_core.data import Clip
from hilam_core.data.frames import Frames
from hilam_core.errors import DataError
from hilam_core.lam.protocol import LatentActionModel
from hilam_core.precision import Precision, autocast, choose_precision


@torch.no_grad()
def extract_latents(
    model: LatentActionModel,
    frames: np.ndarray | Frames,
    gap: int,
    batch_size: int = 64,
    precision: Precision = "float32",
) -> np.ndarray:
    """z^l float32 [T, Z] of frames uint8 [T, H, W, 3], computed in `precision`.

    Row t is IDM(I_t, I_{t+gap}); the last `gap` rows repeat the last valid one.
    """
    count = len(frames) - gap
    if count < 1:
        raise DataError(f"{len(frames)} frames are too few for latent actions {gap} frames apart")
    chosen, _ = choose_precision(precision, model.device, model)
    z: list[Tensor] = []
    waiting: list[Tensor] = []  # features of frames whose pair is still to come
    for start in range(0, len(frames), batch_size):
        with autocast(model.device, chosen):
            features = torch.cat([*waiting, model.features(frames[start : start + batch_size])])
            pairs = max(0, len(features) - gap)
            if pairs:
                z.append(model.relate(features[:pairs], features[gap:]))
        waiting = [features[pairs:]]
    z_TZ = torch.cat(z).float().cpu().numpy()
    return np.concatenate([z_TZ, np.repeat(z_TZ[-1:], gap, 0)])


def extract_views(
    model: LatentActionModel, clip: Clip, cameras: Sequence[str], gap: int, precision: Precision = "float32"
) -> np.ndarray:
    """z^l float32 [T, V * Z] of a clip: the same IDM's of each of V cameras, beside each other.

    A camera on the hand shows what a fixed one hardly does: turns, and motion along the line of sight.

    Raises:
        DataError: the clip lacks a camera, or is too short.
    """
    clip.require_cameras(cameras)
    views = [extract_latents(model, clip.frames[camera], gap, precision=precision) for camera in cameras]
    return np.concatenate(views, 1)
