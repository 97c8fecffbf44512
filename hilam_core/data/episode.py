"""Demonstrations and action-less clips, what names their content, and which of them are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hilam_core.errors import ConfigError


@dataclass(frozen=True)
class Episode:
    """One demonstration of T steps; row t holds the observation at t and the action taken from it."""

    key: str
    """`<file stem>/demo_i`, the name under which latents and skills are stored."""
    instruction: str
    frames: dict[str, np.ndarray]
    """camera -> uint8 [T, H, W, 3], RGB, upright, memory-mapped."""
    ee_pos: np.ndarray
    """float64 [T, 3], metres, world frame."""
    ee_quat: np.ndarray
    """float64 [T, 4], xyzw, world frame."""
    gripper_qpos: np.ndarray
    """float64 [T, 2], metres."""
    joint_pos: np.ndarray
    """float64 [T, 7], radians."""
    actions: np.ndarray
    """float32 [T, 7] in [-1, 1]."""
    phases: list[str] | None = None
    """The expert's phase at each step, where recorded: ground truth for skill boundaries."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """What the collector noted: seed, placement, ..."""

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class Clip:
    """Frames without actions: what latent actions are learned from."""

    key: str
    frames: np.ndarray
    """uint8 [T, H, W, 3], RGB, upright."""

    def __len__(self) -> int:
        return len(self.frames)


def content_hash(items: Iterable[Episode] | Iterable[Clip]) -> str:
    """Hash of keys, lengths, instructions and actions (of clips: first frames), wherever the files lie."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(f"{item.key} {len(item)}".encode())
        if isinstance(item, Episode):
            digest.update(item.instruction.encode())
            digest.update(np.ascontiguousarray(item.actions).tobytes())
        else:
            digest.update(np.ascontiguousarray(item.frames[0]).tobytes())
    return digest.hexdigest()[:16]


def split_held_out(items: Sequence, every: int = 10) -> tuple[list, list]:
    """(training, held out): of each file every `every`-th episode is held out, at least one of several.

    A function of the keys alone, so that every stage with the same `every` holds out the same episodes; where
    there are enough, those of a multiple of `every` are among them.
    """
    if every < 2:
        raise ConfigError(f"one in how many episodes is held out must be at least 2, got {every}")
    groups: dict[str, dict[str, list]] = {}
    for item in items:
        source, name = item.key.split("/")[:2]
        groups.setdefault(source, {}).setdefault(name, []).append(item)
    train: list = []
    held_out: list = []
    for episodes in groups.values():
        last = len(episodes) - 1
        for i, views in enumerate(episodes.values()):
            is_held_out = i % every == every - 1 or (0 < last < every - 1 and i == last)
            (held_out if is_held_out else train).extend(views)
    return train, held_out


def describe_data(paths: Any, items: Sequence[Episode] | Sequence[Clip]) -> dict[str, Any]:
    """The card's `data`: paths, number of episodes (or clips) and frames, content hash; `assets` where all
    name the same, so that a simulation can show a policy the pictures it was trained on."""
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    assets = {getattr(item, "attrs", {}).get("assets") for item in items}
    return {
        "paths": [str(p) for p in paths],
        "episodes": len(items),
        "frames": sum(len(item) for item in items),
        "hash": content_hash(items),
        **({"assets": assets.pop()} if len(assets) == 1 and None not in assets else {}),
    }
