"""Clips and demonstrations of every format: which reader takes a path, and what all of them must share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilam_core.data.config import ReadConfig
from hilam_core.data.episode import Clip, Episode
from hilam_core.data.hdf5 import HDF5_SUFFIXES, hdf5_cameras, is_demonstrations, read_hdf5
from hilam_core.data.lerobot import is_lerobot, lerobot_cameras, read_lerobot
from hilam_core.data.paths import Paths, find_sources, names_of, source_names
from hilam_core.data.videos import is_video, read_videos, video_cameras
from hilam_core.errors import DataError
from hilam_core.video import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Reader:
    """A format of data."""

    takes: Callable[[Path], bool]
    cameras: Callable[[Path, ReadConfig], list[str]]
    read: Callable[[Mapping[Path, str], Sequence[str] | None, ReadConfig], Sequence[Clip]]
    """(source -> its name in keys, cameras or None for all, what to read)"""
    name: Callable[[Path], str]


DEMONSTRATIONS = (
    Reader(is_demonstrations, hdf5_cameras, read_hdf5, lambda path: path.stem),
    Reader(is_lerobot, lerobot_cameras, read_lerobot, lambda path: path.resolve().name),
)
VIDEOS = Reader(is_video, video_cameras, read_videos, lambda path: path.name)


def read_clips(
    paths: Paths, cameras: Sequence[str] | None = None, config: ReadConfig | None = None
) -> list[Clip]:
    """Demonstrations (as `Episode`) and videos in `paths`: files, folders of them, LeRobot datasets.

    cameras: whose frames to give, by default of all that the data have; an empty sequence gives none. A video
    shows one camera, the first of them.

    Raises:
        DataError: anything is missing, corrupt or of another kind, or has another rate than the rest.
    """
    return _read(paths, (*DEMONSTRATIONS, VIDEOS), cameras, config)


def read_demonstrations(
    paths: Paths, cameras: Sequence[str] | None = None, config: ReadConfig | None = None
) -> list[Episode]:
    """`read_clips` of what has actions; videos in folders are passed over."""
    episodes = _read(paths, DEMONSTRATIONS, cameras, config)
    return [episode for episode in episodes if isinstance(episode, Episode)]


def camera_names(paths: Paths, config: ReadConfig | None = None) -> tuple[str, ...]:
    """The cameras of the first of the data in `paths`."""
    reader, sources = _find(paths, (*DEMONSTRATIONS, VIDEOS))[0]
    names = tuple(reader.cameras(sources[0], config or ReadConfig()))
    if not names:
        raise DataError(f"{sources[0]} has no camera")
    return names


def require_rate(clips: Sequence[Clip], fps: float, source: Path | str) -> None:
    """DataError unless clips have as many frames a second as `source`: a gap of k frames is a time."""
    for clip in clips:
        if abs(clip.fps - fps) > 0.01 * fps:
            raise DataError(
                f"{clip.key} has {clip.fps:g} frames a second, {source} {fps:g}: read both with --fps {fps:g}"
            )


def _read(
    paths: Paths, readers: Sequence[Reader], cameras: Sequence[str] | None, config: ReadConfig | None
) -> list[Clip]:
    clips: list[Clip] = []
    for reader, sources in _find(paths, readers):
        named = source_names({source: reader.name(source) for source in sources})
        clips += reader.read(named, cameras, config or ReadConfig())
    require_rate(clips, clips[0].fps, clips[0].key)
    return clips


def _find(paths: Paths, readers: Sequence[Reader]) -> list[tuple[Reader, list[Path]]]:
    """The readers that are needed, each with what it is to read."""
    suffixes = (*HDF5_SUFFIXES, *(VIDEO_SUFFIXES if VIDEOS in readers else ()))
    kinds = ", ".join([*(f"*{suffix}" for suffix in suffixes), "a LeRobot dataset"])
    sources = find_sources(paths, lambda path: any(reader.takes(path) for reader in readers), kinds)
    if not sources:
        raise DataError(f"no data in {names_of(paths)}: neither {kinds}")
    found = [(reader, [source for source in sources if reader.takes(source)]) for reader in readers]
    return [(reader, of_reader) for reader, of_reader in found if of_reader]
