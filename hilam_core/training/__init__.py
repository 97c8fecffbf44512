"""The one training loop, and how every program that runs it ends."""

from hilam_core.training.loop import TrainConfig, TrainResult, train
from hilam_core.training.stage import is_main_process, save_stage

__all__ = ["TrainConfig", "TrainResult", "is_main_process", "save_stage", "train"]
