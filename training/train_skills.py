"""Train the skill model, an H-Net of two stages, on stored latent actions.

    python training/train_skills.py --latents data/libero_object/latents.h5 --out runs/skills

Reads latent actions, the clips they were made of and, for L_rec, the latent action model that made them (its
FDM decodes predictions); writes runs/skills/{model.safetensors, card.json, tensorboard/}. Latents of another
project's model are learned without L_rec, which the card then says. Ctrl-C saves; the same command continues.
--lam-lr trains the latent action model too, end to end, and writes it to runs/skills/lam.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from hilam_core.cards import checkpoint_hash
from hilam_core.data import Clip, LatentStore, Lineage, ReadConfig, describe_data, read_clips
from hilam_core.distributed import is_main_process, main_process_first, mine, share_of_batch
from hilam_core.errors import CheckpointError, ConfigError
from hilam_core.files import writable_folder
from hilam_core.lam import LatentActionModel, load_lam
from hilam_core.policy.language import embed_clips, language_dim
from hilam_core.program import run_program
from hilam_core.skills import (
    JointModel,
    LossConfig,
    SkillBatches,
    SkillConfig,
    SkillModel,
    evaluate_joint,
    evaluate_skills,
    joint_loss,
    skill_loss,
)
from hilam_core.training import (
    TrainConfig,
    hold_out,
    run_stage,
    stage_program,
    train_stage,
    write_stage,
)


@dataclass
class Config:
    """Train the skill model on stored latent actions."""

    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions: a file written by extract_latents."""
    lam: Path | None = None
    """The latent action model that made them, for L_rec; by default the folder that the file names."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """The demonstrations (*.hdf5), LeRobot datasets or videos they were made of, whose frames L_rec reads."""
    out: Path = Path("runs/skills")
    """Folder for checkpoint and logs; continued when it holds an unfinished run."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    model: SkillConfig = field(default_factory=SkillConfig)
    """Architecture and target chunk lengths."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Weights of the losses."""
    lam_lr: float = 0.0
    """Peak learning rate of the latent action model, such as 1e-4, which then learns together with the skill
    model and is written to the folder lam in --out; 0 freezes it, as the paper does."""
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=1500, batch_size=32, lr=2e-3, weight_decay=1e-2, ema_decay=0.99, eval_every=500
        )
    )
    """Optimisation."""

    def __post_init__(self) -> None:
        if not self.lam_lr >= 0 or (self.lam_lr and not self.train.lr):
            raise ConfigError(f"lam_lr must not be negative, and stand beside a train.lr, got {self.lam_lr}")

    @property
    def lam_out(self) -> Path:
        """Where the latent action model of joint training is written."""
        return self.out / "lam"


@stage_program
def main(config: Config) -> None:
    writable_folder(config.out)
    store = LatentStore.read(config.latents)
    if config.lam is None:
        store.require_current()
    lineage = store.lineage
    lam, without_rec = find_lam(config, store)
    if config.model.latent_dim not in (0, store.latent_dim):
        raise ConfigError(
            f"latent_dim is {config.model.latent_dim}, {config.latents} holds {store.latent_dim}"
        )
    gap = lineage.gap if config.model.gap < 0 else config.model.gap
    language_model = config.model.language_model
    config.model = replace(
        config.model,
        latent_dim=store.latent_dim,
        gap=gap,
        language_dim=language_dim(language_model) if language_model else 0,
    )
    with main_process_first():
        clips = read_clips(config.data, lineage.cameras, config.read)
    store.require_clips(clips)
    training, held_out = hold_out(clips)
    language = embed_clips(clips, config.model.language_model) if config.model.language_model else None
    batches = SkillBatches(training, store, lineage.cameras, lineage.gap, language, config.lam_lr > 0)
    rec_frames = 0 if lam is None else share_of_batch(config.loss.rec_frames, "loss.rec_frames")
    stage: dict[str, Any] = {
        "program": config,
        "sample_batch": lambda rng, n: batches.sample(rng, n, rec_frames),
        "data": describe_data(config.data, clips),
        "identity": {
            "loss": config.loss,
            "rec": lam is not None,
            "cameras": lineage.cameras,
            "gap": lineage.gap,
        },
    }
    torch.manual_seed(config.train.seed)
    model = SkillModel(config.model)
    if config.lam_lr:
        assert lam is not None  # see find_lam
        train_both(config, JointModel(model, lam, lineage.gap), lineage, held_out, language, stage)
        return
    test = SkillBatches(mine(held_out), store, lineage.cameras, lineage.gap, language)
    run_stage(
        "skills",
        model,
        loss_fn=lambda m, batch: skill_loss(m, lam and lam.to(batch["z"].device), batch, config.loss),
        evaluate=(lambda m: evaluate_skills(m, test)) if held_out else None,
        parents={"lam": lineage.lam_hash},
        lineage=lineage.attrs,
        **stage,
        **({"without_rec": without_rec} if without_rec else {}),
    )


