"""Import recordings of a robot (MCAP bags of hilam_ros's recorder) as demonstrations, or as plain video.

    python training/import_bags.py --bags recordings --out data/mine
    python training/import_bags.py --bags recordings --out data/mine_video --video
    python training/import_bags.py --bags hands --out data/hands --video --topic /image_raw --instruction fold

The first writes `<out>/<instruction>_demo.hdf5` in robomimic's layout, one file for each instruction; every
program that reads demonstrations takes the folder. Images and states are those that camera_ingest would
publish for the policy, actions what was proposed to the safety monitor, in [-1, 1]. The second writes one mp4
for each recording and captions.jsonl; neither actions nor the arm's state are read. The third takes bags of
anybody's, also `ros2 bag record -s mcap`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hilam_core.conventions import CONTROL_HZ
from hilam_core.data import Episode
from hilam_core.data.hdf5 import write_hdf5
from hilam_core.data.videos import CAPTIONS
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import replacing, writable_folder
from hilam_core.observation import prepare_image
from hilam_core.program import run_program
from hilam_core.runtime.bags import BagReader, find_bags
from hilam_core.runtime.replay import Demonstration, Meaning, replay, replay_images
from hilam_core.video import write_video

NO_OUTCOME = "none"


@dataclass(frozen=True)
class Config:
    """What to import, and where to."""

    bags: tuple[Path, ...] = (Path("recordings"),)
    """Recordings: bags (folders, or *.mcap), or folders of them."""
    out: Path = Path("data/recorded")
    """Folder to write to; files of the same names are replaced."""
    outcomes: tuple[str, ...] = ("success",)
    """Recordings of these outcomes are imported, others are counted and left out. `none`: those of which
    nobody has said how they ended; they are an error otherwise."""
    unfinished: bool = False
    """Import what is readable of recordings that break off: the recorder was killed, or the disk full."""
    image_size: int | None = None
    """Pixels of both sides, by default those that the profile gave the policy, of videos the shorter side."""
    video: bool = False
    """Write plain video instead: no actions, no states."""
    camera: str | None = None
    """With --video: the camera to show, by default the first of the profile."""
    topic: str | None = None
    """With --video: a topic of images, where the bag is not hilam_ros's."""
    instruction: str | None = None
    """With --video: the caption of all videos, by default what each recording's instruction was."""

    def __post_init__(self) -> None:
        if not self.video and (self.camera or self.topic or self.instruction):
            raise ConfigError("--camera, --topic and --instruction are for --video")
        if self.image_size is not None and self.image_size < 1:
            raise ConfigError(f"image_size must be at least 1, got {self.image_size}")


def chosen_bags(config: Config) -> list[BagReader]:
    """The recordings to import.

    Raises:
        DataError: one breaks off, or nobody said how it ended, and neither is allowed; or none is left.
    """
    chosen, others = [], 0
    for path in tqdm(find_bags(config.bags), desc="reading bags", unit="bag", delay=1, leave=False):
        bag = BagReader(path)
        broken = not bag.complete or "unfinished" in bag.facts
        if broken and not config.unfinished:
            raise DataError(
                f"bag '{bag.file}' breaks off after {sum(bag.counts.values())} messages (killed, or the disk "
                "was full): import what is there with --unfinished, or remove it"
            )
        outcome = bag.facts.get("outcome") or NO_OUTCOME
        foreign = config.topic is not None  # others' bags have no outcome
        if outcome == NO_OUTCOME and NO_OUTCOME not in config.outcomes and not foreign:
            raise DataError(
                f"nobody said how recording '{bag.path}' ended: import it with --outcomes "
                f"{' '.join(config.outcomes)} {NO_OUTCOME}, or remove it"
            )
        if outcome in config.outcomes or foreign:
            chosen.append(bag)
        else:
            others += 1
    if not chosen:
        raise DataError(f"all {others} recordings had another outcome than {' or '.join(config.outcomes)}")
    if others:
        print(f"left out: {others} recordings with another outcome than {' or '.join(config.outcomes)}")
    return chosen


