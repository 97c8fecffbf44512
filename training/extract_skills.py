"""Label demonstrations with skills: boundaries and one vector per segment, at frame rate.

    python training/extract_skills.py --skills runs/skills --latents data/libero_object/latents.h5 \
        --out data/libero_object/skills.h5

Reads a skill model and the latent actions of the model it was trained with; writes one HDF5 file (zbar^1,
zbar^2, boundaries), prints how boundaries agree with the recorded phases on held-out episodes, and draws
skill strips.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from hilam_core.cards import checkpoint_hash
from hilam_core.data import LatentStore, SkillStore, read_demonstrations, split_held_out
from hilam_core.files import writable_folder, write_json
from hilam_core.program import run_program
from hilam_core.skills import extract_skills, load_skills, segmentation_report
from hilam_core.skills.figures import draw_strip


@dataclass
class Config:
    """Label demonstrations with skills."""

    skills: Path = Path("runs/skills")
    """Skill model: a folder written by train_skills; the strips and segmentation.json go there too."""
    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions: a file written by extract_latents."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations (*.hdf5), for recorded phases and the pictures."""
    out: Path = Path("data/libero_object/skills.h5")
    """File to write."""
    strips: int = 3
    """Held-out episodes to draw."""
    tolerance: int = 5
    """A boundary counts as found within this many frames (20 a second)."""


def main(config: Config) -> None:
    model, card = load_skills(config.skills)
    for folder in (config.skills, config.out.parent):
        writable_folder(folder)
    store = LatentStore.read(config.latents).require(checkpoint_hash=card["parents"]["lam"])
    skills = {
        key: extract_skills(model, arrays["z"], int(arrays["valid"]))
        for key, arrays in tqdm(store.items(), "skills")
    }
    attrs = {
        "checkpoint": str(config.skills),
        "checkpoint_hash": checkpoint_hash(config.skills),
        "lam_hash": card["parents"]["lam"],
        "data": store.attrs["data"],
        "data_hash": store.attrs["data_hash"],
        "gap": store.attrs["gap"],
    }
    SkillStore(skills, attrs).write(config.out)
    episodes = read_demonstrations(config.data, cameras=(store.attrs["camera"],))
    _, held_out = split_held_out([e for e in episodes if e.key in skills])
    report_segmentation(config, skills, {e.key: e.phases for e in held_out if e.phases}, store.attrs["gap"])
    for episode in held_out[:: max(1, len(held_out) // max(1, config.strips))][: config.strips]:
        picture = config.skills / f"strip_{episode.key.replace('/', '_')}.png"
        frames = episode.frames[store.attrs["camera"]]
        draw_strip(picture, frames, skills[episode.key], episode.phases, episode.instruction)
        print(f"wrote {picture}")
    print(f"{config.out}: {len(skills)} episodes")


def report_segmentation(config: Config, skills: dict, phases: dict, gap: int) -> None:
    """Print and write segmentation metrics of both stages, as they are and centred on the pair of frames."""
    if not phases:
        print("no recorded phases: boundaries are not scored")
        return
    report = {
        f"stage{s}{name}": segmentation_report(skills, phases, s, config.tolerance, shift)
        for s in (1, 2)
        for name, shift in (("", 0), ("_centred", gap // 2))
    }
    for name, row in report.items():
        print(f"{name:16s}", json.dumps({k: round(v, 3) for k, v in row.items()}))
    write_json(config.skills / "segmentation.json", report)


if __name__ == "__main__":
    run_program(main, Config)
