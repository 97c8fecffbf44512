"""Clips and demonstrations, what names their content, and which of them are held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hilam_core.conventions import CONTROL_HZ
from hilam_core.data.frames import Frames, picture_hash
from hilam_core.errors import ConfigError, DataError
from hilam_core.observation import proprioception

HELD_OUT = 0.05
"""The share of episodes that no stage trains on: one in twenty, since policies need every demonstration."""
MAX_INSTRUCTIONS = 500
"""How many a card lists. More are captions, one for each clip, and no list to choose from."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames of T steps without actions: what latent actions, skills and pretraining need."""

    key: str
    """`<source>/<name>`, the name under which latents and skills are stored: `<file stem>/demo_<i>` of a
    demonstration in HDF5, `<folder>/episode_<i>` of a LeRobot dataset, `<file name>/video` of a video.
    Folders stand before it where two files share a name."""
    frames: Mapping[str, Frames | np.ndarray]
    """camera -> uint8 [T, H, W, 3], RGB, upright; of data on the disk decoded when they are read."""
    fps: float = float(CONTROL_HZ)
    """Frames a second."""
    instruction: str = ""
    """Empty where none is recorded."""
    attrs: dict[str, Any] = field(default_factory=dict)
    """What the collector noted: seed, placement, ..."""
    picture_hashes: dict[str, str] = field(default_factory=dict)
    """camera -> hash of its frames, from the frame cache."""

    def __len__(self) -> int:
        return len(next(iter(self.frames.values())))

    def content_hash(self, cameras: Sequence[str] | None = None) -> str:
        """Hash of everything but the key: instruction, length, the pictures of `cameras` (default: of all
        that were read), and of a demonstration its actions and robot states."""
        digest = hashlib.sha256(f"{len(self)} {self.instruction}".encode())
        for values in self._numbers():
            digest.update(np.ascontiguousarray(values).data)
        for camera in sorted(set(self.frames if cameras is None else cameras)):
            digest.update(f"{camera} {self._picture_hash(camera)}".encode())
        return digest.hexdigest()

    def _numbers(self) -> list[np.ndarray]:
        return []

    def _picture_hash(self, camera: str) -> str:
        if camera in self.picture_hashes:
            return self.picture_hashes[camera]
        return picture_hash(np.asarray(self.frames[camera]))

    def require_cameras(self, cameras: Iterable[str]) -> None:
        """DataError where the clip lacks one of these cameras."""
        if lacking := [camera for camera in cameras if camera not in self.frames]:
            raise DataError(
                f"{self.key} has no camera {lacking[0]!r}, only {', '.join(self.frames)}: see --cameras"
            )


@dataclass(frozen=True, kw_only=True)
class Episode(Clip):
    """A demonstration: row t holds the observation at t and the action taken from it."""

    actions: np.ndarray
    """float32 [T, A], in the units of the data (LIBERO's in [-1, 1])."""
    states: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What was recorded of the robot, float64 [T, n] each. With LIBERO's names: `ee_pos` [T, 3] m and
    `ee_quat` [T, 4] xyzw in the world frame, `gripper_qpos` [T, 2] m, `joint_pos` [T, J] rad. A LeRobot
    dataset has `state`."""
    phases: list[str] | None = None
    """The expert's phase at each step, where recorded: ground truth for skill boundaries."""

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def proprio(self) -> np.ndarray:
        """What a policy may read of the robot, float32 [T, P]: `state`, else pose and fingers as
        `proprioception` gives them. DataError where neither was recorded."""
        if "state" in self.states:
            return self.states["state"].astype(np.float32)
        if self.has_gripper:
            return proprioception(*(self.states[name] for name in ("ee_pos", "ee_quat", "gripper_qpos")))
        raise DataError(f"{self.key} has no state of the robot, only {', '.join(self.states) or 'actions'}")

    @property
    def has_gripper(self) -> bool:
        """Whether pose and fingers were recorded, which waypoints are made of."""
        return {"ee_pos", "ee_quat", "gripper_qpos"} <= self.states.keys()

    def _numbers(self) -> list[np.ndarray]:
        return [*(self.states[name] for name in sorted(self.states)), self.actions]


AnyClip = TypeVar("AnyClip", bound=Clip)


def content_hash(clips: Iterable[Clip], cameras: Sequence[str] | None = None) -> str:
    """Hash of keys and contents, whatever the order and wherever the files lie.

    cameras: whose pictures count, by default of all that were read. A stage compares the hash of the cameras
    that an earlier stage saw, not of those it reads itself.
    """
    rows = sorted(f"{clip.key} {clip.content_hash(cameras)}" for clip in clips)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def split_held_out(clips: Sequence[AnyClip]) -> tuple[list[AnyClip], list[AnyClip]]:
    """(training, held out), the same for every stage: a clip's name alone decides, by a hash.

    Of each file of demonstrations, and of each numbered series of videos, at least one of several is held
    out; whatever stands alone (other videos, files of one demonstration) counts as one group. So neither the
    order nor other files matter, and a video exported from a demonstration falls on the demonstration's side.
    """
    names = [_series_and_name(clip.key) for clip in clips]
    members: dict[str, set[str]] = {}
    for series, name in names:
        members.setdefault(series, set()).add(name)
    groups: dict[str, list[tuple[float, int]]] = {}
    for i, (series, name) in enumerate(names):
        group = series if len(members[series]) > 1 else ""
        groups.setdefault(group, []).append((_draw(series, name), i))
    held_out = {i for group in groups.values() for i in _lowest(group)}
    return (
        [clip for i, clip in enumerate(clips) if i not in held_out],
        [clip for i, clip in enumerate(clips) if i in held_out],
    )


