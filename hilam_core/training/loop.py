"""The one training loop, used by every stage.

    result = train(config, model, sample_batch, loss_fn, "runs/lam", evaluate=evaluate)

Everything random in step n (which samples, augmentation, dropout, noise) is drawn from generators seeded by
(seed, n, rank): a resumed run continues exactly as the uninterrupted one would, with no generator state to
store. Ctrl-C or SIGTERM saves `train_state.pt` and exits with 130; starting again in the same folder
continues there. Under torchrun the model is replicated with DDP and every rank draws its own batches.
"""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from hilam_core.cards import config_dict
from hilam_core.device import choose_device, to_device
from hilam_core.errors import CheckpointError, ConfigError
from hilam_core.files import replacing, writable_folder
from hilam_core.training.precision import Precision, choose_precision

STATE = "train_state.pt"
Metrics = dict[str, float]


@dataclass
class TrainConfig:
    """Optimisation: AdamW, linear warm-up, cosine decay."""

    steps: int = 10_000
    """Optimiser steps in all; a run can be given more when it is done."""
    batch_size: int = 64
    """Samples a step on each process."""
    lr: float = 1e-3
    """Peak learning rate."""
    min_lr_ratio: float = 0.05
    """The cosine ends at this share of the peak."""
    warmup_steps: int = 200
    """Steps of linear warm-up."""
    weight_decay: float = 1e-4
    """On matrices and kernels; biases, gains and other vectors are not decayed."""
    grad_clip: float = 1.0
    """Largest gradient norm; 0 leaves gradients alone."""
    ema_decay: float = 0.0
    """Decay of the moving average of the weights that is evaluated and saved; 0 averages nothing."""
    precision: Precision = "auto"
    """auto: bfloat16 where the CPU or GPU computes in it (twice as fast), else float32."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    log_every: int = 50
    """Steps between lines in TensorBoard."""
    eval_every: int = 1000
    """Steps between evaluations on held-out data; 0 evaluates at the end only."""
    save_every_s: float = 60.0
    """Seconds between saves of the resumable state."""

    def __post_init__(self) -> None:
        for name, least in (
            ("steps", 1),
            ("batch_size", 1),
            ("lr", 0),
            ("min_lr_ratio", 0),
            ("warmup_steps", 0),
            ("weight_decay", 0),
            ("grad_clip", 0),
            ("seed", 0),
            ("log_every", 1),
            ("eval_every", 0),
            ("save_every_s", 0),
        ):
            if not getattr(self, name) >= least:  # nor is NaN
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.precision not in get_args(Precision):
            raise ConfigError(
                f"unknown precision {self.precision!r}; choices: {', '.join(get_args(Precision))}"
            )
        if not 0 <= self.ema_decay < 1:
            raise ConfigError(f"ema_decay must be in [0, 1), got {self.ema_decay}")


@dataclass
class TrainResult:
    """What came out; the model holds the weights to keep (averaged ones when EMA is on)."""

    steps: int
    minutes: float
    metrics: Metrics = field(default_factory=dict)
    schedules: list[list[int]] = field(default_factory=list)
    """[first step, steps in all] of each cosine schedule that was followed: one, or more if extended."""


def train(
    config: TrainConfig,
    model: nn.Module,
    sample_batch: Callable[[np.random.Generator], Any],
    loss_fn: Callable[[nn.Module, Any], tuple[Tensor, Mapping[str, Tensor | float]]],
    run_dir: str | Path,
    evaluate: Callable[[nn.Module], Metrics] | None = None,
    identity: Any = None,
    lr_scales: Mapping[str, float] | None = None,
) -> TrainResult:
    """Train `model` in place, from `run_dir/train_state.pt` where an earlier run left one.

    `config.precision` "auto" becomes what was chosen, so that a card names it.

    Args:
        sample_batch: Makes one batch (tensors or numpy arrays in any nesting of dict, list, tuple) from a
            generator.
        loss_fn: (model, batch) -> (scalar loss, scalars to log); called once a step, the model in training
            mode.
        evaluate: Metrics on held-out data; called without gradients, the model in evaluation mode.
        identity: What else the run depends on (model configuration, data hash): a resume with another is
            refused. `config.steps` may grow: the run continues with the learning rates of the longer
            schedule.
        lr_scales: Share of the learning rate for parameters whose names begin so; 1 for all others.

    Raises:
        CheckpointError: `run_dir` holds the state of a different run.
        SystemExit: code 130, on SIGINT or SIGTERM, after saving.
    """
    run_dir = Path(run_dir)
    return _Run(config, model, sample_batch, loss_fn, run_dir, evaluate, identity, lr_scales or {}).train()


class _Run:
    def __init__(self, config, model, sample_batch, loss_fn, run_dir, evaluate, identity, lr_scales) -> None:
        self.config, self.sample_batch, self.evaluate, self.run_dir = config, sample_batch, evaluate, run_dir
        self.rank, self.device = _start_process(config.device)
        config.precision, reason = choose_precision(config.precision, self.device, model)
        if self.rank == 0:
            print(f"training on {self.device} in {config.precision} ({reason})")
        self.identity = config_dict({"train": _reproducible(config), "identity": identity})
        self.model: nn.Module = model.to(self.device)
        objective: nn.Module = _Objective(model, loss_fn)
        if dist.is_initialized():
            objective = nn.parallel.DistributedDataParallel(objective, find_unused_parameters=True)
        self.objective = objective
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer, self.lr_scales = _make_optimizer(config, model, lr_scales)
        self.ema = [p.detach().clone() for p in self.parameters] if config.ema_decay else None
        self.step, self.seconds_before = 0, 0.0
        self.schedules = [[0, config.steps]]

    def train(self) -> TrainResult:
        writable_folder(self.run_dir)
        self._resume()
        started = saved = time.monotonic()
        log = _Log(self.run_dir / "tensorboard" if self.rank == 0 else None, self.step)
        bar = tqdm(
            total=self.config.steps, initial=self.step, disable=self.rank != 0, mininterval=_progress_s()
        )
        metrics: Metrics = {}
        with _Interrupts() as interrupts:
            while self.step < self.config.steps:
                scalars = self._one_step()
                if self.step % self.config.log_every == 0:
                    log.write(self.step, "train", scalars)
                    bar.set_postfix(
                        {k: f"{float(v):.4g}" for k, v in list(scalars.items())[:4]}, refresh=False
                    )
                bar.update()
                if (
                    self.config.eval_every
                    and self.step % self.config.eval_every == 0
                    and self.step < self.config.steps
                ):
                    log.write(self.step, "held_out", self._evaluate())
                stop = _any_rank(interrupts.received)
                if stop or time.monotonic() - saved > self.config.save_every_s:
                    self._save(time.monotonic() - started)
                    saved = time.monotonic()
                if stop:
                    bar.close()
                    print(f"interrupted at step {self.step}; start again with the same settings to continue")
                    raise SystemExit(130)
            bar.close()
            self._save(time.monotonic() - started)
            self._swap_ema()
            metrics = self._evaluate(swap=False)
            log.write(self.step, "held_out", metrics)
        log.close()
        return TrainResult(
            self.step, (self.seconds_before + time.monotonic() - started) / 60, metrics, self.schedules
        )

    def _one_step(self) -> dict[str, Tensor | float]:
        seeds = np.random.SeedSequence((self.config.seed, self.step, self.rank))
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        batch = to_device(self.sample_batch(np.random.default_rng(seeds)), self.device)
        lr = self.config.lr * lr_factor(self.step, self.config)
        for group, scale in zip(self.optimizer.param_groups, self.lr_scales, strict=True):
            group["lr"] = lr * scale
        self.objective.train()
        bfloat16 = self.config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            loss, scalars = self.objective(batch)
        if not torch.isfinite(loss):
            raise ConfigError(
                f"the loss became {loss.item()} at step {self.step}: lower lr ({self.config.lr})"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip or float("inf"))
        self.optimizer.step()
        self.step += 1
        if self.ema is not None:
            decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.ema, [p.detach() for p in self.parameters], 1 - decay)
        scalars = {name: v.detach() if isinstance(v, Tensor) else v for name, v in scalars.items()}
        return {"loss": loss.detach(), **scalars, "grad_norm": norm, "lr": lr}

    @torch.no_grad()
    def _evaluate(self, swap: bool = True) -> Metrics:
        if self.evaluate is None:
            return {}
        if swap:
            self._swap_ema()
        self.model.eval()
        metrics = {k: float(v) for k, v in self.evaluate(self.model).items()}
        if swap:
            self._swap_ema()
        return metrics

    def _swap_ema(self) -> None:
        for p, average in zip(self.parameters, self.ema or [], strict=False):
            p.data, average.data = average.data, p.data

    def _save(self, seconds: float) -> None:
        if self.rank != 0:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "schedules": self.schedules,
            "seconds": self.seconds_before + seconds,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
        }
        with replacing(self.run_dir / STATE) as draft:
            torch.save(state, draft)

    def _resume(self) -> None:
        path = self.run_dir / STATE
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # damaged pickles raise nearly anything
            first = str(error).splitlines()[0]
            raise CheckpointError(f"{path} cannot be read ({first}): remove it to start over") from None
        differs = _first_difference(state["identity"], self.identity)
        if differs:
            raise CheckpointError(
                f"{path} is of a run with other {differs}: remove it or choose another folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds_before = state["step"], state["seconds"]
        if self.ema is not None:
            for average, stored in zip(self.ema, state["ema"], strict=True):
                average.copy_(stored)
        self._continue_schedule(state["schedules"])
        print(f"continuing {self.run_dir} at step {self.step}")

    def _continue_schedule(self, schedules: list[list[int]]) -> None:
        steps, before = self.config.steps, schedules[-1][1]
        if steps < self.step:
            raise CheckpointError(
                f"{self.run_dir} has {self.step} steps already, steps is {steps}: give as many or more, "
                "or choose another folder"
            )
        self.schedules = schedules
        if steps != before:
            self.schedules = [*schedules, [self.step, steps]]
            print(
                f"{steps} steps instead of {before}: the learning rate goes on as in a run of {steps}, "
                f"from {lr_factor(self.step, self.config):.2f} of its peak; a run of {steps} steps from the "
                "start would have come here on another schedule"
            )


class _Objective(nn.Module):
    """Model and loss as one module: DDP sees a single forward pass whatever the loss calls on the model."""

    def __init__(self, model: nn.Module, loss_fn: Callable) -> None:
        super().__init__()
        self.model, self.loss_fn = model, loss_fn

    def forward(self, batch: Any) -> Any:
        return self.loss_fn(self.model, batch)


def lr_factor(step: int, config: TrainConfig) -> float:
    """Learning rate at `step` as a share of the peak: linear warm-up, then cosine to `min_lr_ratio`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.min_lr_ratio + (1 - config.min_lr_ratio) * 0.5 * (
        1 + math.cos(math.pi * min(1.0, progress))
    )


