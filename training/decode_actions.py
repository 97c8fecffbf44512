"""Read the actions of unlabelled clips off their latent actions, by a small network fitted to a few labels.

    python training/decode_actions.py --share 0.1 --out data/libero_object/decoded.h5
    python training/finetune_policy.py --share 0.1 --decoded data/libero_object/decoded.h5 --out runs/few

Reads latent actions, and the actions of the first `share` of each file's demonstrations, the same ones that
finetune_policy --share trains on. Writes one HDF5 file of decoded actions, hand velocities and finger
openings for the other clips that no stage holds out, and prints how much of the real ones they explain on
held-out demonstrations, which it never fits.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from hilam_core.data import (
    Episode,
    LabelStore,
    LatentStore,
    ReadConfig,
    labelled_and_rest,
    read_clips,
    read_demonstrations,
    require_one_robot,
    split_held_out,
)
from hilam_core.device import choose_device
from hilam_core.errors import ConfigError
from hilam_core.lam.decode import ActionDecoder, explained, fit_decoder, targets_of, within_labels
from hilam_core.program import run_program


@dataclass
class Config:
    """Decode actions from latent actions."""

    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions of all clips: a file written by extract_latents."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations: the first `share` of each file gives labels, the others are decoded."""
    unlabelled: list[Path] = field(default_factory=list)
    """More clips to decode: videos, or demonstrations whose actions are not looked at."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    share: float = 0.1
    """Share of the demonstrations of each file whose actions are used."""
    out: Path = Path("data/libero_object/decoded.h5")
    """File to write; one that holds those of other cameras, another gap, data or choice of episodes stays."""
    steps: int = 2000
    """Optimisation steps of 256 samples; more than 2000 change little."""
    seed: int = 0
    """Seed of the network's weights and batches."""
    device: str = "auto"
    """Where the network is fitted: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must be in (0, 1], got {self.share}")
        if self.steps < 1:
            raise ConfigError(f"steps must be at least 1, got {self.steps}")


def main(config: Config) -> None:
    store = LatentStore.read(config.latents).require_current()
    cameras, gap = store.lineage.cameras, store.lineage.gap
    episodes = read_demonstrations(config.data, cameras, config.read)
    require_one_robot(episodes, hand=True)
    training, held_out = split_held_out(episodes)
    unlabelled = read_clips(config.unlabelled, cameras, config.read) if config.unlabelled else []
    labelled, rest = labelled_and_rest(training, held_out, config.share, unlabelled)
    if not rest:
        raise ConfigError(f"nothing to decode: share {config.share} labels all demonstrations")
    store.require_clips([*training, *held_out, *rest])
    attrs = {
        **store.lineage.attrs,
        "data": [str(path.resolve()) for path in [*config.data, *config.unlabelled]],
        **config.read.selection,
        "labelled": sorted(episode.key for episode in labelled),
        "action_dim": labelled[0].actions.shape[1],
        "seed": config.seed,
    }
    LabelStore.check_target(config.out, attrs)

    labels = [targets_of(episode) for episode in labelled]
    latents = [store[episode.key]["z"] for episode in labelled]
    decoder = fit_decoder(latents, labels, gap, config.steps, config.seed, str(choose_device(config.device)))
    known = np.concatenate(labels)
    decoded = {
        clip.key: {"labels": within_labels(decoder.decode(store[clip.key]["z"]), known)} for clip in rest
    }
    contents = {clip.key: clip.content_hash(cameras) for clip in rest}
    LabelStore(decoded, attrs, contents).write(config.out)
    if held_out:
        print_explained(decoder, store, held_out)
    print(f"{config.out}: {len(rest)} clips, by the labels of {len(labelled)} demonstrations")


def print_explained(decoder: ActionDecoder, store: LatentStore, held_out: list[Episode]) -> None:
    """R^2 of each number on held-out demonstrations."""
    true = [targets_of(episode) for episode in held_out]
    r2 = explained([decoder.decode(store[e.key]["z"]) for e in held_out], true)
    names = [f"action {i}" for i in range(held_out[0].actions.shape[1])]
    names += ["hand x", "hand y", "hand z", "opening"][: len(r2) - len(names)]
    row = (f"{n} {'constant' if np.isnan(v) else f'{v:.2f}'}" for n, v in zip(names, r2, strict=True))
    print("R^2 held out:", ", ".join(row))


if __name__ == "__main__":
    run_program(main, Config)
