"""Write demonstrations as a LeRobot dataset (version 3).

    python training/export_lerobot.py --data data/libero_object --out data/lerobot/libero_object

writes `<out>/{meta,data,videos}` as the lerobot package reads it: actions, `observation.state` (what our
policies may read of the robot), the other states under their names, every camera as H.264, instructions as
tasks. Programs here read it by `--data <out>`. `meta/info.json` is written last: a folder without it is
started anew.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tqdm import tqdm

from hilam_core.data import Episode, ReadConfig, read_demonstrations
from hilam_core.data.lerobot import (
    ACTION,
    DATA_PATH,
    EPISODES_PATH,
    IMAGES,
    INFO,
    STATE,
    TASKS,
    VERSION,
    VIDEO_PATH,
    arrow,
)
from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing, writable_folder, write_json
from hilam_core.program import run_program
from hilam_core.video import write_video

FILE_FRAMES = 20_000  # some 100 MB of small pictures: lerobot's files are of that size
CHUNK_FILES = 1000
KEY_FRAMES = 10  # readers jump to the key frame before; more of them make larger files
STATISTICS_FRAMES = 500  # pictures that the statistics of a camera are made of
QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


@dataclass(frozen=True)
class Config:
    data: tuple[Path, ...] = (Path("data/libero_object"),)
    """Demonstrations: files (*.hdf5), LeRobot datasets, or folders of them."""
    out: Path = Path("data/lerobot/libero_object")
    """Folder of the dataset; one that holds a dataset already is not touched."""
    cameras: tuple[str, ...] = ()
    """Cameras to write, by default all."""
    robot: str = "panda"
    """Name of the robot, `robot_type` of the dataset."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""


def numbers_of(episode: Episode) -> dict[str, np.ndarray]:
    """The features of an episode that are vectors, [T, n] each."""
    others = {f"observation.{name}": v for name, v in episode.states.items() if name != "state"}
    return {ACTION: episode.actions, STATE: episode.proprio, **others}


def describe(episodes: Sequence[Episode], robot: str) -> dict[str, Any]:
    """`info.json`."""
    first, fps = episodes[0], episodes[0].fps
    vectors = {
        key: {"dtype": str(values.dtype), "shape": [values.shape[1]], "names": None}
        for key, values in numbers_of(first).items()
    }
    own = {
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{
            key: {"dtype": "int64", "shape": [1], "names": None}
            for key in ("frame_index", "episode_index", "index", "task_index")
        },
    }
    return {
        "codebase_version": VERSION,
        "robot_type": robot,
        "total_episodes": len(episodes),
        "total_frames": sum(map(len, episodes)),
        "total_tasks": len({episode.instruction for episode in episodes}),
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": round(fps),
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": {
            **vectors,
            **{f"{IMAGES}{c}": describe_camera(f.shape, fps) for c, f in first.frames.items()},
            **own,
        },
    }


def describe_camera(shape: Sequence[int], fps: float) -> dict[str, Any]:
    """The feature of a camera with frames [T, H, W, 3]."""
    height, width = shape[1:3]
    return {
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height,
            "video.width": width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": round(fps),
            "video.channels": 3,
            "has_audio": False,
        },
    }


def require_one_kind(episodes: Sequence[Episode]) -> None:
    """DataError where episodes differ in what a dataset has one of: cameras, sizes, numbers, a whole rate."""

    def kind(episode: Episode) -> dict[str, Any]:
        pictures = {camera: frames.shape[1:] for camera, frames in episode.frames.items()}
        return {**pictures, **{key: values.shape[1:] for key, values in numbers_of(episode).items()}}

    first = episodes[0]
    for episode in episodes:
        if kind(episode) != kind(first):
            raise DataError(
                f"{episode.key} holds {kind(episode)}, {first.key} {kind(first)}: export them apart"
            )
        if not episode.instruction:
            raise DataError(f"{episode.key} has no instruction, which a dataset needs as its task")
    if first.fps != round(first.fps):
        raise DataError(f"a dataset has a whole number of frames a second, not {first.fps:g}: give --fps")


def files_of(episodes: Sequence[Episode]) -> list[list[int]]:
    """Numbers of the episodes in each file."""
    files: list[list[int]] = [[]]
    frames = 0
    for number, episode in enumerate(episodes):
        if files[-1] and frames + len(episode) > FILE_FRAMES:
            files.append([])
            frames = 0
        files[-1].append(number)
        frames += len(episode)
    return files


def pictures_of(episodes: Sequence[Episode], camera: str) -> Iterator[np.ndarray]:
    """The frames of episodes one after the other."""
    return itertools.chain.from_iterable(episode.frames[camera] for episode in episodes)


def write_table(path: Path, columns: dict[str, Any], schema: Any = None) -> None:
    """A parquet file, whole or not at all."""
    table = arrow("arrow").table(columns, schema=schema)
    with replacing(path) as draft:
        arrow("parquet").write_table(table, draft)


