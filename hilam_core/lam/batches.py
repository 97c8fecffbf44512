"""Pairs of frames, what a latent action model is trained and judged on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilam_core.data.episode import Clip
from hilam_core.errors import DataError


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
