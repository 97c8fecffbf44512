"""The one training loop, used by every stage.

    result = train(config, model, sample_batch, loss_fn, "runs/lam", evaluate=evaluate)

Everything random in step n is drawn from generators seeded by (seed, n): a resumed run continues exactly as
the uninterrupted one would, with no generator state to store. Ctrl-C or SIGTERM saves `train_state.pt` and
exits with 130; starting again in the same folder continues there.

Under torchrun the model is replicated with DDP, and the processes divide each batch: which samples it has and
how they are augmented does not depend on their number, so that a run may continue on another number. What
networks draw themselves (dropout, noise) is of each process.
"""

import math
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
from torch import Tensor, nn
from tqdm import tqdm

from hilam_core.cards import config_dict
from hilam_core.device import to_device
from hilam_core.distributed import (
    any_process,
    average,
    is_main_process,
    own_device,
    process_group,
    processes,
    rank,
    share_of_batch,
    shared_generator,
)
from hilam_core.errors import CheckpointError, ConfigError, FileError
from hilam_core.files import remove_drafts, replacing, writable_folder
from hilam_core.inference import require_backend
from hilam_core.precision import Precision, autocast, choose_precision
from hilam_core.runs import Log, NoLog
from hilam_core.training.prefetch import Prefetcher

STATE = "train_state.pt"
Metrics = dict[str, float]


@dataclass
class TrainConfig:
    """Optimisation: AdamW, linear warm-up, cosine decay."""

    steps: int = 10_000
    """Optimiser steps in all; a run can be given more when it is done."""
    batch_size: int = 64
    """Samples a step, divided among torchrun's processes."""
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
    compile: str | None = None
    """Backend of torch.compile, such as inductor: slow first steps, faster others. Dropout then draws other
    numbers."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    log_every: int = 50
    """Steps between lines in log.jsonl and TensorBoard."""
    eval_every: int = 1000
    """Steps between evaluations on held-out data; 0 evaluates at the end only."""
    save_every_s: float = 60.0
    """Seconds between saves of the resumable state."""
    workers: int = 2
    """Threads that make the batches of the coming steps; `waited_s` in the log is what the device still waits
    for one. 0 makes each when it is needed."""

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
            ("workers", 0),
        ):
            if not getattr(self, name) >= least:  # nor is NaN
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.precision not in get_args(Precision):
            raise ConfigError(
                f"unknown precision {self.precision!r}; choices: {', '.join(get_args(Precision))}"
            )
        if self.compile is not None:
            require_backend(self.compile)
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
    sample_batch: Callable[[np.random.Generator, int], Any],
    loss_fn: Callable[[nn.Module, Any], tuple[Tensor, Mapping[str, Tensor | float]]],
    run_dir: str | Path,
    evaluate: Callable[[nn.Module], Metrics] | None = None,
    identity: Any = None,
    lr_scales: Mapping[str, float] | None = None,
) -> TrainResult:
    """Train `model` in place, from `run_dir/train_state.pt` where an earlier run left one.

    `config.precision` "auto" becomes what was chosen, so that a card names it.

    Args:
        sample_batch: (generator, n) -> a batch of n samples: tensors or numpy arrays in any nesting of dict,
            list, tuple.
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
    run_dir, lr_scales = Path(run_dir), lr_scales or {}
    with process_group():
        return _Run(config, model, sample_batch, loss_fn, run_dir, evaluate, identity, lr_scales).train()


class _Run:
    def __init__(self, config, model, sample_batch, loss_fn, run_dir, evaluate, identity, lr_scales) -> None:
        self.config, self.sample_batch, self.evaluate, self.run_dir = config, sample_batch, evaluate, run_dir
        self.device, self.share = own_device(config.device), share_of_batch(config.batch_size)
        config.precision, reason = choose_precision(config.precision, self.device, model)
        count = f" on each of {processes()} processes" if processes() > 1 else ""
        print(f"training on {self.device}{count} in {config.precision} ({reason})")
        self.identity = config_dict({"train": _reproducible(config), "identity": identity})
        self.model: nn.Module = model.to(self.device)
        objective: nn.Module = _Objective(model, loss_fn)
        if config.compile is not None:
            objective.compile(backend=config.compile)
        if processes() > 1:
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
        log = Log(self.run_dir, self.step, self.seconds_before) if is_main_process() else NoLog()
        bar = tqdm(
            total=self.config.steps, initial=self.step, unit="step", mininterval=_progress_s(), smoothing=0.05
        )
        ahead = Prefetcher(self._make_batch, self.config.workers, self.config.steps)
        with _Interrupts() as interrupts, ahead as batches:
            while self.step < self.config.steps:
                scalars = self._one_step(batches)
                if self.step % self.config.log_every == 0:
                    means = average(scalars)
                    log.write(self.step, "train", means)
                    bar.set_postfix({k: f"{v:.4g}" for k, v in list(means.items())[:4]}, refresh=False)
                bar.update()
                if self._evaluation_is_due():
                    log.write(self.step, "held_out", self._evaluate())
                stop = any_process(interrupts.received)
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

    def _evaluation_is_due(self) -> bool:
        every = self.config.eval_every
        return bool(every) and self.step % every == 0 and self.step < self.config.steps

    def _make_batch(self, step: int) -> Any:
        shared = np.random.SeedSequence((self.config.seed, step, 0))
        return self.sample_batch(shared_generator(shared), self.share)

    def _one_step(self, batches: Prefetcher[Any]) -> dict[str, Tensor | float]:
        own = np.random.SeedSequence((self.config.seed, self.step, rank()))
        torch.manual_seed(int(own.generate_state(1)[0]))
        began = time.monotonic()
        batch = batches(self.step)
        waited_s = time.monotonic() - began
        batch = to_device(batch, self.device)
        lr = self.config.lr * lr_factor(self.step, self.config)
        for group, scale in zip(self.optimizer.param_groups, self.lr_scales, strict=True):
            group["lr"] = lr * scale
        self.objective.train()
        with autocast(self.device, self.config.precision):
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
        return {"loss": loss.detach(), **scalars, "grad_norm": norm, "lr": lr, "waited_s": waited_s}

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
        for p, mean in zip(self.parameters, self.ema or [], strict=False):
            p.data, mean.data = mean.data, p.data

    def _save(self, seconds: float) -> None:
        if not is_main_process():
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
            try:
                torch.save(state, draft)
            except RuntimeError as error:  # torch's word for a disk that is full
                raise FileError(f"cannot write '{self.run_dir / STATE}': {error}".splitlines()[0]) from None

    def _resume(self) -> None:
        path = self.run_dir / STATE
        if is_main_process():
            remove_drafts(path)  # as large as the state itself: of a process that was killed in a save
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
            for mean, stored in zip(self.ema, state["ema"], strict=True):
                mean.copy_(stored)
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
    free = {"steps", "device", "log_every", "eval_every", "save_every_s", "workers"}
    return {k: v for k, v in config_dict(config).items() if k not in free}


def _first_difference(a: Any, b: Any, name: str = "") -> str | None:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            found = _first_difference(a.get(key), b.get(key), f"{name}.{key}" if name else key)
            if found:
                return found
        return None
    return None if a == b else f"{name} ({a}, now {b})"


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