def _make_optimizer(
    config: TrainConfig, model: nn.Module, lr_scales: Mapping[str, float]
) -> tuple[torch.optim.Optimizer, list[float]]:
    """The optimiser, and the share of the learning rate of each of its groups."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((share for start, share in lr_scales.items() if name.startswith(start)), 1.0)
            groups.setdefault((scale, parameter.ndim >= 2), []).append(parameter)
    order = sorted(groups, reverse=True)
    # 0.95: the second moment forgets within 20 steps, which runs of some thousand steps need.
    optimizer = torch.optim.AdamW(
        [{"params": groups[key], "weight_decay": config.weight_decay * key[1]} for key in order],
        lr=config.lr,
        betas=(0.9, 0.95),
        foreach=True,
    )
    return optimizer, [scale for scale, _ in order]


def _reproducible(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide the result: a resume may change the others."""
    free = {"steps", "device", "log_every", "eval_every", "save_every_s"}
    return {k: v for k, v in config_dict(config).items() if k not in free}


def _first_difference(a: Any, b: Any, name: str = "") -> str | None:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            found = _first_difference(a.get(key), b.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return None
    return None if a == b else f"{name} ({a}, now {b})"


def _start_process(device: str) -> tuple[int, torch.device]:
    """(rank, device); joins the process group when torchrun started us."""
    chosen = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if chosen.type == "cuda":
            chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(chosen)
        if not dist.is_initialized():
            dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        return dist.get_rank(), chosen
    return 0, chosen


def _any_rank(flag: bool) -> bool:
    """True when the flag is set on any process: all must leave the loop at the same step."""
    if not dist.is_initialized():
        return flag
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    votes = torch.tensor(float(flag), device=device)
    dist.all_reduce(votes)
    return votes.item() > 0


def _progress_s() -> float:
    """Seconds between progress lines: often for a person, seldom for a log file."""
    return 1.0 if sys.stderr.isatty() else 30.0


class _Interrupts:
    """Turns SIGINT and SIGTERM into a flag while training, so that a step is never cut in half."""

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._set)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _set(self, number: int, frame: FrameType | None) -> None:
        self.received = True


class _Log:
    """Scalars to TensorBoard; a None folder logs nothing."""

    def __init__(self, folder: Path | None, step: int) -> None:
        self.writer = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder), purge_step=step)

    def write(self, step: int, prefix: str, scalars: Mapping[str, Tensor | float]) -> None:
        if self.writer is not None:
            for name, value in scalars.items():
                self.writer.add_scalar(f"{prefix}/{name}", float(value), step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