def train_both(
    config: Config,
    model: JointModel,
    before: Lineage,
    held_out: list[Clip],
    language: dict[str, np.ndarray] | None,
    stage: dict[str, Any],
) -> None:
    """Train both models and write two checkpoints; before: of the latent actions that training begins with;
    stage: what `train_stage` is given anyway."""
    parents = {"start": before.lam_hash}
    stage["identity"]["lam_lr"] = config.lam_lr
    result = train_stage(
        model,
        loss_fn=lambda m, batch: joint_loss(m, batch, config.loss),
        evaluate=(lambda m: evaluate_joint(m, held_out, before.cameras, language)) if held_out else None,
        parents=parents,
        lr_scales={"lam.": config.lam_lr / config.train.lr},
        **stage,
    )
    if not is_main_process():
        return
    views = tuple(f"{camera}/" for camera in before.cameras)
    of_lam = {name: value for name, value in result.metrics.items() if name.startswith(views)}
    of_skills = {name: value for name, value in result.metrics.items() if name not in of_lam}
    folder, data = config.lam_out, stage["data"]
    found = {"gap": before.gap, "cameras": list(before.cameras)}
    write_stage(folder, "lam", model.lam, config, result, data, parents, found, metrics=of_lam)
    lineage = replace(before, lam=str(folder.resolve()), lam_hash=checkpoint_hash(folder))
    more = {"lineage": lineage.attrs, "metrics": of_skills}
    parents = {"lam": lineage.lam_hash}
    write_stage(config.out, "skills", model.skills, config, result, data, parents, **more)
    print(f"the skill model knows the latent actions of {folder}: extract them with --lam {folder}")


def find_lam(config: Config, store: LatentStore) -> tuple[LatentActionModel | None, str]:
    """The latent action model for L_rec, frozen or to be trained, or None and why L_rec is left out.

    Raises:
        ConfigError: it should learn, but there is none, or none that can.
    """
    lineage = store.lineage
    folder = config.lam or (Path(lineage.lam) if lineage.lam else None)
    if config.loss.rec == 0 or config.loss.rec_frames == 0:
        reason = "its weight or its number of frames is 0"
    elif folder is None:
        reason = f"{config.latents} names no latent action model of this project"
    else:
        if config.lam is None and not folder.is_dir():
            raise CheckpointError(
                f"{config.latents} was made by {folder}, which is not there: give --lam, or leave L_rec out "
                "with --loss.rec 0"
            )
        given = Lineage(str(folder.resolve()), checkpoint_hash(folder), lineage.cameras, lineage.gap)
        lineage.require(config.latents, given, folder)
        if config.lam_lr and folder.resolve() == config.lam_out.resolve():
            raise ConfigError(f"the latent action model '{folder}' would be replaced: choose another --out")
        lam = load_lam(folder)
        if lam.target_size:
            return lam if config.lam_lr else lam.requires_grad_(False), ""
        reason = f"{folder} has no FDM"
    if config.lam_lr:
        raise ConfigError(f"lam_lr needs the frames that L_rec decodes, and there are none: {reason}")
    print(f"without L_rec: {reason}")
    return None, reason


if __name__ == "__main__":
    run_program(main, Config)
