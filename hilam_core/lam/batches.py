"""Pairs of frames, what a latent action model is trained and judged on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilam_core.data.episode import Clip
from hilam_core.errors import DataError
from hilam_core.observation import stack_images


class FramePairs:
    """Pairs (I_t, I_{t+k}) of clips, every start frame equally likely."""

    def __init__(
        self, clips: Sequence[Clip], min_gap: int, max_gap: int, cameras: Sequence[str] | None = None
    ) -> None:
        """Gaps k are drawn from min_gap..max_gap; clips of min_gap frames or fewer are refused.

        cameras: whose frames to pair, by default of every camera a clip has.
        """
        for clip in clips:
            if len(clip) <= min_gap:
                raise DataError(f"{clip.key} has {len(clip)} frames, pairs {min_gap} apart need more")
        self.min_gap, self.max_gap = min_gap, max_gap
        self.views = [
            frames for c in clips for name, frames in c.frames.items() if cameras is None or name in cameras
        ]
        if not self.views:
            raise DataError(f"no clips to take pairs of frames from (cameras {cameras or 'any'})")
        self.ends = np.cumsum([len(view) - min_gap for view in self.views])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def pairs(self, indices: np.ndarray, gaps: np.ndarray) -> dict[str, np.ndarray]:
        """`now` and `future`, uint8 [B, H, W, 3], of start indices 0..len-1; gaps shrink at a clip's end."""
        views = np.searchsorted(self.ends, indices, side="right")
        now, future = [], []
        for i, v, k in zip(indices, views, gaps, strict=True):
            frames = self.views[v]
            t = int(i - self.ends[v] + len(frames) - self.min_gap)
            now.append(frames[t])
            future.append(frames[min(t + int(k), len(frames) - 1)])
        return {"now": stack_images(now), "future": stack_images(future)}

    def sample(self, rng: np.random.Generator, batch_size: int) -> dict[str, np.ndarray]:
        """A random batch with random gaps."""
        gaps = rng.integers(self.min_gap, self.max_gap + 1, batch_size)
        return self.pairs(rng.integers(0, len(self), batch_size), gaps)
