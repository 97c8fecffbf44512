"""What to read of the data: the settings that every program that reads clips shares."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilam_core.errors import ConfigError


def _cache_gb() -> float:
    text = os.environ.get("HILAM_CACHE_GB", "100")
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"HILAM_CACHE_GB must be a number of gigabytes, got {text!r}") from None


@dataclass(frozen=True)
class ReadConfig:
    """What to read of the data."""

    limit: int | None = None
    """At most this many episodes of each file or LeRobot dataset."""
    episodes: tuple[int, ...] = ()
    """Numbers of the episodes to read, of each file or LeRobot dataset; by default all."""
    fps: float | None = None
    """Frames a second, picked by time; by default as recorded, of videos 20. Actions are picked, not summed:
    leave it alone where relative actions are learned."""
    captions: Path | None = None
    """List of captions (JSONL, CSV, or JSON as Something-Something has it) of the videos to read; by default
    captions.jsonl or captions.csv beside them, and all videos."""
    skip_broken: bool = False
    """List videos that cannot be read or in which nothing moves, and leave them out, instead of stopping."""
    cache_gb: float | None = None
    """Gigabytes of decoded pictures to keep in each folder of data; by default HILAM_CACHE_GB, else 100."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"the limit of episodes must be at least 1, got {self.limit}")
        if self.episodes and min(self.episodes) < 0:
            raise ConfigError(f"episodes are numbered from 0, got {min(self.episodes)}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ConfigError(f"fps must be above 0, got {self.fps}")
        if not 0 < self.cache_bound_gb < float("inf"):
            raise ConfigError(f"cache_gb must be above 0, got {self.cache_bound_gb}")

    @property
    def cache_bound_gb(self) -> float:
        """Gigabytes that a cache may hold."""
        return _cache_gb() if self.cache_gb is None else self.cache_gb

    @property
    def selection(self) -> dict[str, Any]:
        """What decides which frames are read, as JSON: what stores name beside the paths."""
        return {
            "limit": self.limit,
            "episodes": [*self.episodes] or None,
            "fps": self.fps,
            "captions": self.captions and str(self.captions.resolve()),
        }

    @classmethod
    def reading(cls, selection: Mapping[str, Any]) -> ReadConfig:
        """What to read again by the `selection` of a store or the settings in a card: broken videos, which
        are not in either, are left out."""
        captions = selection.get("captions")
        return cls(
            limit=selection.get("limit"),
            episodes=tuple(selection.get("episodes") or ()),
            fps=selection.get("fps"),
            captions=Path(captions) if captions else None,
            skip_broken=True,
        )

    def chosen(self, numbers: list[int]) -> list[int]:
        """Those of the episodes `numbers` to read, in their order."""
        wanted = set(self.episodes)
        return [n for n in numbers if not wanted or n in wanted][: self.limit]

    def rows(self, length: int, recorded_fps: float) -> np.ndarray:
        """Which of the `length` steps of an episode to take: each the one in force at its time."""
        if self.fps is None or self.fps == recorded_fps:
            return np.arange(length)
        count = max(1, int(length / recorded_fps * self.fps + 0.5))
        rows = np.floor((np.arange(count) + 0.5) / self.fps * recorded_fps).astype(int)
        return rows[rows < length]
