"""Data parallel under torchrun: one process group for a whole program, of which one process writes.

torchrun starts a program several times and gives each process a rank. `process_group` opens the group and
closes it; within it the process of rank 0 alone prints, writes and fills caches, and the others wait for it.
Without torchrun everything here does what a single process would do.
"""

from __future__ import annotations

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from hilam_core.device import choose_device
from hilam_core.errors import ConfigError, HilamError

Value = TypeVar("Value")
# The main process may record demonstrations or decode videos for hours while the others wait. That one died
# shows at once, by its closed connections.
_PATIENCE = timedelta(days=7)
# An error that all meet is the main process's to say: it ends within this time, and torchrun ends the others.
_MAIN_FIRST_S = 5.0


class ProcessEnded(HilamError):
    """Another process of the group is gone."""


def rank() -> int:
    """This process's number in the group; 0 alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Processes in the group; 1 without one."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main_process() -> bool:
    """Whether this process writes and prints."""
    return rank() == 0


@contextmanager
def process_group() -> Iterator[None]:
    """The group of torchrun's processes for a block; nothing without torchrun, or within such a block.

    Raises:
        ProcessEnded: another process died while this one waited for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=_PATIENCE)
    try:
        with ExitStack() as silence:
            if not is_main_process():
                nowhere = silence.enter_context(open(os.devnull, "w"))
                silence.enter_context(redirect_stdout(nowhere))
                silence.enter_context(redirect_stderr(nowhere))  # progress bars
            yield
            barrier()
    except HilamError as error:
        if is_main_process():
            raise
        time.sleep(_MAIN_FIRST_S)
        raise type(error)(f"process {rank()} of {processes()}: {error}") from None
    except KeyboardInterrupt:
        if is_main_process():
            raise
        raise SystemExit(130) from None
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        raise ProcessEnded(
            f"process {rank()} of {processes()} lost another one, which was killed or failed: what that one "
            "printed says why; the same command continues from the last save"
        ) from None
    dist.destroy_process_group()  # not after an error: it would wait for those that are gone


def _is_lost_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in text or "connection closed by peer" in text


def data_parallel(main: Callable[[Any], None]) -> Callable[[Any], None]:
    """A program's main that runs on all processes of a group, which end it together."""

    @functools.wraps(main)
    def run(config: Any) -> None:
        with process_group():
            main(config)
            barrier()

    return run


@contextmanager
def main_process_first() -> Iterator[None]:
    """Let the main process through a block before the others, which find the caches that it has filled."""
    if not is_main_process():
        barrier()
    yield
    if is_main_process():
        barrier()


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.all_reduce(torch.zeros(1))  # on the CPU: a wait of hours must not occupy a GPU


def from_main(make: Callable[[], Value]) -> Value:
    """What `make` returns in the main process, in all of them."""
    values = [make() if is_main_process() else None]
    if dist.is_initialized():
        dist.broadcast_object_list(values, src=0)
    return values[0]  # type: ignore[return-value]


def mine(items: Sequence[Value]) -> Sequence[Value]:
    """This process's part of some work."""
    return items[rank() :: processes()]


def gather(value: Value) -> list[Value]:
    """The values of all processes, in all of them."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * processes()
    dist.all_gather_object(values, value)
    return values


def total(sums: Mapping[str, float]) -> dict[str, float]:
    """Sums by name over all processes, those that a process lacks counted as 0."""
    result: Counter[str] = Counter()
    for part in gather(dict(sums)):
        result.update(part)
    return dict(result)


def shared_mean(total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """total / count over all processes, which may have different counts. Its gradient is such that the mean
    of the processes' gradients, which DDP takes, is that of a single process with the whole batch."""
    if not dist.is_initialized():
        return total / count
    counts, sums = count.detach().clone(), total.detach().clone()
    dist.all_reduce(counts)
    dist.all_reduce(sums)
    own = total * processes() / counts
    return own + (sums / counts - own).detach()


def average(scalars: Mapping[str, torch.Tensor | float]) -> dict[str, float]:
    """Means by name over all processes, which have the same names."""
    values = torch.tensor([float(value) for value in scalars.values()], dtype=torch.float64)
    if dist.is_initialized():
        dist.all_reduce(values)
    return dict(zip(scalars, (values / processes()).tolist(), strict=True))


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process: all must leave a loop at the same step."""
    return flag if processes() == 1 else average({"flag": float(flag)})["flag"] > 0


def own_device(name: str) -> torch.device:
    """The device of a setting; under torchrun each process of a machine has a GPU of its own."""
    device = choose_device(name)
    if device.type == "cuda" and dist.is_initialized():
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    return device


def share_of_batch(samples: int, name: str = "batch_size") -> int:
    """Samples of a batch that this process draws, of the `samples` that the setting `name` says.

    Raises:
        ConfigError: they cannot be divided.
    """
    if samples % processes():
        raise ConfigError(f"{name} {samples} cannot be divided by {processes()} processes: choose a multiple")
    return samples // processes()


class SharedDraws:
    """A random generator that all processes seed alike and of whose draws each takes its part.

    Where `size` n is asked for, n times the number of processes are drawn, and this process's part is
    returned: together they draw the batch that one process would draw. Offers what samplers use of
    `numpy.random.Generator`.
    """

    def __init__(self, rng: np.random.Generator, rank: int, processes: int) -> None:
        self._rng, self._rank, self._processes = rng, rank, processes

    def integers(self, low: Any, high: Any = None, size: Any = None) -> Any:
        return self._part(lambda n: self._rng.integers(low, high, n), size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return self._part(lambda n: self._rng.normal(loc, scale, n), size)

    def choice(self, values: Any, size: int, replace: bool = True) -> np.ndarray:
        """Without replacement, values repeat only where all were taken."""
        if replace:
            return self._part(lambda n: self._rng.choice(values, n), size)
        count = values if isinstance(values, int) else len(values)

        def draw(n: int) -> np.ndarray:
            rounds = [
                self._rng.choice(values, min(count, n - done), replace=False) for done in range(0, n, count)
            ]
            return np.concatenate(rounds)

        return self._part(draw, size)

    def _part(self, draw: Callable[[Any], Any], size: Any) -> Any:
        if size is None:
            return draw(None)
        first, *rest = size if isinstance(size, tuple) else (size,)
        drawn = draw((first * self._processes, *rest) if rest else first * self._processes)
        return drawn[first * self._rank : first * (self._rank + 1)]


def shared_generator(seed: np.random.SeedSequence) -> Any:
    """A generator of draws that the processes share; numpy's own in a single process."""
    rng = np.random.default_rng(seed)
    return rng if processes() == 1 else SharedDraws(rng, rank(), processes())