def make_episode(bag: BagReader, size: int | None) -> Episode:
    """A recording as a demonstration."""
    meaning = Meaning.of(bag)
    found = replay(bag, meaning)
    settings, steps = meaning.ingest, found.steps
    pictures = {
        camera: np.stack([prepare_image(s.raw.images[camera], size or settings.image_size) for s in steps])
        for camera in settings.cameras
    }
    states = {
        name: np.stack([getattr(step.raw, name) for step in steps])
        for name in ("ee_pos", "ee_quat", "gripper_qpos")
    }
    if all(len(step.joints) for step in steps):
        states["joint_pos"] = np.stack([step.joints for step in steps])
    phases = [taken.phase for taken in found.taken]
    facts = {name: bag.facts.get(name, "") for name in ("outcome", "episode")}
    return Episode(
        key=bag.path.name,
        frames=pictures,
        fps=settings.control_hz,
        instruction=bag.facts["instruction"],
        attrs={**facts, "recording": bag.path.name, "by_hand": json.dumps(spans(found))},
        phases=phases if any(phases) else None,
        states=states,
        actions=np.stack([taken.action for taken in found.taken]),
    )


def spans(found: Demonstration) -> list[tuple[int, int]]:
    """The steps that a person drove, as (first, the one after the last)."""
    numbered = groupby(enumerate(taken.by_hand for taken in found.taken), key=lambda step: step[1])
    runs = [[number for number, _ in run] for by_hand, run in numbered if by_hand]
    return [(run[0], run[-1] + 1) for run in runs]


def import_demonstrations(config: Config, bags: list[BagReader]) -> None:
    """Write one file for each instruction."""
    layouts = {Meaning.of(bag).ingest.cameras: bag for bag in bags}
    if len(layouts) > 1:
        (first, one), (second, other) = list(layouts.items())[:2]
        raise DataError(
            f"'{one.path}' has cameras {', '.join(first)}, '{other.path}' {', '.join(second)}: "
            "import them apart"
        )
    by_instruction: dict[str, list[BagReader]] = {}
    for bag in bags:
        by_instruction.setdefault(bag.facts["instruction"], []).append(bag)
    with tqdm(total=len(bags), unit="bag", delay=1) as bar:

        def episodes(group: list[BagReader]) -> Iterator[Episode]:
            for bag in group:
                yield make_episode(bag, config.image_size)
                bar.update()

        for instruction, group in by_instruction.items():
            path = config.out / f"{file_name(instruction)}_demo.hdf5"
            count = write_hdf5(path, episodes(group))
            bar.write(f"{path}: {count} demonstrations")


def import_videos(config: Config, bags: list[BagReader]) -> None:
    """Write one video for each recording, and the captions."""
    rows = []
    for number, bag in enumerate(tqdm(bags, unit="video", delay=1)):
        caption = config.instruction or bag.facts.get("instruction")
        if caption is None:
            raise DataError(f"bag '{bag.path}' has no instruction: give one with --instruction")
        topic, rate_hz, lockstep = config.topic, float(CONTROL_HZ), False
        if topic is None:
            meaning = Meaning.of(bag)
            settings, lockstep = meaning.ingest, meaning.lockstep
            camera, rate_hz = config.camera or settings.cameras[0], settings.control_hz
            if camera not in settings.cameras:
                raise DataError(f"'{bag.path}' has no camera '{camera}', but {', '.join(settings.cameras)}")
            topic = settings.topics[camera]
        frames = replay_images(bag, topic, rate_hz, lockstep)
        size = config.image_size or min(frames[0].shape[:2]) // 2 * 2
        name = f"{file_name(caption)}_{number:04d}.mp4"
        write_video(config.out / name, (prepare_image(frame, size) for frame in frames), rate_hz)
        rows.append({"file": name, "caption": caption, "frames": len(frames), "fps": rate_hz})
    with replacing(config.out / CAPTIONS[0]) as draft:
        draft.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"{config.out}: {len(rows)} videos and {CAPTIONS[0]}")


def file_name(instruction: str) -> str:
    """An instruction as the name of a file."""
    return re.sub(r"[^\w.-]+", "_", instruction)[:80]


def main(config: Config) -> None:
    writable_folder(config.out)
    bags = chosen_bags(config)
    if config.video:
        import_videos(config, bags)
    else:
        import_demonstrations(config, bags)


if __name__ == "__main__":
    run_program(main, Config)
