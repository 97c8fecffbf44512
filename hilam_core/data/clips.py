"""Action-less clips: videos, and demonstrations of which only the frames are needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hilam_core.conventions import CONTROL_HZ
from hilam_core.data.episode import Clip
from hilam_core.data.frames import map_frames
from hilam_core.data.hdf5 import DEMO_SUFFIXES, is_store, read_demonstrations
from hilam_core.data.paths import Paths, find_files, names_of, source_names
from hilam_core.errors import ConfigError, DataError
from hilam_core.video import VIDEO_SUFFIXES, read_blocks

CAPTIONS = "captions.jsonl"


def read_clips(paths: Paths, cameras: Sequence[str] = ("agentview",), limit: int | None = None) -> list[Clip]:
    """Demonstrations (as `Episode`, at most `limit` of each file) and videos, in order of file name.

    A video shows one camera: its frames stand under the first of `cameras`. It is read at CONTROL_HZ frames a
    second, so that a gap of k frames is the same time everywhere; its instruction is the caption that
    `captions.jsonl` beside it gives.

    Raises:
        ConfigError: no camera is named.
        DataError: anything is missing, corrupt or of another kind.
    """
    if not cameras:
        raise ConfigError("clips are frames: name at least one camera")
    files = [file for file in find_files(paths, DEMO_SUFFIXES + VIDEO_SUFFIXES) if not is_store(file)]
    demonstrations = [file for file in files if file.suffix.lower() in DEMO_SUFFIXES]
    videos = source_names({file: file.name for file in files if file.suffix.lower() in VIDEO_SUFFIXES})
    clips: list[Clip] = []
    if demonstrations:
        clips += read_demonstrations(demonstrations, None, limit, cameras)
    captions = {folder: read_captions(folder / CAPTIONS) for folder in {video.parent for video in videos}}
    for video, name in videos.items():
        mapped = map_frames(video, "video", partial(read_blocks, video, CONTROL_HZ))
        caption = captions[video.parent].get(video.name, {}).get("caption", "")
        clips.append(
            Clip(
                key=f"{name}/video",
                frames={cameras[0]: mapped.frames},
                instruction=caption,
                # The file names the pictures: decoders of two machines differ in the last bit of a colour.
                picture_hashes={cameras[0]: mapped.file_hash},
            )
        )
    if not clips:
        raise DataError(
            f"neither demonstrations (*.hdf5) nor videos ({', '.join(VIDEO_SUFFIXES)}) in {names_of(paths)}"
        )
    return clips


def read_captions(path: Path) -> dict[str, dict[str, Any]]:
    """Captions by file name: one JSON object a line, with `file` and `caption`; none without a file."""
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return {str(row["file"]): {**row, "caption": str(row["caption"])} for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of captions ({error}): move it away") from None
