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


def action_probe(
    train: list[tuple[np.ndarray, np.ndarray]], held_out: list[tuple[np.ndarray, np.ndarray]], gap: int
) -> np.ndarray:
    """How much of the real action a linear map reads from z^l: R^2 [A] on held-out (z [T, Z], actions [T, A])
    episodes.

    The target at t is the mean action over t..t+gap-1, what happened between the two frames.
    """
    (x, y), (x_test, y_test) = (_probe_rows(episodes, gap) for episodes in (train, held_out))
    weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ y)
    residual = ((y_test - x_test @ weights) ** 2).sum(0)
    return 1 - residual / np.maximum(((y_test - y.mean(0)) ** 2).sum(0), 1e-9)


def _probe_rows(episodes: list[tuple[np.ndarray, np.ndarray]], gap: int) -> tuple[np.ndarray, np.ndarray]:
    rows, targets = [], []
    for z, actions in episodes:
        count = len(z) - gap
        total = np.cumsum(np.concatenate([np.zeros((1, actions.shape[1])), actions]), 0)
        rows.append(np.hstack([z[:count], np.ones((count, 1))]))
        targets.append((total[gap : gap + count] - total[:count]) / gap)
    return np.concatenate(rows).astype(np.float64), np.concatenate(targets)
