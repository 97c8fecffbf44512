"""Label demonstrations with latent actions z^l_t = IDM(I_t, I_{t+k}).

    python training/extract_latents.py --lam runs/lam --data data/libero_object --out data/latents.h5

Reads a latent action model and demonstrations; writes one HDF5 file of z^l per episode, and prints how well a
linear map reads the real actions (never used in training) from z^l on the held-out episodes.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hilam_core.cards import checkpoint_hash, load_card
from hilam_core.data import LatentStore, content_hash, read_demonstrations, split_held_out
from hilam_core.errors import ConfigError
from hilam_core.files import writable_folder
from hilam_core.lam import action_probe, extract_latents, load_lam
from hilam_core.program import run_program


@dataclass
class Config:
    """Label demonstrations with latent actions."""

    lam: Path = Path("runs/lam")
    """Latent action model: a folder written by train_lam."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Folders or files with demonstrations (*.hdf5)."""
    out: Path = Path("data/libero_object/latents.h5")
    """File to write."""
    camera: str = "agentview"
    """Camera whose frames are labelled."""
    gap: int | None = None
    """Gap k between the two frames; by default the one in the model's card."""
    limit: int | None = None
    """At most this many episodes of each file."""

    def __post_init__(self) -> None:
        if self.gap is not None and self.gap < 1:
            raise ConfigError(f"gap must be at least 1, got {self.gap}")


def main(config: Config) -> None:
    card, model = load_card(config.lam, "lam"), load_lam(config.lam)
    writable_folder(config.out.parent)
    gap = card["program"]["gap"] if config.gap is None else config.gap
    episodes = read_demonstrations(config.data, limit=config.limit, cameras=(config.camera,))
    latents = {}
    for episode in tqdm(episodes, desc="latent actions"):
        z = extract_latents(model, episode.frames[config.camera], gap)
        latents[episode.key] = {"z": z, "valid": np.int64(len(z) - gap)}
    attrs = {
        "checkpoint": str(config.lam),
        "checkpoint_hash": checkpoint_hash(config.lam),
        "data": [str(p) for p in config.data],
        "data_hash": content_hash(episodes),
        "camera": config.camera,
        "gap": gap,
    }
    LatentStore(latents, attrs).write(config.out)
    train, held_out = split_held_out(episodes)
    if held_out:
        rows = [[(latents[e.key]["z"], e.actions) for e in group] for group in (train, held_out)]
        r2 = action_probe(rows[0], rows[1], gap)
        print("linear read-out of real actions from z^l, R^2 held out:", " ".join(f"{v:.2f}" for v in r2))
    print(f"{config.out}: {len(latents)} episodes, {sum(len(e) for e in episodes)} latent actions, k = {gap}")


if __name__ == "__main__":
    run_program(main, Config)
