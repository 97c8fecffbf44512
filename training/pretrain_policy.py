"""Pretrain both policy levels on pseudo-labels; neither robot actions nor robot states are read.

    python training/pretrain_policy.py --data data/libero_object --out runs/pretrain

pi^h(z^h_t | o_t, l) regresses the skill zbar^s_t and where segments begin; pi^l(z^l | o_t, zbar^s_t)
regresses chunks of latent actions. Reads demonstrations, latents.h5 and skills.h5; writes a policy checkpoint
that finetune_policy takes to robot actions. With --no-hierarchical, flat BAKU is pretrained on latent actions
instead. Ctrl-C saves; the same command continues.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from hilam_core.data import (
    LatentStore,
    SkillStore,
    content_hash,
    describe_data,
    read_demonstrations,
    split_held_out,
)
from hilam_core.policy import BakuConfig, Policy, PolicyConfig
from hilam_core.policy.batches import (
    PolicyFrames,
    Pseudolabels,
    set_input_statistics,
    set_target_statistics,
)
from hilam_core.policy.evaluate import held_out_metrics
from hilam_core.policy.loss import pretraining_loss
from hilam_core.program import run_program
from hilam_core.training import TrainConfig, save_stage, train


@dataclass
class Config:
    """Pretrain pi^h and pi^l on pseudo-labels."""

    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Folders or files with demonstrations (*.hdf5)."""
    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions z^l of these demonstrations, by extract_latents."""
    skills: Path = Path("data/libero_object/skills.h5")
    """Skills of these demonstrations, by extract_skills."""
    out: Path = Path("runs/pretrain")
    """Folder for checkpoint and logs; continued when it holds an unfinished run."""
    hierarchical: bool = True
    """Both levels; without, flat BAKU on latent actions."""
    stage: Literal[1, 2] = 2
    """Stage of the skill model whose segments are the skills."""
    published_size: bool = False
    """BAKU's published network and aggregation instead of those for a CPU core."""
    low_language: bool = True
    """Show pi^l the instruction too (the paper shows it the skill alone)."""
    plan_period: int = 5
    """Control steps between plans at run time."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=5000, lr=1e-3, ema_decay=0.999))
    """Optimisation."""


def policy_config(config: Config, latent_dim: int, skill_dim: int) -> PolicyConfig:
    """The shape of the policy to pretrain."""
    base = BakuConfig(output_dim=latent_dim)
    if config.hierarchical:
        shape = PolicyConfig.hierarchical(
            skill_dim, latent_dim, base, config.low_language, plan_period=config.plan_period
        )
    else:
        shape = PolicyConfig.flat(base)
    return shape.at_published_size() if config.published_size else shape


def make_policy(shape: PolicyConfig, labels: Pseudolabels, seed: int) -> Policy:
    """A fresh policy with the statistics of its data."""
    torch.manual_seed(seed)
    policy = Policy(shape)
    set_input_statistics(policy.low, labels.frames)
    set_target_statistics(policy.low, labels.z_low[labels.rows])
    if policy.high is not None:
        set_input_statistics(policy.high, labels.frames)
        set_target_statistics(policy.high, labels.z_high[labels.rows])
        policy.low.skill_mean.copy_(policy.high.output_mean)
        policy.low.skill_std.copy_(policy.high.output_std)
    return policy


def main(config: Config) -> None:
    episodes = read_demonstrations(config.data)
    lengths = {episode.key: len(episode) for episode in episodes}
    data_hash = content_hash(episodes)
    latents = LatentStore.read(config.latents).require(lengths, data_hash=data_hash)
    skills = SkillStore.read(config.skills).require(lengths, data_hash=data_hash)
    dims = (latents[episodes[0].key]["z"].shape[1], skills[episodes[0].key][f"z{config.stage}"].shape[1])
    shape = policy_config(config, *dims)
    spec = Policy(shape).spec

    def labels_of(some: list) -> Pseudolabels:
        return Pseudolabels(PolicyFrames(some, spec), latents, skills, config.stage, shape.low.chunk)

    training, held_out = map(labels_of, split_held_out(episodes))
    policy = make_policy(shape, training, config.train.seed)
    data = describe_data(config.data, episodes)
    result = train(
        config.train,
        policy,
        lambda rng: training.batch(rng.choice(training.rows, config.train.batch_size), rng),
        pretraining_loss,
        config.out,
        held_out_metrics(held_out, pretraining_loss),
        {
            "policy": shape,
            "data": data["hash"],
            "latents": latents.attrs,
            "skills": skills.attrs,
            "stage": config.stage,
        },
    )
    parents = {"lam": latents.attrs["checkpoint_hash"], "skills": skills.attrs["checkpoint_hash"]}
    save_stage("policy", policy, config, result, data, parents, stage="pretrained")


if __name__ == "__main__":
    run_program(main, Config)
