"""The one training loop, and what every program that runs it has in common."""

from hilam_core.training.loop import TrainConfig, TrainResult, train
from hilam_core.training.stage import hold_out, run_stage, stage_program, train_stage, write_stage

__all__ = [
    "TrainConfig",
    "TrainResult",
    "hold_out",
    "run_stage",
    "stage_program",
    "train",
    "train_stage",
    "write_stage",
]
