"""Fine-tune a pretrained policy on robot actions, or train flat BAKU on them from scratch.

    python training/finetune_policy.py --pretrained runs/pretrain --out runs/policy     # HiLAM
    python training/finetune_policy.py --out runs/flat                                  # flat BAKU
    python training/finetune_policy.py --blind --out runs/blind                         # no images
    python training/finetune_policy.py --hierarchical --out runs/scratch                # HiLAM from scratch
    python training/finetune_policy.py --share 0.1 --decoded decoded.h5 --out runs/few  # the rest decoded

pi^h is frozen, or with --high-lr learns slowly from the actions alone. pi^l gets new heads, for robot actions
instead of latent ones and for waypoints, and is trained with the skills that pi^h predicts, up to one plan
period old, as on the robot.
Ctrl-C saves; the same command continues.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro

from hilam_core.cards import checkpoint_hash
from hilam_core.data import (
    Episode,
    LabelStore,
    ReadConfig,
    camera_names,
    describe_data,
    first_share,
    labelled_and_rest,
    read_clips,
    read_demonstrations,
    require_one_robot,
    require_rate,
)
from hilam_core.distributed import main_process_first, own_device
from hilam_core.errors import CheckpointError, ConfigError
from hilam_core.files import writable_folder
from hilam_core.lam.decode import as_demonstration
from hilam_core.policy import BakuConfig, Policy, PolicyConfig, load_policy
from hilam_core.policy.batches import ActionLabels, PolicyFrames, set_action_units, set_input_statistics
from hilam_core.policy.evaluate import held_out_metrics
from hilam_core.policy.extract import predict_skills
from hilam_core.policy.language import LANGUAGE_MODEL
from hilam_core.policy.loss import action_loss
from hilam_core.policy.presets import FINETUNING, require_row
from hilam_core.program import run_program
from hilam_core.training import TrainConfig, hold_out, run_stage, stage_program

SKILL_DIM = 64  # of a hierarchy from scratch: what the skill model gives one that is pretrained


@dataclass
class Config:
    """Train a policy on robot actions."""

    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """Demonstrations: files (*.hdf5), LeRobot datasets, or folders of them."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    cameras: tuple[str, ...] = ()
    """From scratch: cameras that the policy reads, by default all of the data."""
    pretrained: Path | None = None
    """Policy of pretrain_policy to start from; by default none: flat BAKU from scratch."""
    preset: str | None = None
    """A row of the paper's Table 1, such as table1/human_z2_z0: checks that --pretrained is that row, or for
    table1/no_pretraining sets --hierarchical."""
    hierarchical: bool = False
    """From scratch: both levels of HiLAM instead of flat BAKU, trained together on the actions."""
    high_lr: float = 0.0
    """Peak learning rate of a pretrained pi^h, such as 1e-5; 0 freezes it, as the paper does. From scratch it
    learns at the rate of pi^l."""
    blind: bool = False
    """Train without images: the baseline that shows what the benchmark gives away."""
    share: float = 1.0
    """Share of the demonstrations of each file to train on."""
    decoded: Path | None = None
    """Labels of decode_actions: the demonstrations beyond the share, and the clips of `unlabelled`, are
    trained on too, with actions and waypoints decoded from their latent actions."""
    unlabelled: list[Path] = field(default_factory=list)
    """More clips with decoded labels: the ones given to decode_actions."""
    out: Path = Path("runs/policy")
    """Folder for checkpoint and logs; continued when it holds an unfinished run."""
    published_size: bool = False
    """From scratch: BAKU's published network and aggregation instead of those for a CPU core."""
    language_model: str | None = None
    """Whose sentence embeddings are read: MiniLM (the default), or a T5, by its folder or a name that
    transformers knows. A pretrained policy keeps its own."""
    waypoint: bool = True
    """Also learn the waypoint, where the gripper next opens or closes, if the data have pose and fingers. Not
    with --blind."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(steps=14_000, lr=1e-3, ema_decay=0.999))
    """Optimisation."""

    def __post_init__(self) -> None:
        if self.blind and self.pretrained is not None:
            raise ConfigError("blind is trained from scratch: leave out pretrained")
        if self.hierarchical and (self.blind or self.pretrained is not None):
            raise ConfigError("hierarchical is for training from scratch: leave out pretrained and blind")
        if not self.high_lr >= 0 or (self.high_lr and not (self.pretrained and self.train.lr)):
            raise ConfigError(
                f"high_lr is for --pretrained, not negative, and beside a train.lr, got {self.high_lr}"
            )
        if self.cameras and (self.blind or self.pretrained is not None):
            raise ConfigError("cameras are those of the pretrained policy, and none with blind")
        if self.unlabelled and self.decoded is None:
            raise ConfigError("unlabelled clips need labels: give decoded")
        if self.decoded is not None and self.blind:
            raise ConfigError("decoded labels come without the robot's state, which is all that blind reads")
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must be in (0, 1], got {self.share}")


def read(config: Config, pretrained: Policy | None) -> list[Episode]:
    """The demonstrations, with the cameras that the policy reads."""
    if pretrained is None:
        cameras = () if config.blind else config.cameras or camera_names(config.data, config.read)
        return read_demonstrations(config.data, cameras, config.read)
    episodes = read_demonstrations(config.data, pretrained.spec.cameras, config.read)
    require_rate(episodes, pretrained.card["data"].get("fps", episodes[0].fps), config.pretrained)
    return episodes


def make_policy(config: Config, pretrained: Policy | None, example: Episode) -> Policy:
    """The pretrained policy with fresh heads and pi^h frozen or slow, or a fresh one, for demonstrations like
    `example`."""
    if config.waypoint and not config.blind and not example.has_gripper:
        print("without waypoints: the data have no pose and fingers")
    policy = pretrained or Policy(fresh_shape(config, example))
    if config.preset is not None:
        require_row(config.preset, policy.card or None, config.pretrained)
    if config.pretrained is not None:
        policy.low.requires_grad_(True)
        policy.low.set_head(example.actions.shape[1], config.waypoint and example.has_gripper)
        if policy.high is not None:
            policy.high.requires_grad_(config.high_lr > 0)
        policy.require_language()
        if config.language_model not in (None, policy.config.language_model):
            raise ConfigError(
                f"'{config.pretrained}' reads instructions by '{policy.config.language_model}', "
                f"not by '{config.language_model}'"
            )
    if config.high_lr and policy.high is None:
        raise ConfigError(f"high_lr: {config.pretrained} is flat, it has no pi^h")
    return policy


def fresh_shape(config: Config, example: Episode) -> PolicyConfig:
    """The shape of a policy from scratch, for demonstrations like `example`."""
    action_dim = example.actions.shape[1]
    waypoint = config.waypoint and example.has_gripper
    base = BakuConfig(cameras=tuple(example.frames), output_dim=action_dim, waypoint=waypoint)
    if config.blind:
        shape = PolicyConfig.blind(action_dim, example.proprio.shape[1])
    elif config.hierarchical:
        shape = PolicyConfig.hierarchical(SKILL_DIM, action_dim, base=base)
    else:
        shape = PolicyConfig.flat(base)
    shape = shape.reading(config.language_model or LANGUAGE_MODEL)
    return shape.at_published_size() if config.published_size else shape


def load_pretrained(folder: Path) -> Policy:
    """A policy of pretrain_policy; one that gives robot actions already would lose them with its heads."""
    policy = load_policy(folder)
    if policy.card.get("stage") != "pretrained":
        raise CheckpointError(
            f"'{folder}' is not a policy of pretrain_policy (its stage is {policy.card.get('stage')!r}): "
            "fine-tuning would replace its heads; to train a run further, repeat its command with more steps"
        )
    return policy


def with_decoded(
    config: Config, store: LabelStore, training: list[Episode], held_out: list[Episode]
) -> list[Episode]:
    """The labelled demonstrations, and all other clips by the labels decoded for them."""
    unlabelled = (
        read_clips(config.unlabelled, tuple(training[0].frames), config.read) if config.unlabelled else []
    )
    labelled, rest = labelled_and_rest(training, held_out, config.share, unlabelled)
    store.require_labelled(episode.key for episode in labelled)
    store.require_clips(rest)
    print(f"{len(labelled)} demonstrations with actions, {len(rest)} clips with decoded ones")
    return [
        *labelled,
        *(as_demonstration(clip, store[clip.key]["labels"], store.action_dim) for clip in rest),
    ]


def label(policy: Policy, episodes: list[Episode]) -> ActionLabels:
    """Frames with the actions to imitate and, for a hierarchy, the skills that a frozen pi^h predicts, or the
    observations for one that learns."""
    proprio = policy.low.config.proprio_dim > 0
    frames = PolicyFrames(episodes, policy.spec, proprio, policy.language_model)
    skills: np.ndarray | None = None
    learns = policy.high is not None and next(policy.high.parameters()).requires_grad
    if policy.high is not None and not learns:
        skills = predict_skills(policy, frames)
    return ActionLabels(frames, policy.low.config.chunk, policy.plan_period, skills, learns)


@stage_program
def main(config: Config) -> None:
    writable_folder(config.out)
    torch.manual_seed(config.train.seed)
    pretrained = None if config.pretrained is None else load_pretrained(config.pretrained)
    with main_process_first():
        episodes = read(config, pretrained)
    require_one_robot(episodes, proprio=config.blind, hand=config.waypoint and not config.blind)
    policy = make_policy(config, pretrained, episodes[0])
    training, held_out = hold_out(episodes)
    origin = {}
    if config.decoded is None:
        training = first_share(training, config.share)
    else:
        store = LabelStore.read(config.decoded).require_current()
        training = with_decoded(config, store, training, held_out)
        origin = {"decoded": {name: store.attrs[name] for name in ("lam_hash", "cameras", "gap", "labelled")}}
    policy.to(own_device(config.train.device))  # pi^h labels all frames there
    labels, test = label(policy, training), label(policy, held_out) if held_out else None
    if config.pretrained is None:
        for level in filter(None, (policy.low, policy.high)):
            set_input_statistics(level, labels.frames)
    set_action_units(policy, labels.actions)
    parents = dict(policy.card.get("parents", {}))
    if config.pretrained is not None:
        parents["pretrained"] = checkpoint_hash(config.pretrained)
    run_stage(
        "policy",
        policy,
        config,
        lambda rng, n: labels.batch(rng.choice(labels.rows, n), rng),
        action_loss,
        held_out_metrics(test, action_loss),
        describe_data(config.data, training),
        parents,
        identity={"high_lr": config.high_lr},
        lr_scales={"high.": config.high_lr / config.train.lr} if config.high_lr else None,
        stage="finetuned",
        **origin,
    )


if __name__ == "__main__":
    run_program(main, Config, FINETUNING)
