"""Write demonstrations as action-less video: one mp4 each and a list of captions.

    python training/export_video.py --data data/libero_object --out data/video

writes `<out>/<task>_<number>.mp4` and `<out>/captions.jsonl`, one line a video: `file`, `caption` (the
instruction), `frames`, `fps`, `camera`, `size`. Run the same command again to continue after an interruption;
`train_lam.py --data <out>` learns from the folder. For sharper pictures draw the demonstrations again
first: `collect_demos.py --rerender ... --image-size 256`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from tqdm import tqdm

from hilam_core.data import Episode, ReadConfig, camera_names, read_captions, read_demonstrations
from hilam_core.data.videos import CAPTIONS
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import replacing, writable_folder
from hilam_core.observation import prepare_image
from hilam_core.program import run_program
from hilam_core.video import write_video


@dataclass(frozen=True)
class Config:
    data: tuple[Path, ...] = (Path("data/libero_object"),)
    """Demonstrations: files (*.hdf5), LeRobot datasets, or folders of them."""
    out: Path = Path("data/video")
    """Folder to write to."""
    camera: str | None = None
    """Camera whose images to write, by default the first of the data."""
    size: int | None = None
    """Pixels of both sides, even; by default the shorter side as recorded."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""


def write_captions(path: Path, captions: dict[str, dict]) -> None:
    """Write them all, or leave the file as it was."""
    with replacing(path) as draft:
        draft.write_text("".join(json.dumps(captions[file]) + "\n" for file in sorted(captions)))


def caption_of(episode: Episode, camera: str, size: int | None) -> dict:
    """The line of captions for an episode."""
    source, _, number = episode.key.rpartition("/")
    task = source.rpartition("/")[2]
    return {
        "file": f"{task.removesuffix('_demo')}_{int(number.rpartition('_')[2]):04d}.mp4",
        "caption": episode.instruction,
        "frames": len(episode),
        "fps": episode.fps,
        "camera": camera,
        "size": size or min(episode.frames[camera].shape[1:3]),
    }


def main(config: Config) -> None:
    camera = config.camera or camera_names(config.data, config.read)[0]
    episodes = read_demonstrations(config.data, (camera,), config.read)
    rows = [caption_of(episode, camera, config.size) for episode in episodes]
    writable_folder(config.out)
    captions = read_captions(config.out / CAPTIONS[0])
    for row in rows:
        if row["size"] < 2 or row["size"] % 2:
            raise ConfigError(
                f"videos need an even number of pixels, not {row['size']}: choose another --size"
            )
        if captions.get(row["file"], row) != row:
            raise DataError(
                f"{config.out / row['file']} was written otherwise ({captions[row['file']]}): "
                "choose the same, or another --out"
            )
    if len({row["file"] for row in rows}) < len(rows):
        raise DataError("two files of demonstrations have the same name: export them to an --out each")
    try:
        for episode, row in zip(tqdm(episodes, unit="video"), rows, strict=True):
            video = config.out / row["file"]
            if row["file"] not in captions or not video.exists():
                frames = (prepare_image(frame, row["size"]) for frame in episode.frames[camera])
                write_video(video, frames, episode.fps)
                captions[row["file"]] = row
    finally:
        write_captions(config.out / CAPTIONS[0], captions)
    print(f"{config.out}: {len(rows)} videos and {CAPTIONS[0]}")


if __name__ == "__main__":
    run_program(main, Config)
