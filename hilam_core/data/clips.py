"""Action-less clips: videos, and demonstrations of which only the frames are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hilam_core.data.episode import Clip
from hilam_core.data.frames import map_frames
from hilam_core.data.hdf5 import DEMO_SUFFIXES, read_demonstrations
from hilam_core.data.paths import Paths, find_files, names_of
from hilam_core.errors import DataError
from hilam_core.video import VIDEO_SUFFIXES, read_video


def read_clips(paths: Paths, cameras: Sequence[str] = ("agentview",), limit: int | None = None) -> list[Clip]:
    """Clips from demonstrations (one per camera, key `<episode>/<camera>`) and from video files."""
    demonstrations = find_files(paths, DEMO_SUFFIXES)
    clips = [
        Clip(f"{episode.key}/{camera}", episode.frames[camera])
        for episode in (read_demonstrations(demonstrations, None, limit, cameras) if demonstrations else [])
        for camera in cameras
    ]
    for video in find_files(paths, VIDEO_SUFFIXES):
        # Numbered videos of one name are a series, of which some are held out like episodes of a file.
        name = re.sub(r"_(\d+)$", r"/\1", video.stem)
        clips.append(Clip(f"{name}/video", map_frames(video, "video", partial(_decode_video, video))))
    if not clips:
        raise DataError(
            f"neither demonstrations (*.hdf5) nor videos ({', '.join(VIDEO_SUFFIXES)}) in {names_of(paths)}"
        )
    return clips


def _decode_video(path: Path) -> Iterable[np.ndarray]:
    yield read_video(path)
