"""Whole episodes of latent actions, what the skill model is trained and judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hilam_core.data.episode import Clip
from hilam_core.errors import DataError
from hilam_core.observation import stack_images


class SkillBatches:
    """Latent actions of whole clips, padded, with frames for L_rec at random times of them."""

    def __init__(
        self,
        clips: Sequence[Clip],
        latents: Mapping[str, dict[str, np.ndarray]],
        cameras: Sequence[str],
        gap: int,
        language: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """language: of each clip its instruction's embedding [L], for a model that reads it."""
        self.language = None if language is None else [language[clip.key] for clip in clips]
        self.clips, self.cameras, self.gap = list(clips), tuple(cameras), gap
        self.z = [latents[clip.key]["z"][: int(latents[clip.key]["valid"])] for clip in clips]
        for clip, z in zip(clips, self.z, strict=True):
            if len(z) < 3:
                raise DataError(f"{clip.key} has {len(z)} latent actions, at least 3 are needed")

    def sample(self, rng: np.random.Generator, batch_size: int, rec_frames: int) -> dict[str, np.ndarray]:
        """A random batch."""
        indices = rng.choice(len(self.z), min(batch_size, len(self.z)), replace=False)
        return self.batch(indices.tolist(), rng, rec_frames)

    def batch(
        self, indices: Sequence[int], rng: np.random.Generator, rec_frames: int
    ) -> dict[str, np.ndarray]:
        """z [B, T, Z], mask [B, T], language [B, L] where read; of R predictions to decode row and time,
        and of each and its V cameras frames now, future [R * V, ...]; R * V is about `rec_frames`."""
        longest = max(len(self.z[i]) for i in indices)
        z = np.zeros((len(indices), longest, self.z[0].shape[1]), np.float32)
        mask = np.zeros((len(indices), longest), bool)
        for row, i in enumerate(indices):
            z[row, : len(self.z[i])], mask[row, : len(self.z[i])] = self.z[i], True
        batch = {"z": z, "mask": mask}
        if self.language is not None:
            batch["language"] = np.stack([self.language[i] for i in indices])
        if rec_frames:
            rows = rng.integers(0, len(indices), max(1, rec_frames // len(self.cameras)))
            times = np.array([rng.integers(0, len(self.z[indices[r]]) - 1) for r in rows])
            # The prediction made at t is of z^l_{t+1}, which leads from frame t+1 to frame t+1+k.
            for name, step in (("now", 1), ("future", 1 + self.gap)):
                batch[name] = stack_images(
                    [
                        self.clips[indices[r]].frames[camera][t + step]
                        for r, t in zip(rows, times, strict=True)
                        for camera in self.cameras
                    ]
                )
            batch.update(rows=rows, times=times)
        return batch
