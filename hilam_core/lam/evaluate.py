"""Judging a latent action model: errors beside trivial predictions, and what z^l tells of the action."""

from __future__ import annotations

import numpy as np
import torch

from hilam_core.distributed import mine, total
from hilam_core.lam.batches import FramePairs
from hilam_core.lam.protocol import LatentActionModel


@torch.no_grad()
def evaluate_lam(
    model: LatentActionModel,
    pairs: FramePairs,
    gap: int,
    count: int = 512,
    seed: int = 0,
    batch_size: int = 64,
) -> dict[str, float]:
    """Errors on `count` held-out pairs at a fixed gap: l1 over moving pixels (times 255), and gains over
    predicting the last frame, over z^l taken from another pair, and over z^l = 0."""
    rng = np.random.default_rng(seed)
    indices = rng.permutation(len(pairs))[:count]
    sums: dict[str, float] = {}
    for chunk in mine(np.array_split(indices, max(1, len(indices) // batch_size))):
        now, future = pairs.pairs(chunk, np.full(len(chunk), gap)).values()
        z = model.infer(now, future)
        small_now, small_future = model.target(now), model.target(future)
        # Moving: changed by more than 10 of 255, above what compression and anti-aliasing change.
        moving = ((small_future - small_now).abs().mean(1, keepdim=True) > 0.04).float()
        predictions = {
            "model": model.predict(now, z),
            "copy": small_now,
            "shuffled": model.predict(now, z.roll(1, 0)),
            "zero": model.predict(now, torch.zeros_like(z)),
        }
        for name, predicted in predictions.items():
            error = (predicted - small_future).abs()
            sums[name] = sums.get(name, 0.0) + float((error * moving).sum())
            sums[f"{name}_mse"] = sums.get(f"{name}_mse", 0.0) + float(
                (predicted - small_future).square().sum()
            )
        sums["moving"] = sums.get("moving", 0.0) + float(moving.sum()) * 3
        sums["pixels"] = sums.get("pixels", 0.0) + small_future.numel()
    sums = total(sums)
    moving_count = max(sums["moving"], 1.0)
    metrics = {f"l1_{n}": 255 * sums[n] / moving_count for n in ("model", "copy", "shuffled", "zero")}
    for name in ("copy", "shuffled", "zero"):
        metrics[f"gain_over_{name}"] = 1 - sums["model"] / max(sums[name], 1e-9)
    metrics["psnr_model"] = -10 * np.log10(max(sums["model_mse"] / sums["pixels"], 1e-10))
    metrics["psnr_copy"] = -10 * np.log10(max(sums["copy_mse"] / sums["pixels"], 1e-10))
    metrics["moving_share"] = sums["moving"] / sums["pixels"]
    return metrics


def action_probe(
    train: list[tuple[np.ndarray, np.ndarray]], held_out: list[tuple[np.ndarray, np.ndarray]], gap: int
) -> np.ndarray:
    """How much of the real action a linear map reads from z^l: R^2 [A] on held-out (z [T, Z], actions [T, A])
    episodes; NaN where the action is constant in either, so that there is nothing to explain.

    The target at t is the mean action over t..t+gap-1, what happened between the two frames.
    """
    (x, y), (x_test, y_test) = (_probe_rows(episodes, gap) for episodes in (train, held_out))
    # z^l has unit variance: a ridge of 1e-3 only steadies directions that hardly vary.
    weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ y)
    residual = ((y_test - x_test @ weights) ** 2).sum(0)
    total = ((y_test - y.mean(0)) ** 2).sum(0)
    varies = np.minimum(y.std(0), y_test.std(0)) > 1e-6
    return np.where(varies, 1 - residual / np.maximum(total, 1e-9), np.nan)


def _probe_rows(episodes: list[tuple[np.ndarray, np.ndarray]], gap: int) -> tuple[np.ndarray, np.ndarray]:
    rows, targets = [], []
    for z, actions in episodes:
        count = len(z) - gap
        total = np.cumsum(np.concatenate([np.zeros((1, actions.shape[1])), actions]), 0)
        rows.append(np.hstack([z[:count], np.ones((count, 1))]))
        targets.append((total[gap : gap + count] - total[:count]) / gap)
    return np.concatenate(rows).astype(np.float64), np.concatenate(targets)
