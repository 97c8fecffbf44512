r"""How much of the robot's motion can be read from latent actions, beside features that learned nothing.

    python training/probe_latents.py --latents data/libero_object/latents.h5 --data data/libero_object

Reads latent actions and demonstrations with pose and fingers. Fits a linear map and a small network to some
or all labels of the training demonstrations, from z^l_t to the motion of the hand between frames t and t+k,
and prints R^2 of each axis on held-out demonstrations. Beside z^l: principal components of frame differences,
as many numbers, and the latent action model with random weights.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from tqdm import tqdm

from hilam_core.data import (
    Episode,
    LatentStore,
    ReadConfig,
    first_share,
    read_demonstrations,
    require_one_robot,
    split_held_out,
)
from hilam_core.device import choose_device
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import write_json
from hilam_core.lam import extract_views, load_lam
from hilam_core.lam.probe import MOTION, frame_differences, motion_over_gap, principal_components, probes
from hilam_core.program import run_program


@dataclass
class Config:
    """Read the robot's motion from latent actions."""

    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions: a file written by extract_latents."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """The demonstrations they were made of."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    shares: tuple[float, ...] = (0.1, 1.0)
    """Shares of the training demonstrations of each file whose labels are used."""
    random: bool = True
    """Also probe the same model with random weights, which labels all clips again."""
    out: Path | None = None
    """JSON file for the table."""
    steps: int = 2000
    """Optimisation steps of the small network."""
    seed: int = 0
    """Seed of networks and random weights."""
    device: str = "auto"
    """Where the model with random weights runs: auto, cpu, cuda or cuda:N."""

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise ConfigError(f"shares must be one or more in (0, 1], got {self.shares}")


def main(config: Config) -> None:
    store = LatentStore.read(config.latents)
    cameras, gap = store.lineage.cameras, store.lineage.gap
    episodes = read_demonstrations(config.data, cameras, config.read)
    require_one_robot(episodes, hand=True)
    if not episodes[0].has_gripper:
        raise DataError(f"{episodes[0].key} has no pose and fingers, whose motion is to be read")
    store.require_clips(episodes)
    training, held_out = split_held_out(episodes)
    if not held_out:
        raise DataError(f"{len(episodes)} demonstrations are too few to hold some out")
    motions = {episode.key: motion_over_gap(episode, gap) for episode in episodes}
    rows = []
    print(f"R^2 on {len(held_out)} held-out demonstrations, k = {gap}, cameras {', '.join(cameras)}")
    print(f"{'features':20s} {'probe':8s} {'labels':>6s} " + " ".join(f"{name:>7s}" for name in MOTION))
    for name, features in all_features(config, store, training, episodes).items():
        for share in config.shares:
            labelled = [episode.key for episode in first_share(training, share)]
            tests = [episode.key for episode in held_out]
            for probe, r2 in probes(features, motions, labelled, tests, config.steps, config.seed):
                found = (None if np.isnan(v) else round(float(v), 3) for v in r2)
                values = dict(zip(MOTION, found, strict=True))
                rows.append({"features": name, "probe": probe, "labelled": len(labelled), "r2": values})
                cells = ("still" if v is None else f"{v:.2f}" for v in values.values())
                print(f"{name:20s} {probe:8s} {len(labelled):6d} " + " ".join(f"{c:>7s}" for c in cells))
    if config.out is not None:
        write_json(config.out, {"latents": store.attrs, "held_out": len(held_out), "rows": rows})


def all_features(
    config: Config, store: LatentStore, training: list[Episode], episodes: list[Episode]
) -> dict[str, dict[str, np.ndarray]]:
    """By name, the features of each clip, [T - k, Z]."""
    cameras, gap = store.lineage.cameras, store.lineage.gap
    differences = {
        episode.key: frame_differences(episode, cameras, gap)
        for episode in tqdm(episodes, "frame differences", unit="clip")
    }
    fitted = [differences[episode.key] for episode in training]
    features = {
        "z^l": {episode.key: store[episode.key]["z"][: len(episode) - gap] for episode in episodes},
        "frame differences": principal_components(fitted, differences, store.latent_dim, config.seed),
    }
    if config.random and store.lineage.lam:
        trained = load_lam(store.lineage.lam)
        torch.manual_seed(config.seed)
        model = type(trained)(trained.config).to(choose_device(config.device)).eval()
        features["random weights"] = {
            episode.key: extract_views(model, episode, cameras, gap)[: len(episode) - gap]
            for episode in tqdm(episodes, "random weights", unit="clip")
        }
    return features


if __name__ == "__main__":
    run_program(main, Config)