def list_column(values: np.ndarray) -> Any:
    """Rows [N, n] as a column of lists; of single numbers where n is 1, as lerobot has them."""
    pa = arrow("arrow")
    if values.shape[1] == 1:
        return pa.array(values[:, 0])
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def data_columns(episodes: Sequence[Episode], numbers: list[int], first_index: int, tasks: list[str]) -> dict:
    """The columns of one data file."""
    some = [episodes[number] for number in numbers]
    lengths = [len(episode) for episode in some]
    steps = np.concatenate([np.arange(length) for length in lengths])
    vectors = [numbers_of(episode) for episode in some]
    return {
        **{key: list_column(np.concatenate([v[key] for v in vectors])) for key in vectors[0]},
        "timestamp": (steps / some[0].fps).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.repeat(numbers, lengths),
        "index": first_index + np.arange(len(steps)),
        "task_index": np.repeat([tasks.index(episode.instruction) for episode in some], lengths),
    }


def episode_rows(episodes: Sequence[Episode], files: list[list[int]]) -> list[dict[str, Any]]:
    """What `meta/episodes` says of each episode."""
    rows, index = [], 0
    for file, numbers in enumerate(files):
        place = {"chunk_index": file // CHUNK_FILES, "file_index": file % CHUNK_FILES}
        start = index
        for number in numbers:
            episode = episodes[number]
            row: dict[str, Any] = {
                "episode_index": number,
                "tasks": [episode.instruction],
                "length": len(episode),
                **{f"data/{key}": value for key, value in place.items()},
                "dataset_from_index": index,
                "dataset_to_index": index + len(episode),
            }
            for camera in episode.frames:
                of_video = f"videos/{IMAGES}{camera}"
                row |= {f"{of_video}/{key}": value for key, value in place.items()}
                row[f"{of_video}/from_timestamp"] = (index - start) / episode.fps
                row[f"{of_video}/to_timestamp"] = (index - start + len(episode)) / episode.fps
            index += len(episode)
            rows.append({**row, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
    return rows


def statistics_of(episodes: Sequence[Episode], camera_names: Sequence[str]) -> dict[str, Any]:
    """`stats.json`: of vectors over all rows, of pictures over some of them, in [0, 1] for each channel."""
    vectors = [numbers_of(episode) for episode in episodes]
    stats = {key: summary(np.concatenate([v[key] for v in vectors]), (-1,)) for key in vectors[0]}
    total = sum(map(len, episodes))
    for camera in camera_names:
        step = max(1, total // STATISTICS_FRAMES)
        some = [e.frames[camera][len(e) // 2 :: step][:4] for e in episodes[:: max(1, len(episodes) // 100)]]
        stats[f"{IMAGES}{camera}"] = summary(np.concatenate(some).reshape(-1, 3) / 255, (3, 1, 1))
    return stats


def summary(rows: np.ndarray, shape: tuple[int, ...]) -> dict[str, Any]:
    """Statistics of rows [N, n] as lerobot names them."""
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    found |= {name: np.quantile(rows, at, axis=0) for name, at in QUANTILES.items()}
    return {**{name: v.reshape(shape).tolist() for name, v in found.items()}, "count": [len(rows)]}


def write_dataset(out: Path, episodes: Sequence[Episode], robot: str) -> None:
    """The folder of a dataset; `meta/info.json` last."""
    require_one_kind(episodes)
    tasks = list(dict.fromkeys(episode.instruction for episode in episodes))
    files, index = files_of(episodes), 0
    for file, numbers in enumerate(tqdm(files, unit="file")):
        place = {"chunk_index": file // CHUNK_FILES, "file_index": file % CHUNK_FILES}
        some = [episodes[number] for number in numbers]
        write_table(out / DATA_PATH.format(**place), data_columns(episodes, numbers, index, tasks))
        for camera in some[0].frames:
            path = out / VIDEO_PATH.format(video_key=f"{IMAGES}{camera}", **place)
            write_video(path, pictures_of(some, camera), some[0].fps, key_frames=KEY_FRAMES)
        index += sum(map(len, some))
    rows = episode_rows(episodes, files)
    write_table(
        out / EPISODES_PATH.format(chunk_index=0, file_index=0),
        {key: [row[key] for row in rows] for key in rows[0]},
    )
    write_tasks(out / TASKS, tasks)
    write_json(out / "meta/stats.json", statistics_of(episodes, [*episodes[0].frames]))
    write_json(out / INFO, describe(episodes, robot))


def write_tasks(path: Path, tasks: Sequence[str]) -> None:
    """The table of tasks: as pandas writes a frame of `task_index` whose index is the task."""
    pa = arrow("arrow")
    index = {"index_columns": ["task"], "column_indexes": [], "columns": [], "pandas_version": "2.0.0"}
    index["columns"] = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}
        for name, kind, numpy_kind in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    schema = pa.schema(
        [("task_index", pa.int64()), ("task", pa.string())], metadata={"pandas": json.dumps(index)}
    )
    write_table(path, {"task_index": [*range(len(tasks))], "task": list(tasks)}, schema)


def main(config: Config) -> None:
    if (config.out / INFO).exists():
        raise FileError(f"{config.out} holds a dataset already: choose another --out, or remove it")
    episodes = read_demonstrations(config.data, config.cameras or None, config.read)
    writable_folder(config.out)
    write_dataset(config.out, episodes, config.robot)
    print(f"{config.out}: {len(episodes)} episodes, {sum(map(len, episodes))} frames")


if __name__ == "__main__":
    run_program(main, Config)
