"""Train the skill model, an H-Net of two stages, on stored latent actions.

    python training/train_skills.py --latents data/libero_object/latents.h5 --out runs/skills

Reads latent actions, the clips they were made of and, for L_rec, the latent action model that made them (its
FDM decodes predictions); writes runs/skills/{model.safetensors, card.json, tensorboard/}. Latents of another
project's model are learned without L_rec, which the card then says. Ctrl-C saves; the same command continues.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro

from hilam_core.cards import checkpoint_hash
from hilam_core.data import LatentStore, Lineage, ReadConfig, describe_data, read_clips
from hilam_core.distributed import main_process_first
from hilam_core.errors import CheckpointError, ConfigError
from hilam_core.files import writable_folder
from hilam_core.lam import LatentActionModel, load_lam
from hilam_core.policy.language import embed_clips, language_dim
from hilam_core.program import run_program
from hilam_core.skills import (
    LossConfig,
    SkillBatches,
    SkillConfig,
    SkillModel,
    evaluate_skills,
    skill_loss,
)
from hilam_core.training import TrainConfig, hold_out, run_stage, stage_program


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
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=1500, batch_size=32, lr=2e-3, weight_decay=1e-2, ema_decay=0.99, eval_every=500
        )
    )
    """Optimisation."""


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
    batches = SkillBatches(training, store, lineage.cameras, lineage.gap, language)
    test = SkillBatches(held_out, store, lineage.cameras, lineage.gap, language)
    rec_frames = 0 if lam is None else config.loss.rec_frames

    torch.manual_seed(config.train.seed)
    run_stage(
        "skills",
        SkillModel(config.model),
        config,
        lambda rng, n: batches.sample(rng, n, rec_frames),
        lambda m, batch: skill_loss(m, lam and lam.to(batch["z"].device), batch, config.loss),
        (lambda m: evaluate_skills(m, test)) if held_out else None,
        describe_data(config.data, clips),
        parents={"lam": lineage.lam_hash},
        identity={
            "loss": config.loss,
            "rec": lam is not None,
            "cameras": lineage.cameras,
            "gap": lineage.gap,
        },
        lineage=lineage.attrs,
        **({"without_rec": without_rec} if without_rec else {}),
    )


def find_lam(config: Config, store: LatentStore) -> tuple[LatentActionModel | None, str]:
    """The frozen latent action model for L_rec, or None and the reason why L_rec is left out."""
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
        lam = load_lam(folder).requires_grad_(False)
        if lam.target_size:
            return lam, ""
        reason = f"{folder} has no FDM"
    print(f"without L_rec: {reason}")
    return None, reason


if __name__ == "__main__":
    run_program(main, Config)