def _series_and_name(key: str) -> tuple[str, str]:
    """`folder/push_demo/demo_3` and `folder/push_0003.mp4/video` are both number 3 of `folder/push`."""
    source, _, name = key.rpartition("/")
    folder, slash, file = source.rpartition("/")
    if name != "video":
        return folder + slash + file.removesuffix("_demo"), name.removeprefix("demo_")
    stem = file.rpartition(".")[0]
    numbered = re.fullmatch(r"(.+)_(\d+)", stem)
    return (folder + slash + numbered[1], str(int(numbered[2]))) if numbered else ("", stem)


def _draw(series: str, name: str) -> float:
    """A number in [0, 1) that the name alone decides; folders, which other files can add to it, do not."""
    digest = hashlib.sha256(f"{series.rpartition('/')[2]}/{name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _lowest(group: list[tuple[float, int]]) -> list[int]:
    """The members whose draw is below HELD_OUT; of several at least one, and never all."""
    draws = [draw for draw, _ in group]
    limit = max(HELD_OUT, min(draws))
    return [i for draw, i in group if draw <= limit and draw < max(draws)]


def first_share(clips: Sequence[AnyClip], share: float) -> list[AnyClip]:
    """The first clips of each file; ConfigError where the share of one is none."""
    by_file: dict[str, list[AnyClip]] = {}
    for clip in clips:
        by_file.setdefault(clip.key.rpartition("/")[0], []).append(clip)
    for file, group in by_file.items():
        if round(share * len(group)) < 1:
            raise ConfigError(f"share {share} of the {len(group)} demonstrations of {file} is none of them")
    return [clip for group in by_file.values() for clip in group[: round(share * len(group))]]


def labelled_and_rest(
    training: Sequence[Episode], held_out: Sequence[Clip], share: float, unlabelled: Sequence[Clip] = ()
) -> tuple[list[Episode], list[Clip]]:
    """(demonstrations whose labels are used, the clips whose labels are decoded).

    training, held_out: demonstrations as `split_held_out` divides them; the first `share` of each file of
    training are labelled. Decoded are the rest of it and, of `unlabelled`, what is neither held out nor among
    the demonstrations already.
    """
    labelled = first_share(training, share)
    others = [clip for clip in training if clip.key not in {own.key for own in labelled}]
    known = {clip.key for clip in (*training, *held_out)}
    more = [clip for clip in split_held_out(unlabelled)[0] if clip.key not in known]
    return labelled, [*others, *more]


def require_one_robot(episodes: Sequence[Episode], proprio: bool = False, hand: bool = False) -> None:
    """DataError where demonstrations differ in the numbers of an action or, where these are read, of
    proprioception, or in whether pose and fingers were recorded."""

    def numbers(episode: Episode) -> dict[str, int]:
        of_state = {"proprioception": episode.proprio.shape[1]} if proprio else {}
        of_hand = {"pose and fingers": int(episode.has_gripper)} if hand else {}
        return {"action": episode.actions.shape[1], **of_state, **of_hand}

    first = episodes[0]
    for episode in episodes:
        if numbers(episode) != numbers(first):
            raise DataError(
                f"{episode.key} has other numbers {numbers(episode)} than {first.key} {numbers(first)}: "
                "train on one robot at a time"
            )


def describe_data(paths: Any, clips: Sequence[Clip]) -> dict[str, Any]:
    """The card's `data`: paths, number of clips and frames, frames a second, content hash, the cameras it
    covers and, unless there are more than `MAX_INSTRUCTIONS`, its instructions.

    Where all clips name the same `assets` and `assets_hash`, also these, so that a simulation can show a
    policy the pictures it was trained on.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    instructions = sorted({clip.instruction for clip in clips} - {""})
    drawn_from = {name: [clip.attrs.get(name) for clip in clips] for name in ("assets", "assets_hash")}
    return {
        "paths": [str(p) for p in paths],
        "episodes": len(clips),
        "frames": sum(len(clip) for clip in clips),
        "cameras": sorted({camera for clip in clips for camera in clip.frames}),
        "fps": clips[0].fps if clips else None,
        "hash": content_hash(clips),
        **({"instructions": instructions} if 0 < len(instructions) <= MAX_INSTRUCTIONS else {}),
        **{name: found[0] for name, found in drawn_from.items() if len(set(found)) == 1 and found[0]},
    }
