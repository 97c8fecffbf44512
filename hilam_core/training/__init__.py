"""The one training loop, checkpoint cards, and what every program in `training/` starts with."""

from hilam_core.checkpoint import (
    CheckpointError,
    checkpoint_hash,
    load_card,
    load_checkpoint,
    save_checkpoint,
)
from hilam_core.training.cards import config_dict, config_from, describe_data, make_card, restore
from hilam_core.training.loop import TrainConfig, TrainResult, train
from hilam_core.training.program import is_main_process, run_program

__all__ = [
    "CheckpointError",
    "TrainConfig",
    "TrainResult",
    "checkpoint_hash",
    "config_dict",
    "config_from",
    "describe_data",
    "is_main_process",
    "load_card",
    "load_checkpoint",
    "make_card",
    "restore",
    "run_program",
    "save_checkpoint",
    "train",
]
