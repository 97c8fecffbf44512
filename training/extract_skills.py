r"""Label clips with skills: boundaries and one vector per segment, at frame rate.

    python training/extract_skills.py --skills runs/skills --latents data/libero_object/latents.h5 \
        --out data/libero_object/skills.h5

Reads a skill model, and latent actions of the model, cameras and gap it was trained with. Writes one HDF5
file with zbar^s and boundaries of each stage, prints how boundaries agree with the recorded phases on
held-out demonstrations, and draws skill strips and the segments with the most similar skills.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from hilam_core.cards import checkpoint_hash
from hilam_core.data import LatentStore, Lineage, ReadConfig, SkillStore, read_clips, split_held_out
from hilam_core.distributed import gather, is_main_process, main_process_first, mine, own_device
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import writable_folder, write_json
from hilam_core.policy.language import embed_clips, require_language_model
from hilam_core.program import run_program
from hilam_core.skills import (
    extract_skills,
    load_skills,
    neighbour_report,
    segmentation_report,
    segments_of,
)
from hilam_core.skills.figures import draw_neighbours, draw_strip
from hilam_core.training import stage_program


@dataclass
class Config:
    """Label clips with skills."""

    skills: Path = Path("runs/skills")
    """Skill model: a folder written by train_skills; the strips and segmentation.json go there too."""
    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions: a file written by extract_latents."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations (*.hdf5), LeRobot datasets or videos, for recorded phases and the pictures."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    out: Path = Path("data/libero_object/skills.h5")
    """File to write; one that holds those of other cameras, another gap, data or choice of episodes stays."""
    strips: int = 3
    """Number of held-out clips to draw; 0 draws no picture."""
    tolerances: tuple[int, ...] = (3, 5)
    """A boundary counts as found within so many frames (20 a second); each is reported."""
    device: str = "auto"
    """Where the model runs: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if self.strips < 0:
            raise ConfigError(f"strips must not be negative, got {self.strips}")
        if not self.tolerances or min(self.tolerances) < 0:
            raise ConfigError(f"tolerances must be one or more numbers from 0, got {self.tolerances}")


@stage_program
def main(config: Config) -> None:
    model, card = load_skills(config.skills, str(own_device(config.device)))
    writable_folder(config.skills)
    store = LatentStore.read(config.latents).require_current()
    Lineage.of_card(card, config.skills).require(config.skills, store.lineage, config.latents)
    attrs = {
        "skills": str(config.skills.resolve()),
        "skills_hash": checkpoint_hash(config.skills),
        **store.lineage.attrs,
        **{name: store.attrs.get(name) for name in ("data", "data_hash", *config.read.selection)},
        "stages": len(model.config.chunk_lengths),
        "skill_dim": model.config.width,
    }
    SkillStore.check_target(config.out, attrs)
    cameras, gap = store.lineage.cameras, store.lineage.gap
    with main_process_first():
        clips = [clip for clip in read_clips(config.data, cameras, config.read) if clip.key in store]
    store.require_clips(clips)
    language: dict[str, np.ndarray] = {}
    if model.config.language_model:
        require_language_model(model.config.language_model, model.config.language_dim)
        language = embed_clips(clips, model.config.language_model)
        if without := [key for key in store if key not in language]:
            raise DataError(f"{config.skills} reads instructions, and {without[0]} is not in --data")
    own = {
        key: extract_skills(model, store[key]["z"], int(store[key]["valid"]), language.get(key))
        for key in tqdm(mine(list(store)), "skills", unit="clip")
    }
    parts = {key: arrays for part in gather(own) for key, arrays in part.items()}
    if not is_main_process():
        return
    skills = {key: parts[key] for key in store}
    SkillStore(skills, attrs, store.contents).write(config.out)
    _, held_out = split_held_out(clips)
    phases = {clip.key: clip.phases for clip in held_out if getattr(clip, "phases", None)}
    shifts = {"": 0} if model.change else {"": 0, "_centred": gap // 2}
    if phases:
        report_segmentation(config, skills, phases, attrs["stages"], shifts)
        if config.strips:
            frames = {clip.key: clip.frames[cameras[0]] for clip in held_out}
            picture = config.skills / "neighbours.png"
            draw_neighbours(picture, frames, segments_of(skills, phases, attrs["stages"]))
            print(f"wrote {picture}")
    else:
        print("no recorded phases: boundaries are not scored")
    for clip in held_out[:: max(1, len(held_out) // max(1, config.strips))][: config.strips]:
        # Below folders named like the clip, so that no two clips share a picture.
        picture = config.skills / "strips" / f"{clip.key}.png"
        frames = clip.frames[cameras[0]]
        draw_strip(picture, frames, skills[clip.key], phases.get(clip.key), clip.instruction)
        print(f"wrote {picture}")
    print(f"{config.out}: {len(skills)} clips, {attrs['stages']} stages")


def report_segmentation(config: Config, skills: dict, phases: dict, stages: int, shifts: dict) -> None:
    """Print and write how boundaries of every stage agree with phases, and the purity of the last stage's
    neighbours; shifts: name -> frames to move boundaries by."""
    report = {
        f"stage{s}{name}": segmentation_report(skills, phases, s, config.tolerances, shift)
        for s in range(1, stages + 1)
        for name, shift in shifts.items()
    }
    if len(phases) > 1:
        report["neighbours"] = neighbour_report(segments_of(skills, phases, stages))
    for name, row in report.items():
        print(f"{name:16s}", json.dumps({k: round(v, 3) for k, v in row.items()}))
    write_json(config.skills / "segmentation.json", report)


if __name__ == "__main__":
    run_program(main, Config)
