"""LeRobot datasets, version 3: parquet and mp4 files that each hold many episodes.

Numbers are read when a dataset is opened, pictures when they are looked at. Cameras are called as in the
dataset, without `observation.images.`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hilam_core.data.config import ReadConfig
from hilam_core.data.episode import Episode
from hilam_core.data.frames import Frames, Source
from hilam_core.errors import ConfigError, DataError
from hilam_core.video import frames_at

VERSION = "v3.0"
INFO = "meta/info.json"
TASKS = "meta/tasks.parquet"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
IMAGES = "observation.images."
ACTION, STATE = "action", "observation.state"


def is_lerobot(path: Path) -> bool:
    """Whether a path is the folder of a LeRobot dataset."""
    return (path / INFO).is_file()


def lerobot_cameras(path: Path, config: ReadConfig) -> list[str]:
    """Names of a dataset's cameras."""
    return [*_Dataset.open(path).cameras]


def read_lerobot(
    sources: Mapping[Path, str], cameras: Sequence[str] | None, config: ReadConfig
) -> list[Episode]:
    """The chosen episodes of datasets; sources: folder -> what to call it in keys.

    `observation.state` is the state `state`, other numbers of `observation.` stand under their own names; the
    task is the instruction.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: a file is missing, damaged or of another version; numbers are not finite; an episode or a
        camera that was asked for is not there.
    """
    return [
        episode
        for path, name in sources.items()
        for episode in _read_dataset(_Dataset.open(path), name, cameras, config)
    ]


