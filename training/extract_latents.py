"""Label clips with latent actions z^l_t = IDM(I_t, I_{t+k}).

    python training/extract_latents.py --lam runs/lam --data data/libero_object --out data/latents.h5

Reads a latent action model and demonstrations or videos; writes one HDF5 file of z^l per clip. Of
demonstrations it prints how well a linear map reads the real actions (never used in training) from z^l on
the held-out ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from hilam_core.cards import checkpoint_hash, load_card
from hilam_core.data import (
    Clip,
    Episode,
    LatentStore,
    Lineage,
    ReadConfig,
    camera_names,
    read_clips,
    require_rate,
    split_held_out,
)
from hilam_core.distributed import gather, is_main_process, main_process_first, mine, own_device
from hilam_core.errors import ConfigError, DataError
from hilam_core.lam import action_probe, extract_views, load_lam
from hilam_core.precision import Precision
from hilam_core.program import run_program
from hilam_core.training import stage_program
from hilam_sim.cluster import open_pool


@dataclass
class Config:
    """Label clips with latent actions."""

    lam: Path = Path("runs/lam")
    """Latent action model: a folder written by train_lam or import_uniskill."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations (*.hdf5), LeRobot datasets or videos: files, or folders of them."""
    out: Path = Path("data/libero_object/latents.h5")
    """File to write; one that holds those of other cameras, another gap, data or choice of episodes stays."""
    cameras: tuple[str, ...] = ()
    """Cameras whose frames are labelled, by default those that the model learned from; z^l has a part of
    each. A video shows one, which counts as the first."""
    gap: int | None = None
    """Gap k between the two frames; by default the one in the model's card."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    ray: str | None = None
    """Address of a Ray cluster ("auto", or HOST:PORT) whose machines do the work; they share the folders."""
    workers: int = 2
    """Processes of the cluster; not without --ray."""
    device: str = "auto"
    """Where the model runs: auto, cpu, cuda or cuda:N."""
    precision: Precision = "float32"
    """In which type it computes; bfloat16 changes the third digit of z^l, auto takes it where it is fast."""

    def __post_init__(self) -> None:
        if self.gap is not None and self.gap < 1:
            raise ConfigError(f"gap must be at least 1, got {self.gap}")


@stage_program
def main(config: Config) -> None:
    card, model = load_card(config.lam), load_lam(config.lam, str(own_device(config.device)))
    gap = model.gap if config.gap is None else config.gap
    cameras = config.cameras or learned_cameras(config, card)
    with main_process_first():
        clips = read_clips(config.data, cameras, config.read)
    require_rate(clips, card["data"].get("fps") or clips[0].fps, config.lam)
    for clip in clips:
        if len(clip) <= gap:
            raise DataError(f"{clip.key} has {len(clip)} frames, latent actions {gap} frames apart need more")
    lineage = Lineage(str(config.lam.resolve()), checkpoint_hash(config.lam), cameras, gap)
    attrs = LatentStore.attrs_of(lineage, config.data, config.read, clips, model.latent_dim * len(cameras))
    LatentStore.check_target(config.out, attrs)
    bar = tqdm(total=len(mine(clips)), desc="latent actions", unit="clip")
    if config.ray is None:
        own = {}
        for clip in mine(clips):
            own[clip.key] = extract_views(model, clip, cameras, gap, config.precision)
            bar.update()
    else:
        own = extract_on_cluster(config, [clip.key for clip in mine(clips)], cameras, gap, bar)
    bar.close()
    parts = {key: z for part in gather(own) for key, z in part.items()}
    if not is_main_process():
        return
    latents = {
        clip.key: {"z": parts[clip.key], "valid": np.int64(len(parts[clip.key]) - gap)} for clip in clips
    }
    contents = {clip.key: clip.content_hash(cameras) for clip in clips}
    LatentStore(latents, attrs, contents).write(config.out)
    probe_actions(latents, clips, gap)
    print(f"{config.out}: {len(latents)} clips, {sum(len(c) for c in clips)} latent actions, k = {gap}")


def learned_cameras(config: Config, card: dict) -> tuple[str, ...]:
    """The cameras that the model learned from, or the first of the data where its card names none."""
    return tuple(card["program"].get("cameras") or camera_names(config.data, config.read)[:1])


def extract_on_cluster(
    config: Config, keys: list[str], cameras: tuple[str, ...], gap: int, bar: tqdm
) -> dict[str, np.ndarray]:
    """z^l by clip, computed on the machines of a Ray cluster."""
    found = {}
    with open_pool(config.workers, make_labeller, (config, cameras, gap), config.ray) as pool:
        for key in keys:
            pool.submit(key, key)
        while pool.pending:
            key, found[key] = pool.collect()
            bar.update()
    return found


def make_labeller(config: Config, cameras: tuple[str, ...], gap: int) -> Callable[[str], np.ndarray]:
    """On a machine of a cluster: the function that labels the clip of a key."""
    model = load_lam(config.lam, str(own_device(config.device)))
    clips = {clip.key: clip for clip in read_clips(config.data, cameras, config.read)}
    return lambda key: extract_views(model, clips[key], cameras, gap, config.precision)


def probe_actions(latents: dict, clips: list[Clip], gap: int) -> None:
    """Print how much of the real actions a linear map reads from z^l, where there are actions."""
    episodes = [clip for clip in clips if isinstance(clip, Episode)]
    train, held_out = split_held_out(episodes)
    if not held_out:
        return
    rows = [[(latents[e.key]["z"], e.actions) for e in group] for group in (train, held_out)]
    r2 = ["constant" if np.isnan(v) else f"{v:.2f}" for v in action_probe(rows[0], rows[1], gap)]
    print("linear read-out of real actions from z^l, R^2 held out:", " ".join(r2))


if __name__ == "__main__":
    run_program(main, Config)
