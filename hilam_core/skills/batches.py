"""Whole episodes of latent actions, what the skill model is trained and judged on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hilam_core.data.episode import Clip
from hilam_core.distributed import processes
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
        all_frames: bool = False,
    ) -> None:
        """language: of each clip its instruction's embedding [L], for a model that reads it; all_frames:
        batches hold the frames that z^l was made of, for a latent action model that learns too."""
        self.language = None if language is None else [language[clip.key] for clip in clips]
        self.clips, self.cameras, self.gap = list(clips), tuple(cameras), gap
        self.all_frames = all_frames
        self.z = [latents[clip.key]["z"][: int(latents[clip.key]["valid"])] for clip in clips]
        for clip, z in zip(clips, self.z, strict=True):
            if len(z) < 3:
                raise DataError(f"{clip.key} has {len(z)} latent actions, at least 3 are needed")

    def sample(self, rng: np.random.Generator, batch_size: int, rec_frames: int) -> dict[str, np.ndarray]:
        """A random batch: whole clips, none twice. Under torchrun this process's part of it."""
        count = min(batch_size, max(1, len(self.z) // processes()))
        indices = rng.choice(len(self.z), count, replace=False)
        return self.batch(indices.tolist(), rng, rec_frames)

    def batch(
        self, indices: Sequence[int], rng: np.random.Generator, rec_frames: int
    ) -> dict[str, np.ndarray]:
        """z [B, T, Z], mask [B, T], language [B, L] where read; of R predictions to decode row and time,
        and of each and its V cameras frames now, future [R * V, ...]; R * V is about `rec_frames`. With
        `all_frames` also the N frames of all clips, `frames` [V * N, ...], one camera after the other, and of
        the pairs that give z the `starts` [M], in 0..N-1."""
        longest = max(len(self.z[i]) for i in indices)
        z = np.zeros((len(indices), longest, self.z[0].shape[1]), np.float32)
        mask = np.zeros((len(indices), longest), bool)
        for row, i in enumerate(indices):
            z[row, : len(self.z[i])], mask[row, : len(self.z[i])] = self.z[i], True
        batch = {"z": z, "mask": mask}
        if self.language is not None:
            batch["language"] = np.stack([self.language[i] for i in indices])
        if rec_frames:
            # As many of each clip, so that torchrun's processes, which divide the clips, have the same
            # frames together as a single one.
            count = max(1, rec_frames // len(self.cameras))
            rows = np.arange(count) * len(indices) // count
            chosen = [indices[r] for r in rows.tolist()]
            lengths = np.array([len(self.z[i]) for i in chosen])
            times = rng.integers(0, 2**32, count) * (lengths - 1) // 2**32
            # The prediction made at t is of z^l_{t+1}, which leads from frame t+1 to frame t+1+k.
            for name, step in (("now", 1), ("future", 1 + self.gap)):
                batch[name] = stack_images(
                    [
                        self.clips[i].frames[camera][t + step]
                        for i, t in zip(chosen, times, strict=True)
                        for camera in self.cameras
                    ]
                )
            batch.update(rows=rows, times=times)
        if self.all_frames:
            batch.update(self._all_frames(indices))
        return batch

    def _all_frames(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        counts = [len(self.z[i]) for i in indices]
        views = [
            self.clips[i].frames[camera][: n + self.gap]
            for camera in self.cameras
            for i, n in zip(indices, counts, strict=True)
        ]
        first = np.cumsum([0, *(n + self.gap for n in counts[:-1])])
        starts = [t + np.arange(n) for t, n in zip(first, counts, strict=True)]
        return {
            "frames": stack_images([frame for view in views for frame in view]),
            "starts": np.concatenate(starts),
        }
