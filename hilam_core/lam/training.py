"""Training and judging a latent action model: frame pairs, the loss, errors over trivial predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hilam_core.data.episodes import Clip
from hilam_core.errors import DataError
from hilam_core.lam.encoder import to_input
from hilam_core.lam.model import LatentActionModel


class FramePairs:
    """Pairs (I_t, I_{t+k}) from memory-mapped clips, every start frame equally likely."""

    def __init__(self, clips: Sequence[Clip], min_gap: int, max_gap: int) -> None:
        """Gaps k are drawn from min_gap..max_gap; clips of min_gap frames or fewer are refused."""
        for clip in clips:
            if len(clip) <= min_gap:
                raise DataError(f"{clip.key} has {len(clip)} frames, pairs {min_gap} apart need more")
        self.clips, self.min_gap, self.max_gap = list(clips), min_gap, max_gap
        self.ends = np.cumsum([len(c) - min_gap for c in clips])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def pairs(self, indices: np.ndarray, gaps: np.ndarray) -> dict[str, np.ndarray]:
        """`now` and `future`, uint8 [B, H, W, 3], of start indices 0..len-1; gaps shrink at a clip's end."""
        clips = np.searchsorted(self.ends, indices, side="right")
        now, future = [], []
        for i, c, k in zip(indices, clips, gaps, strict=True):
            frames = self.clips[c].frames
            t = int(i - self.ends[c] + len(frames) - self.min_gap)
            now.append(frames[t])
            future.append(frames[min(t + int(k), len(frames) - 1)])
        return {"now": np.stack(now), "future": np.stack(future)}

    def sample(self, rng: np.random.Generator, batch_size: int) -> dict[str, np.ndarray]:
        """A random batch with random gaps."""
        gaps = rng.integers(self.min_gap, self.max_gap + 1, batch_size)
        return self.pairs(rng.integers(0, len(self), batch_size), gaps)


def motion_weight(now: Tensor, future: Tensor, gain: float) -> Tensor:
    """Weight [B, 1, H, W] of each pixel, mean 1: 1 where nothing moves, up to 1 + gain where it does.

    A robot's video is mostly static background; without this the best z^l for the average pixel ignores the
    arm.
    """
    moved = (future - now).abs().mean(1, keepdim=True)
    weight = 1 + gain * F.avg_pool2d((moved * 5).clamp(max=1), 5, 1, 2)
    return weight / weight.mean()


def lam_loss(model: LatentActionModel, batch: dict[str, Tensor], motion_gain: float = 20.0):
    """Motion-weighted l1 between the FDM's frame and the true one."""
    now = to_input(batch["now"], model.config.image_size)
    future = to_input(batch["future"], model.config.image_size)
    predicted, z = model(now, future)
    now, future = F.avg_pool2d(now, 2), F.avg_pool2d(future, 2)
    loss = (motion_weight(now, future, motion_gain) * (predicted - future).abs()).mean()
    return loss, {"l1": (predicted - future).detach().abs().mean(), "z_spread": z.detach().std(0).mean()}


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
    for chunk in np.array_split(indices, max(1, len(indices) // batch_size)):
        batch = {k: torch.from_numpy(v) for k, v in pairs.pairs(chunk, np.full(len(chunk), gap)).items()}
        device = next(model.parameters()).device
        now, future = (to_input(batch[k].to(device), model.config.image_size) for k in ("now", "future"))
        z = model.infer(now, future)
        small_now, small_future = F.avg_pool2d(now, 2), F.avg_pool2d(future, 2)
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
    moving_count = max(sums["moving"], 1.0)
    metrics = {f"l1_{n}": 255 * sums[n] / moving_count for n in ("model", "copy", "shuffled", "zero")}
    for name in ("copy", "shuffled", "zero"):
        metrics[f"gain_over_{name}"] = 1 - sums["model"] / max(sums[name], 1e-9)
    metrics["psnr_model"] = -10 * np.log10(max(sums["model_mse"] / sums["pixels"], 1e-10))
    metrics["psnr_copy"] = -10 * np.log10(max(sums["copy_mse"] / sums["pixels"], 1e-10))
    metrics["moving_share"] = sums["moving"] / sums["pixels"]
    return metrics
