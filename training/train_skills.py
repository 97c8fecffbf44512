"""Train the skill model, a two-stage H-Net, on stored latent actions.

    python training/train_skills.py --latents data/libero_object/latents.h5 --lam runs/lam --out runs/skills

Reads latent actions, the latent action model that made them (its FDM decodes predictions for L_rec) and the
demonstrations' frames; writes runs/skills/{model.safetensors, card.json, tensorboard/}. Ctrl-C saves; the
same command continues.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from hilam_core.cards import checkpoint_hash
from hilam_core.data import LatentStore, content_hash, describe_data, read_demonstrations, split_held_out
from hilam_core.errors import ConfigError
from hilam_core.lam import load_lam
from hilam_core.program import run_program
from hilam_core.skills import (
    LossConfig,
    SkillBatches,
    SkillConfig,
    SkillModel,
    evaluate_skills,
    skill_loss,
)
from hilam_core.training import TrainConfig, save_stage, train


@dataclass
class Config:
    """Train the skill model on stored latent actions."""

    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions: a file written by extract_latents."""
    lam: Path = Path("runs/lam")
    """The latent action model that made them."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations (*.hdf5) whose frames L_rec compares with."""
    out: Path = Path("runs/skills")
    """Folder for checkpoint and logs; continued when it holds an unfinished run."""
    limit: int | None = None
    """At most this many episodes of each file."""
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


def main(config: Config) -> None:
    store = LatentStore.read(config.latents).require(checkpoint_hash=checkpoint_hash(config.lam))
    camera, gap = store.attrs["camera"], store.attrs["gap"]
    episodes = read_demonstrations(config.data, limit=config.limit, cameras=(camera,))
    if config.limit is None:
        store.require(data_hash=content_hash(episodes))
    store.require({e.key: len(e) for e in episodes})
    lam = load_lam(config.lam).requires_grad_(False)
    if config.model.latent_dim not in (0, lam.config.latent_dim):
        raise ConfigError(
            f"latent_dim is {config.model.latent_dim}, {config.latents} holds {lam.config.latent_dim}"
        )
    config.model = replace(config.model, latent_dim=lam.config.latent_dim)
    train_episodes, held_out = split_held_out(episodes)
    batches = SkillBatches(train_episodes, store, camera, gap)
    test = SkillBatches(held_out, store, camera, gap)
    data = describe_data(config.data, episodes)
    print(f"{len(train_episodes)} episodes to train on, {len(held_out)} held out")

    torch.manual_seed(config.train.seed)
    model = SkillModel(config.model)
    result = train(
        config.train,
        model,
        lambda rng: batches.sample(rng, config.train.batch_size, config.loss.rec_frames),
        lambda m, batch: skill_loss(m, lam.to(batch["z"].device), batch, config.loss),
        config.out,
        (lambda m: evaluate_skills(m, test)) if held_out else None,
        {
            "model": config.model,
            "loss": config.loss,
            "data": data["hash"],
            "latents": store.attrs,
        },
    )
    parents = {"lam": checkpoint_hash(config.lam)}
    save_stage("skills", model, config, result, data, parents, gap=gap)


if __name__ == "__main__":
    run_program(main, Config)
