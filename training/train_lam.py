"""Train the latent action model (IDM and FDM) on frames alone.

    python training/train_lam.py --data data/libero_object --out runs/lam

Reads demonstrations (*.hdf5, LeRobot datasets) or videos; writes runs/lam/{model.safetensors, card.json,
predictions_<camera>.png, tensorboard/}. One episode in twenty is held out; the card reports errors on those.
Ctrl-C saves; the same command continues. --start goes on with a model that there is, such as UniSkill's.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro

from hilam_core.cards import checkpoint_hash
from hilam_core.data import ReadConfig, camera_names, describe_data, read_clips
from hilam_core.distributed import is_main_process, main_process_first
from hilam_core.errors import ConfigError
from hilam_core.files import writable_folder
from hilam_core.lam import (
    CompactConfig,
    CompactLAM,
    FramePairs,
    LatentActionModel,
    evaluate_lam,
    load_lam,
)
from hilam_core.lam.figures import draw_predictions
from hilam_core.program import run_program
from hilam_core.training import TrainConfig, hold_out, run_stage, stage_program


@dataclass
class Config:
    """Train the latent action model on frames alone."""

    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations (*.hdf5), LeRobot datasets or videos: files, or folders of them."""
    out: Path = Path("runs/lam")
    """Folder for checkpoint, picture and logs; continued when it holds an unfinished run."""
    cameras: tuple[str, ...] = ()
    """Cameras to learn from, by default the first of the data; a video counts as the first of them."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    min_gap: int = 4
    """Smallest gap k between the two frames, in frames."""
    max_gap: int = 16
    """Largest gap k in training."""
    gap: int = 8
    """The fixed gap k of extraction, stored in the card; also used to report errors."""
    motion_gain: float = 20.0
    """How much more a moving pixel counts than a static one."""
    start: Path | None = None
    """Latent action model to start from, of train_lam or import_uniskill; its architecture then stays."""
    model: CompactConfig = field(default_factory=CompactConfig)
    """Architecture of the compact pair; not with --start."""
    evaluated: int = 512
    """Held-out pairs to report errors on; a diffusion FDM takes seconds for each."""
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=2800, batch_size=32, lr=1e-3, ema_decay=0.995, eval_every=500
        )
    )
    """Optimisation."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_gap <= self.gap <= self.max_gap:
            raise ConfigError(
                "gaps must satisfy 1 <= min_gap <= gap <= max_gap, "
                f"got {self.min_gap}, {self.gap}, {self.max_gap}"
            )


@stage_program
def main(config: Config) -> None:
    writable_folder(config.out)
    with main_process_first():
        config.cameras = config.cameras or camera_names(config.data, config.read)[:1]
        clips = read_clips(config.data, config.cameras, config.read)
    train_clips, held_out = hold_out(clips)
    pairs = FramePairs(train_clips, config.min_gap, config.max_gap)
    test_pairs = {
        camera: FramePairs(held_out, config.gap, config.gap, (camera,))
        for camera in config.cameras
        if any(camera in clip.frames for clip in held_out)
    }
    torch.manual_seed(config.train.seed)
    model = load_lam(config.start) if config.start else CompactLAM(config.model)
    run_stage(
        "lam",
        model,
        config,
        pairs.sample,
        lambda m, batch: m.decoding_loss(batch["now"], batch["future"], motion_gain=config.motion_gain),
        lambda m: {
            f"{camera}/{name}": value
            for camera, some in test_pairs.items()
            for name, value in evaluate_lam(m, some, config.gap, config.evaluated).items()
        },
        describe_data(config.data, clips),
        parents={"start": checkpoint_hash(config.start)} if config.start else {},
        identity={"gaps": [config.min_gap, config.max_gap, config.motion_gain]},
    )
    if is_main_process():
        draw(config, model, test_pairs)


def draw(config: Config, model: LatentActionModel, test_pairs: dict[str, FramePairs]) -> None:
    """A picture of held-out predictions for each camera."""
    for camera, group in test_pairs.items():
        rng = np.random.default_rng(0)
        batch = group.pairs(rng.integers(0, len(group), 8), np.full(8, config.gap))
        draw_predictions(
            config.out / f"predictions_{camera}.png", model.eval(), batch["now"], batch["future"]
        )


if __name__ == "__main__":
    run_program(main, Config)
