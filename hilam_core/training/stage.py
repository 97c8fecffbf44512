"""What training programs do around the loop: hold clips out, train, write a checkpoint with its card."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import nn

from hilam_core.cards import config_dict, make_card
from hilam_core.checkpoint import save_checkpoint
from hilam_core.data import Clip, split_held_out
from hilam_core.distributed import data_parallel, is_main_process
from hilam_core.files import sole_writer
from hilam_core.training.loop import TrainConfig, TrainResult, train

AnyClip = TypeVar("AnyClip", bound=Clip)


class StageConfig(Protocol):
    """What the settings of every training program have."""

    out: Path
    train: TrainConfig


def stage_program(main: Callable[[Any], None]) -> Callable[[Any], None]:
    """The main of a program that writes `config.out`: on all of torchrun's processes, and as the only program
    that writes there.

    Raises:
        FileError: another program writes it, or its folder is read-only.
    """

    @functools.wraps(main)
    @data_parallel
    def run(config: Any) -> None:
        with sole_writer(config.out) if is_main_process() else nullcontext():
            main(config)

    return run


def hold_out(clips: Sequence[AnyClip]) -> tuple[list[AnyClip], list[AnyClip]]:
    """(training, held out) as `split_held_out`, said on the screen."""
    training, held_out = split_held_out(clips)
    frames = sum(len(clip) for clip in training)
    kept = (
        f"{len(held_out)} held out" if held_out else "none held out (one alone is not split), so no metrics"
    )
    print(f"{len(training)} clips to train on ({frames} frames), {kept}")
    return training, held_out


def run_stage(
    kind: str,
    model: nn.Module,
    program: StageConfig,
    sample_batch: Callable,
    loss_fn: Callable,
    evaluate: Callable[[Any], dict[str, float]] | None,
    data: Mapping[str, Any],
    parents: Mapping[str, str],
    identity: Mapping[str, Any] | None = None,
    lr_scales: Mapping[str, float] | None = None,
    **more: Any,
) -> None:
    """`train_stage`, and `program.out` as a checkpoint of `kind`; more: as `write_stage`."""
    result = train_stage(model, program, sample_batch, loss_fn, evaluate, data, parents, identity, lr_scales)
    write_stage(program.out, kind, model, program, result, data, parents, **more)


def train_stage(
    model: nn.Module,
    program: StageConfig,
    sample_batch: Callable,
    loss_fn: Callable,
    evaluate: Callable[[Any], dict[str, float]] | None,
    data: Mapping[str, Any],
    parents: Mapping[str, str],
    identity: Mapping[str, Any] | None = None,
    lr_scales: Mapping[str, float] | None = None,
) -> TrainResult:
    """Train `model` (see `train`) in `program.out` and print what came out.

    model: has its configuration as `config`; data: of `describe_data`; parents: role -> checkpoint hash;
    identity: what else makes this another run than one left in the folder; lr_scales: as `train`.
    """
    result = train(
        program.train,
        model,
        sample_batch,
        loss_fn,
        program.out,
        evaluate,
        {"model": model.config, "data": data["hash"], "parents": parents, **(identity or {})},
        lr_scales,
    )
    for name, value in result.metrics.items():
        print(f"{name:36s} {value:8.4f}")
    return result


def write_stage(
    folder: Path,
    kind: str,
    model: nn.Module,
    program: StageConfig,
    result: TrainResult,
    data: Mapping[str, Any],
    parents: Mapping[str, str],
    found: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Write a trained model as a checkpoint of `kind`.

    found: settings that the program found in its input, for the card's `program`; more: goes into the card.
    Only the main process writes.
    """
    if not is_main_process():
        return
    if len(result.schedules) > 1:
        more["schedules"] = result.schedules
    card = make_card(
        kind,
        model.config,
        {**config_dict(program), **(found or {})},
        data,
        parents,
        program.train.seed,
        **{"steps": result.steps, "minutes": round(result.minutes, 2), "metrics": result.metrics, **more},
    )
    save_checkpoint(folder, model.state_dict(), card)
    print(f"{folder}: {result.steps} steps in {result.minutes:.1f} minutes")
