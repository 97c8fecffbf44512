r"""Pretrain both policy levels on pseudo-labels; neither robot actions nor robot states are read.

    python training/pretrain_policy.py --data data/libero_object --out runs/pretrain

pi^h(z^h_t | o_t, l) regresses the skill zbar^s_t and where segments begin; pi^l(z^l | o_t, zbar^s_t)
regresses chunks of latent actions. Reads demonstrations or videos, their latents.h5 and skills.h5; writes a
policy checkpoint that finetune_policy trains on robot actions. With --no-hierarchical, flat BAKU is
pretrained on latent actions instead. Ctrl-C saves; the same command continues.

    python training/pretrain_policy.py --data data/video --cameras agentview --latents data/video/latents.h5 \
        --skills data/video/skills.h5
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro

from hilam_core.data import (
    Clip,
    LatentStore,
    ReadConfig,
    SkillStore,
    camera_names,
    describe_data,
    read_clips,
)
from hilam_core.distributed import main_process_first
from hilam_core.errors import ConfigError
from hilam_core.files import writable_folder
from hilam_core.policy import BakuConfig, Policy, PolicyConfig
from hilam_core.policy.batches import (
    PolicyFrames,
    Pseudolabels,
    set_input_statistics,
    set_target_statistics,
)
from hilam_core.policy.evaluate import held_out_metrics
from hilam_core.policy.language import LANGUAGE_MODEL
from hilam_core.policy.loss import pretraining_loss
from hilam_core.policy.presets import PRETRAINING
from hilam_core.program import run_program
from hilam_core.training import TrainConfig, hold_out, run_stage, stage_program


@dataclass
class Config:
    """Pretrain pi^h and pi^l on pseudo-labels."""

    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations (*.hdf5), LeRobot datasets or videos: files, or folders of them."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    cameras: tuple[str, ...] = ()
    """Cameras that the policy reads, by default all of the data; a video shows one, which counts as the
    first."""
    latents: Path = Path("data/libero_object/latents.h5")
    """Latent actions z^l of these clips, by extract_latents."""
    skills: Path = Path("data/libero_object/skills.h5")
    """Skills of these clips, by extract_skills; flat BAKU reads them for a latent stage beyond 0 alone."""
    out: Path = Path("runs/pretrain")
    """Folder for checkpoint and logs; continued when it holds an unfinished run."""
    preset: str | None = None
    """A row of the paper's Table 1, such as table1/human_z2_z0: sets the next three."""
    hierarchical: bool = True
    """Pretrain both levels; --no-hierarchical pretrains flat BAKU on latent actions."""
    stage: int | None = None
    """Stage of the skill model whose segments are the skills; by default its last."""
    latent_stage: int = 0
    """What pi^l regresses: 0 for z^l, s for the segment vectors zbar^s of the skill model's stage s."""
    published_size: bool = False
    """BAKU's published network and aggregation instead of those for a CPU core."""
    language: bool = True
    """Read the instruction (of a video: its caption in captions.jsonl); --no-language hides it."""
    language_model: str = LANGUAGE_MODEL
    """Whose sentence embeddings are read: MiniLM, or a T5 (the paper), by its folder or a name that
    transformers knows, such as t5-base."""
    low_language: bool = True
    """Show pi^l the instruction too; in the paper it reads only the skill."""
    plan_period: int = 5
    """Control steps between plans at run time."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=5000, lr=1e-3, ema_decay=0.999))
    """Optimisation."""

    def __post_init__(self) -> None:
        if self.latent_stage < 0:
            raise ConfigError(f"latent_stage must be at least 0, got {self.latent_stage}")
        if self.plan_period < 1:
            raise ConfigError(f"plan_period must be at least 1, got {self.plan_period}")


def policy_config(config: Config, latent_dim: int, skill_dim: int) -> PolicyConfig:
    """The shape of the policy to pretrain."""
    base = BakuConfig(cameras=config.cameras, output_dim=latent_dim)
    if not config.language:
        base = replace(base, language_dim=0)
    if config.hierarchical:
        shape = PolicyConfig.hierarchical(
            skill_dim, latent_dim, base, config.low_language, plan_period=config.plan_period
        )
    else:
        shape = PolicyConfig.flat(base)
    if config.language:
        shape = shape.reading(config.language_model)
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


def read_skills(config: Config, latents: LatentStore, clips: list[Clip]) -> tuple[SkillStore, int]:
    """Skills made of these latents and clips, and the stage to take them from; 0 for a flat policy."""
    skills = SkillStore.read(config.skills)
    latents.lineage.require(config.latents, skills.lineage, config.skills)
    skills.require_clips(clips).require_current()
    stage = skills.stages if config.stage is None else config.stage
    for name, value in (("stage", stage), ("latent_stage", config.latent_stage or 1)):
        if not 1 <= value <= skills.stages:
            raise ConfigError(f"{name} must be 1 to {skills.stages}, those of {config.skills}, got {value}")
    if config.hierarchical and config.latent_stage >= stage:
        raise ConfigError(f"latent_stage must be below stage {stage}, got {config.latent_stage}")
    return skills, stage if config.hierarchical else 0


@stage_program
def main(config: Config) -> None:
    writable_folder(config.out)
    latents = LatentStore.read(config.latents)
    labelled = latents.lineage.cameras
    with main_process_first():
        config.cameras = config.cameras or camera_names(config.data, config.read)
        clips = read_clips(config.data, tuple(dict.fromkeys((*config.cameras, *labelled))), config.read)
    latents.require_clips(clips).require_current()
    reads_skills = config.hierarchical or config.latent_stage
    skills, stage = read_skills(config, latents, clips) if reads_skills else (None, 0)
    skill_dim = skills[clips[0].key]["z1"].shape[1] if skills else 0
    shape = policy_config(config, skill_dim if config.latent_stage else latents.latent_dim, skill_dim)
    fresh = Policy(shape)

    def labels_of(some: list[Clip]) -> Pseudolabels:
        frames = PolicyFrames(some, fresh.spec, proprio=False, language=fresh.language_model)
        return Pseudolabels(frames, latents, shape.low.chunk, skills, stage, config.latent_stage)

    some, held_out = hold_out(clips)
    training, test = labels_of(some), labels_of(held_out) if held_out else None
    run_stage(
        "policy",
        make_policy(shape, training, config.train.seed),
        config,
        lambda rng, n: training.batch(rng.choice(training.rows, n), rng),
        pretraining_loss,
        held_out_metrics(test, pretraining_loss),
        describe_data(config.data, clips),
        parents={
            "lam": latents.lineage.lam_hash,
            **({"skills": skills.attrs["skills_hash"]} if skills else {}),
        },
        identity={
            "cameras": labelled,
            "gap": latents.lineage.gap,
            "stages": [stage, config.latent_stage],
        },
        lineage=latents.lineage.attrs,
        stage="pretrained",
        skill_stage=stage or None,
        latent_stage=config.latent_stage,
    )


if __name__ == "__main__":
    run_program(main, Config, PRETRAINING)
