"""Videos as clips, with captions beside them or in a list."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hilam_core.conventions import CAMERAS, CONTROL_HZ
from hilam_core.data.config import ReadConfig
from hilam_core.data.episode import Clip
from hilam_core.data.frames import Frames, Source, pieces_of, store_piece
from hilam_core.errors import DataError
from hilam_core.video import VIDEO_SUFFIXES, frames_at

CAPTIONS = ("captions.jsonl", "captions.csv")
STILL = 8  # of 255: what compression changes in a picture that stands still


def is_video(path: Path) -> bool:
    """Whether a path is a file of video."""
    return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def video_cameras(path: Path, config: ReadConfig) -> list[str]:
    """A video shows one camera, which counts as LIBERO's first where no name is asked for."""
    return [CAMERAS[0]]


def read_videos(sources: Mapping[Path, str], cameras: Sequence[str] | None, config: ReadConfig) -> list[Clip]:
    """One clip a video, its frames under the first of `cameras`, `config.fps` (or 20) a second.

    Each video is decoded once, in threads, to know that it is whole; that is remembered.

    Raises:
        DataError: a video cannot be read, or nothing moves in it; with `skip_broken` these are listed
        instead.
    """
    camera = [*(cameras or ()), CAMERAS[0]][0]
    captions = Captions(config.captions)
    wanted = {path: name for path, name in sources.items() if captions.wants(path)}
    if not wanted:
        raise DataError(f"{config.captions} lists none of the {len(sources)} videos")
    open_one = partial(_open, camera=camera, captions=captions, config=config)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        opened = pool.map(open_one, wanted, wanted.values())
        bar = tqdm(opened, desc="opening videos", total=len(wanted), leave=False, delay=1)
        try:
            results = list(bar)
        finally:
            pool.shutdown(cancel_futures=True)
    broken = [result for result in results if isinstance(result, DataError)]
    for error in broken:
        print(f"left out: {error}")
    clips = [result for result in results if isinstance(result, Clip)]
    if not clips:
        raise DataError(f"all {len(broken)} videos are broken")
    return clips


def _open(path: Path, name: str, camera: str, captions: Captions, config: ReadConfig) -> Clip | DataError:
    fps = config.fps or float(CONTROL_HZ)
    at = "" if fps == CONTROL_HZ else f"@{fps:g}"
    source = Source(path, config.cache_bound_gb)
    seen = source.fact(f"video{at}", partial(_look_through, source, f"video{at}", fps))
    if problem := seen.get("problem"):
        error = DataError(f"{path} {problem}")
        if config.skip_broken:
            return error
        raise DataError(f"{error}: remove it, or leave such videos out with --skip-broken")
    frames = Frames(source, f"video{at}", seen["shape"], partial(_decode, path, fps))
    return Clip(
        key=f"{name}/video",
        frames={camera: frames},
        fps=fps,
        instruction=captions.of(path),
        # The file names the pictures: decoders of two machines differ in the last bit of a colour.
        picture_hashes={camera: source.sha256 + at},
    )


def _look_through(source: Source, name: str, fps: float) -> dict[str, Any]:
    """Shape of a video's pictures, or what is wrong with it; its pieces go into the cache while there is
    room."""
    count, shape, first, moves = 0, (0, 0, 3), None, False
    try:
        pictures = frames_at(source.path, _times(fps, 0))
        first = next(pictures, None)
        if first is None:
            return {"problem": "holds no video frames"}
        shape = first.shape
        size = pieces_of((0, *shape))
        for block in _blocks(itertools.chain([first], pictures), size):
            store_piece(source, name, count // size, block, evict=False)
            count += len(block)
            moves = moves or int(np.abs(block.astype(np.int16) - first).max()) > STILL
    except DataError as error:
        return {"problem": str(error).removeprefix(f"{source.path} ")}
    if not moves:
        return {"problem": f"shows the same picture in all its {count} frames"}
    return {"shape": [count, *shape]}


def _blocks(pictures: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    pictures = iter(pictures)
    while block := list(itertools.islice(pictures, size)):
        yield np.stack(block)


def _times(fps: float, start: int, stop: int | None = None) -> Iterator[float]:
    """The middle of each frame's interval, in seconds: times are rounded to the container's clock."""
    numbers = itertools.count(start) if stop is None else range(start, stop)
    return ((i + 0.5) / fps for i in numbers)


def _decode(path: Path, fps: float, start: int, stop: int) -> Iterator[np.ndarray]:
    return _blocks(frames_at(path, _times(fps, start, stop)), stop - start)


class Captions:
    """Captions of videos: those of one list, or of the lists that lie beside the videos."""

    def __init__(self, path: Path | None):
        if path is not None and not path.is_file():
            raise DataError(f"{path}, the list of captions, does not exist")
        self._list = None if path is None else read_captions(path)
        self._beside: dict[Path, dict[str, dict[str, Any]]] = {}

    def wants(self, video: Path) -> bool:
        """Whether to read a video: one list of captions also says which."""
        return self._list is None or bool(self._row(self._list, video))

    def of(self, video: Path) -> str:
        """The caption of a video; empty where it has none."""
        rows = self._list
        if rows is None:
            if video.parent not in self._beside:
                there = [video.parent / name for name in CAPTIONS if (video.parent / name).exists()]
                self._beside[video.parent] = read_captions(there[0]) if there else {}
            rows = self._beside[video.parent]
        return str(self._row(rows, video).get("caption", ""))

    @staticmethod
    def _row(rows: Mapping[str, dict[str, Any]], video: Path) -> dict[str, Any]:
        return rows.get(video.name) or rows.get(video.stem) or {}


def read_captions(path: Path) -> dict[str, dict[str, Any]]:
    """Rows by file name (or id, a name without suffix), each with `caption`; none without a file.

    JSONL and CSV have `file` and `caption`. A JSON list has `id` and `label`, as Something-Something V2 is
    published; `template` and `placeholders` stay in the row.

    Raises:
        DataError: the file is no such list.
    """
    if not path.exists():
        return {}
    try:
        if path.suffix.lower() == ".json":
            rows = [
                {"file": row["id"], "caption": row["label"], **row} for row in json.loads(path.read_text())
            ]
        elif path.suffix.lower() == ".csv":
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
        else:
            rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return {str(row["file"]): {**row, "caption": str(row["caption"])} for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no list of captions ({error!r}): rows need 'file', 'caption' or in JSON 'id', 'label'"
        ) from None