@dataclass(frozen=True)
class _Dataset:
    """A dataset's folder and what its `info.json` says."""

    root: Path
    info: dict[str, Any]

    @classmethod
    def open(cls, root: Path) -> _Dataset:
        try:
            info = json.loads((root / INFO).read_text())
            version, _ = str(info["codebase_version"]), (info["fps"], info["features"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{root / INFO} does not describe a LeRobot dataset: {error!r}") from None
        if not version.startswith("v3."):
            raise DataError(
                f"{root} is a LeRobot dataset of version {version}, not {VERSION}: convert it with lerobot"
            )
        return cls(root, info)

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        features: dict[str, dict[str, Any]] = self.info["features"]
        return features

    @property
    def fps(self) -> float:
        return float(self.info["fps"])

    @property
    def cameras(self) -> dict[str, str]:
        """name -> feature, of all cameras that show colours."""
        return {
            key.removeprefix(IMAGES).removeprefix("observation."): key
            for key, feature in self.features.items()
            if feature["dtype"] in ("video", "image")
            and not (feature.get("info") or {}).get("video.is_depth_map")
        }

    @property
    def states(self) -> dict[str, str]:
        """name -> feature, of all vectors that were observed."""
        return {
            key.removeprefix("observation."): key
            for key, feature in self.features.items()
            if key.startswith("observation.")
            and str(feature["dtype"]).startswith(("float", "int"))
            and len(feature["shape"]) == 1
        }

    def picture_shape(self, key: str) -> tuple[int, int, int]:
        """[H, W, 3] of a camera; some datasets describe theirs as [3, H, W]."""
        shape = list(self.features[key]["shape"])
        if len(shape) == 3 and shape[0] == 3 and shape[2] != 3:
            shape = [*shape[1:], 3]
        if len(shape) != 3 or shape[2] != 3:
            raise DataError(f"{self.root}: {key} has pictures of shape {shape}, not [height, width, 3]")
        return shape[0], shape[1], 3

    def file(self, template: str, place: str, episode: Mapping[str, Any], **names: str) -> Path:
        """The file that holds an episode's `place` ("data", "videos/<key>")."""
        chunk, number = (int(episode[f"{place}/{part}_index"]) for part in ("chunk", "file"))
        return self.root / template.format(chunk_index=chunk, file_index=number, **names)

    def data_file(self, episode: Mapping[str, Any]) -> Path:
        return self.file(self.info.get("data_path", DATA_PATH), "data", episode)

    def video_file(self, key: str, episode: Mapping[str, Any]) -> Path:
        return self.file(self.info.get("video_path", VIDEO_PATH), f"videos/{key}", episode, video_key=key)


def _read_dataset(
    dataset: _Dataset, name: str, cameras: Sequence[str] | None, config: ReadConfig
) -> list[Episode]:
    there = dataset.cameras
    for camera in cameras or ():
        if camera not in there:
            raise DataError(f"{dataset.root}: no camera {camera!r}; there are: {', '.join(there)}")
    keys = {camera: there[camera] for camera in (there if cameras is None else cameras)}
    rows = _episodes(dataset, keys.values(), config)
    numbers = _Numbers(dataset)
    opened = _open_files(dataset, keys.values(), rows, config)
    return [_episode(dataset, name, row, keys, opened, numbers, config) for row in rows]


def _episodes(dataset: _Dataset, keys: Iterable[str], config: ReadConfig) -> list[dict[str, Any]]:
    """What `meta/episodes` says of the chosen episodes: length, tasks, files, times."""
    files = sorted((dataset.root / "meta/episodes").glob("*/*.parquet"))
    if not files:
        raise DataError(f"{dataset.root} has no meta/episodes/chunk-*/file-*.parquet")
    wanted = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    for key in keys:
        if dataset.features[key]["dtype"] == "video":
            wanted += [f"videos/{key}/{part}" for part in ("chunk_index", "file_index", "from_timestamp")]
    rows = [row for file in files for row in _read_parquet(file, wanted).to_pylist()]
    by_number = {int(row["episode_index"]): row for row in rows}
    if missing := [n for n in config.episodes if n not in by_number]:
        raise DataError(f"{dataset.root} has no episode {missing[0]}, only 0 to {max(by_number, default=-1)}")
    if short := [n for n, row in by_number.items() if row["length"] < 2]:
        raise DataError(f"{dataset.root}: episode {short[0]} is too short: leave it out with --episodes")
    chosen = config.chosen(sorted(by_number))
    if not chosen:
        raise DataError(f"{dataset.root} holds no episodes")
    return [by_number[n] for n in chosen]


def _open_files(
    dataset: _Dataset, keys: Iterable[str], rows: Sequence[Mapping[str, Any]], config: ReadConfig
) -> dict[Path, Source]:
    """The files with the pictures; their content is hashed once, in threads."""
    paths = {_pictures_file(dataset, key, row) for key in keys for row in rows}
    if missing := sorted(path for path in paths if not path.is_file()):
        raise DataError(f"{missing[0]} is missing from the dataset {dataset.root}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sources = pool.map(lambda path: Source(path, config.cache_bound_gb, dataset.root), paths)
        return dict(zip(paths, sources, strict=True))


def _pictures_file(dataset: _Dataset, key: str, row: Mapping[str, Any]) -> Path:
    in_video = dataset.features[key]["dtype"] == "video"
    return dataset.video_file(key, row) if in_video else dataset.data_file(row)


def _episode(
    dataset: _Dataset,
    name: str,
    row: Mapping[str, Any],
    keys: Mapping[str, str],
    opened: Mapping[Path, Source],
    numbers: _Numbers,
    config: ReadConfig,
) -> Episode:
    index, length = int(row["episode_index"]), int(row["length"])
    steps = config.rows(length, dataset.fps)
    at = "" if len(steps) == length else f"@{config.fps:g}"
    frames, hashes = {}, {}
    for camera, key in keys.items():
        source = opened[_pictures_file(dataset, key, row)]
        if dataset.features[key]["dtype"] == "video":
            start_s = float(row[f"videos/{key}/from_timestamp"])
            decode = partial(_from_video, source.path, start_s + (steps + 0.5) / dataset.fps)
        else:
            decode = partial(_from_parquet, source.path, key, index, steps)
        shape = (len(steps), *dataset.picture_shape(key))
        frames[camera] = Frames(source, f"{camera}/episode_{index}{at}", shape, decode)
        # The file names the pictures: decoders of two machines differ in the last bit of a colour.
        hashes[camera] = hashlib.sha256(f"{source.sha256} {index} {length}{at}".encode()).hexdigest()
    actions, states = numbers.of(row)
    return Episode(
        key=f"{name}/episode_{index}",
        frames=frames,
        picture_hashes=hashes,
        fps=config.fps or dataset.fps,
        instruction=str(row["tasks"][0]) if row["tasks"] else "",
        states={state: values[steps] for state, values in states.items()},
        actions=actions[steps],
    )


class _Numbers:
    """Actions and states of episodes, a file of them at a time."""

    def __init__(self, dataset: _Dataset):
        self.dataset, self._path = dataset, Path()
        self._columns: dict[str, np.ndarray] = {}

    def of(self, row: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Actions float32 and states float64 of an episode."""
        path, index = self.dataset.data_file(row), int(row["episode_index"])
        wanted = {**self.dataset.states, ACTION: ACTION}
        if ACTION not in self.dataset.features:
            raise DataError(f"{self.dataset.root} has no feature 'action'")
        if path != self._path:
            table = _read_parquet(path, ["episode_index", *wanted.values()])
            self._columns = {name: _array(table.column(name)) for name in table.column_names}
            self._path = path
        first, last = np.searchsorted(self._columns["episode_index"][:, 0], [index, index + 1])
        if last - first != row["length"]:
            raise DataError(f"{path} has {last - first} rows of episode {index}, not {row['length']}")
        values = {name: self._columns[key][first:last] for name, key in wanted.items()}
        for name, rows in values.items():
            finite = np.isfinite(rows).all(1)
            if not finite.all():
                raise DataError(
                    f"{path}: episode {index} has {name} that are not finite at step {int(np.argmin(finite))}"
                )
        actions = values.pop(ACTION)
        return actions.astype(np.float32), {k: v.astype(np.float64) for k, v in values.items()}


def _array(column: Any) -> np.ndarray:
    """A column of numbers, or of lists of them of one length, as an array [rows, n]."""
    values = column.combine_chunks()
    rows = len(values)
    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        values = values.flatten()
    return values.to_numpy(zero_copy_only=False).reshape(rows, -1)


def _from_video(path: Path, times_s: np.ndarray, start: int, stop: int) -> Iterator[np.ndarray]:
    pictures = list(frames_at(path, times_s[start:stop].tolist()))
    if len(pictures) < stop - start:
        raise DataError(f"{path} ends before second {times_s[stop - 1]:.2f}: the download broke off")
    yield np.stack(pictures)


def _from_parquet(
    path: Path, key: str, index: int, steps: np.ndarray, start: int, stop: int
) -> Iterator[np.ndarray]:
    rows = _read_parquet(path, [key], [("episode_index", "==", index)]).column(key)
    for step in steps[start:stop].tolist():
        data = rows[step].as_py()["bytes"]
        picture = cv2.imdecode(np.frombuffer(data or b"", np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
        if picture is None:
            raise DataError(f"{path}: {key} of episode {index} is no picture at step {step}")
        yield picture[None]


def _read_parquet(path: Path, columns: Sequence[str], filters: Any = None) -> Any:
    """A table; DataError where the file is missing, damaged or lacks a column."""
    parquet = arrow("parquet")
    try:
        return parquet.read_table(path, columns=list(columns), filters=filters, partitioning=None)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are among these
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None


def arrow(module: str) -> Any:
    """A module of pyarrow; ConfigError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("LeRobot datasets need pyarrow: pip install 'hilam[lerobot]'") from None
    return pyarrow.parquet if module == "parquet" else pyarrow
