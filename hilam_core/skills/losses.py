"""L = L_latent + lambda_rec L_rec + lambda_ratio L_ratio, and the batches it is computed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hilam_core.data.episodes import Episode
from hilam_core.errors import DataError
from hilam_core.lam.encoder import to_input
from hilam_core.lam.model import LatentActionModel
from hilam_core.lam.training import motion_weight
from hilam_core.skills.hnet import Route, SkillModel, to_frame_rate


@dataclass
class LossConfig:
    """Weights of the losses."""

    rec: float = 1.0
    """lambda_rec, of the decoded future frame."""
    ratio: float = 0.1
    """lambda_ratio, of the target chunk lengths."""
    rec_frames: int = 32
    """Frames decoded for L_rec in each batch; 0 leaves L_rec out."""
    motion_gain: float = 20.0
    """How much more a moving pixel counts in L_rec."""


def ratio_loss(p: Tensor, b: Tensor, mask: Tensor, target: float) -> Tensor:
    """N/(N-1) ((N-1) F G + (1-F)(1-G)), F = mean(b), G = mean(p) over the mask, N = target; 1 at F = G =
    1/N."""
    count = mask.sum()
    fraction, mean = (b & mask).sum() / count, (p * mask).sum() / count
    return target / (target - 1) * ((target - 1) * fraction * mean + (1 - fraction) * (1 - mean))


class SkillBatches:
    """Whole episodes of latent actions, padded, with frames for L_rec at random times of them."""

    def __init__(
        self, episodes: Sequence[Episode], latents: Mapping[str, dict[str, np.ndarray]], camera: str, gap: int
    ) -> None:
        self.episodes, self.camera, self.gap = list(episodes), camera, gap
        self.z = [latents[e.key]["z"][: int(latents[e.key]["valid"])] for e in episodes]
        for episode, z in zip(episodes, self.z, strict=True):
            if len(z) < 3:
                raise DataError(f"{episode.key} has {len(z)} latent actions, at least 3 are needed")

    def sample(self, rng: np.random.Generator, batch_size: int, rec_frames: int) -> dict[str, np.ndarray]:
        """A random batch."""
        indices = rng.choice(len(self.z), min(batch_size, len(self.z)), replace=False)
        return self.batch(indices.tolist(), rng, rec_frames)

    def batch(
        self, indices: Sequence[int], rng: np.random.Generator, rec_frames: int
    ) -> dict[str, np.ndarray]:
        """z [B, T, Z], mask [B, T]; of R predictions to decode row, time, and frames now, future."""
        longest = max(len(self.z[i]) for i in indices)
        z = np.zeros((len(indices), longest, self.z[0].shape[1]), np.float32)
        mask = np.zeros((len(indices), longest), bool)
        for row, i in enumerate(indices):
            z[row, : len(self.z[i])], mask[row, : len(self.z[i])] = self.z[i], True
        batch = {"z": z, "mask": mask}
        if rec_frames:
            rows = rng.integers(0, len(indices), rec_frames)
            times = np.array([rng.integers(0, len(self.z[indices[r]]) - 1) for r in rows])
            frames = [self.episodes[indices[r]].frames[self.camera] for r in rows]
            # The prediction made at t is of z^l_{t+1}, which leads from frame t+1 to frame t+1+k.
            batch["now"] = np.stack([f[t + 1] for f, t in zip(frames, times, strict=True)])
            batch["future"] = np.stack([f[t + 1 + self.gap] for f, t in zip(frames, times, strict=True)])
            batch.update(rows=rows, times=times)
        return batch


def skill_loss(
    model: SkillModel, lam: LatentActionModel, batch: dict[str, Tensor], config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The three losses; `lam` is frozen."""
    z, mask = batch["z"], batch["mask"]
    predicted, routes = model(z, mask)
    follows = mask[:, 1:, None]
    latent = ((predicted[:, :-1] - z[:, 1:]).abs() * follows).sum() / (follows.sum() * z.shape[-1])
    ratios = [
        ratio_loss(r.p, r.b, r.mask, n) for r, n in zip(routes, model.config.chunk_lengths, strict=True)
    ]
    loss = latent + config.ratio * torch.stack(ratios).sum()
    scalars = {"latent": latent.detach()}
    if "now" in batch:
        rec = reconstruction_loss(lam, batch, predicted[batch["rows"], batch["times"]], config.motion_gain)
        loss = loss + config.rec * rec
        scalars["rec"] = rec.detach()
    for s, route in enumerate(routes, 1):
        scalars[f"tokens_per_chunk{s}"] = (route.mask.sum() / route.b.sum()).detach()
    return loss, scalars


def reconstruction_loss(lam: LatentActionModel, batch: dict[str, Tensor], z: Tensor, gain: float) -> Tensor:
    """Motion-weighted l1 of the frames that the frozen FDM decodes from predicted z^l [R, Z]."""
    with torch.no_grad():
        now, future = (to_input(batch[k], lam.config.image_size) for k in ("now", "future"))
        features = lam.encoder(now)
        small, target = F.avg_pool2d(now, 2), F.avg_pool2d(future, 2)
        weight = motion_weight(small, target, gain)
    return (weight * (lam.fdm(now, features, z) - target).abs()).mean()


@torch.no_grad()
def evaluate_skills(model: SkillModel, batches: SkillBatches, batch_size: int = 64) -> dict[str, float]:
    """Held-out l1 of the next latent action over repeating the last one, and segment lengths in frames."""
    device = next(model.parameters()).device
    errors, repeats, lengths = [], [], []
    for start in range(0, len(batches.z), batch_size):
        indices = range(start, min(start + batch_size, len(batches.z)))
        batch = batches.batch(list(indices), np.random.default_rng(0), 0)
        z, mask = torch.from_numpy(batch["z"]).to(device), torch.from_numpy(batch["mask"]).to(device)
        predicted, routes = model(z, mask)
        errors.append((predicted[:, :-1] - z[:, 1:]).abs()[mask[:, 1:]])
        repeats.append((z[:, :-1] - z[:, 1:]).abs()[mask[:, 1:]])
        lengths.append([float(mask.sum() / s.b.sum()) for s in _masked(routes, mask)])
    error, repeat = float(torch.cat(errors).mean()), float(torch.cat(repeats).mean())
    metrics = {"latent_l1": error, "repeat_l1": repeat, "gain_over_repeat": 1 - error / max(repeat, 1e-9)}
    for s, length in enumerate(np.mean(lengths, 0), 1):
        metrics[f"segment_frames{s}"] = float(length)
    return metrics


def _masked(routes: list[Route], mask: Tensor):
    for skills in to_frame_rate(routes):
        skills.b = skills.b & mask
        yield skills
