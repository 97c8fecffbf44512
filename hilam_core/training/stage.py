"""How every training program ends: a checkpoint with its card, and the metrics on the screen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from hilam_core.cards import make_card
from hilam_core.checkpoint import save_checkpoint
from hilam_core.training.loop import TrainConfig, TrainResult


class StageConfig(Protocol):
    """What the settings of every training program have."""

    out: Path
    train: TrainConfig


def is_main_process() -> bool:
    """Whether this process writes the checkpoint: rank 0 of torchrun's, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def save_stage(
    kind: str,
    model: nn.Module,
    program: StageConfig,
    result: TrainResult,
    data: Mapping[str, Any],
    parents: Mapping[str, str],
    **more: Any,
) -> None:
    """Write `program.out` as a checkpoint of `kind` and print what came out; only the main process does.

    model: has its configuration as `config`; data: of `describe_data`; parents: role -> checkpoint hash;
    more: goes into the card.
    """
    if not is_main_process():
        return
    card = make_card(
        kind,
        model.config,
        program,
        data,
        parents,
        program.train.seed,
        steps=result.steps,
        minutes=round(result.minutes, 2),
        metrics=result.metrics,
        **more,
    )
    for name, value in result.metrics.items():
        print(f"{name:36s} {value:8.4f}")
    save_checkpoint(program.out, model.state_dict(), card)
    print(f"{program.out}: {result.steps} steps in {result.minutes:.1f} minutes")
