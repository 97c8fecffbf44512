"""Measures the simulation beside stock LIBERO: `make bench`, or `python -m hilam_sim.bench --help`.

Each contestant has a process of its own, all on one core, and they take turns, so that other work on the
machine slows all of them alike. Times are medians over the rounds. Both get the same task, stored state and
actions; stock LIBERO is imported without its prompts and downloads, and is otherwise left alone.
"""

from __future__ import annotations

import atexit
import gc
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hilam_core.errors import ConfigError
from hilam_core.files import writable_folder
from hilam_core.program import conclude_bench, run_program
from hilam_sim.assets import resolve_assets
from hilam_sim.backend import libero_envs
from hilam_sim.env import IDLE_ACTION, ROBOSUITE_CAMERAS, SETTLE_STEPS, LiberoEnv
from hilam_sim.tasks import get_task, initial_states, parse_task
from hilam_sim.workers import WorkerPool

TARGETS = {"cameras, built-in": 4.0, "cameras, official": 1.5, "no cameras": 2.5}


@dataclass
class Config:
    """Time env.step, reset, memory and throughput beside stock LIBERO, and print a Markdown table."""

    tasks: tuple[str, ...] = ("libero_object:3", "libero_spatial:0", "libero_10:9")
    """Tasks as suite:number."""
    rounds: int = 7
    """Turns of each contestant; the medians count."""
    steps: int = 20
    """Control steps a turn."""
    core: int | None = None
    """Processor to run on, by default the last one allowed."""
    workers: tuple[int, ...] = ()
    """Numbers of worker processes for the throughput, by default 1 to the number of cores."""
    out: Path | None = None
    """File for the table, besides standard output."""
    check: bool = False
    """Exit with 1 where a task falls short: 4 times stock with the built-in pack, 1.5 with official assets,
    2.5 without cameras."""


def _check_config(config: Config) -> None:
    for name in ("rounds", "steps"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be at least 1, not {getattr(config, name)}")
    if not config.tasks:
        raise ConfigError("no --tasks: give some as suite:number")
    for text in config.tasks:
        parse_task(text)
    if config.out is not None:
        writable_folder(config.out.parent)


def _action(step: int) -> np.ndarray:
    """A slow wave of the arm above the table."""
    wave = 0.4 * np.sin(step / np.array([5.0, 7.0, 6.0, 9.0, 11.0, 13.0]))
    return np.append(wave, np.sign(np.sin(step / 15.0)) or 1.0)


class _Ours:
    def __init__(self, suite: str, number: int, assets: str, cameras: bool, **options: Any) -> None:
        self._env = LiberoEnv(suite, number, assets=assets, render=cameras, **options)

    def reset(self) -> None:
        self._env.reset()

    def step(self, action: np.ndarray) -> None:
        self._env.step(action)


class _Stock:
    def __init__(self, suite: str, number: int, assets: str, cameras: bool) -> None:
        self._task = get_task(suite, number)
        envs = libero_envs(resolve_assets(assets).path).env_wrapper
        kind = envs.OffScreenRenderEnv if cameras else partial(envs.ControlEnv, has_offscreen_renderer=False)
        self._env = kind(
            bddl_file_name=str(self._task.bddl_path),
            use_camera_obs=cameras,
            camera_names=list(ROBOSUITE_CAMERAS.values()),
            camera_heights=128,
            camera_widths=128,
            ignore_done=True,
        )
        atexit.register(self._env.close)  # before EGL ends, or it complains

    def reset(self) -> None:
        self._env.seed(0)
        self._env.reset()
        self._env.set_init_state(initial_states(self._task)[0])
        for _ in range(SETTLE_STEPS):
            self._env.step(IDLE_ACTION)

    def step(self, action: np.ndarray) -> None:
        self._env.step(action)


class _Contestant:
    """In a process of its own: ("reset" or "step", count) -> CPU and wall ms each; ("memory", _) -> MB."""

    def __init__(self, make: Callable[[], Any], core: int | None) -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})
        self._env, self._step = make(), 0
        self._env.reset()

    def __call__(self, job: tuple[str, int]) -> tuple[float, float]:
        what, count = job
        if what == "memory":
            gc.collect()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0.0
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(count):
            if what == "reset":
                self._env.reset()
            else:
                self._env.step(_action(self._step))
                self._step += 1
        return (
            1e3 * (time.process_time() - cpu) / count,
            1e3 * (time.perf_counter() - wall) / count,
        )


@dataclass(frozen=True)
class Times:
    """Medians of one contestant: CPU ms and wall ms a step, wall ms a reset, MB of its process at most."""

    cpu_ms: float
    wall_ms: float
    reset_ms: float
    memory_mb: float


def race(makers: dict[str, Callable[[], Any]], rounds: int, steps: int, core: int | None) -> dict[str, Times]:
    """Let contestants take turns on one core; their medians by name."""
    pools = {name: WorkerPool(1, _Contestant, (make, core)) for name, make in makers.items()}

    def ask(name: str, what: str, count: int) -> tuple[float, float]:
        pools[name].submit(what, (what, count))
        return pools[name].collect()[1]

    try:
        for name in pools:
            ask(name, "step", 5)
        turns = [{name: ask(name, "step", steps) for name in pools} for _ in range(rounds)]
        resets = [{name: ask(name, "reset", 1)[1] for name in pools} for _ in range(3)]
        return {
            name: Times(
                statistics.median(turn[name][0] for turn in turns),
                statistics.median(turn[name][1] for turn in turns),
                statistics.median(reset[name] for reset in resets),
                ask(name, "memory", 0)[0],
            )
            for name in pools
        }
    finally:
        for pool in pools.values():
            pool.close()


def contests(suite: str, number: int) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is compared: name of the contest -> contestants, stock first, ours second."""
    ours, stock = partial(_Ours, suite, number), partial(_Stock, suite, number)
    result: dict[str, dict[str, Callable[[], Any]]] = {
        "cameras, built-in": {
            "stock LIBERO, built-in files": partial(stock, "builtin", True),
            "LiberoEnv, fast": partial(ours, "builtin", True),
        }
    }
    if _has_official():
        result["cameras, official"] = {
            "stock LIBERO": partial(stock, "official", True),
            "LiberoEnv, stock quality": partial(ours, "official", True),
        }
    result["no cameras"] = {
        "stock LIBERO": partial(stock, "builtin", False),
        "LiberoEnv": partial(ours, "builtin", False),
        "LiberoEnv, exact=True": partial(ours, "builtin", False, exact=True),
    }
    return result


def _has_official() -> bool:
    """Whether the official assets are here; they are not downloaded for a benchmark."""
    return resolve_assets("auto").kind == "official"


def throughput(suite: str, number: int, workers: int, steps: int) -> float:
    """Steps a second of `workers` processes together, two cameras, built-in pack."""
    make = partial(_Ours, suite, number, "builtin", True)
    with WorkerPool(workers, _Contestant, (make, None)) as pool:
        for turn in range(2):  # the first one builds the environments
            start = time.perf_counter()
            for worker in range(workers):
                pool.submit((turn, worker), ("step", steps))
            for _ in range(workers):
                pool.collect()
    return workers * steps / (time.perf_counter() - start)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(config: Config) -> None:
    _check_config(config)
    allowed = sorted(os.sched_getaffinity(0))
    core = allowed[-1] if config.core is None else config.core
    if core not in allowed:
        raise ConfigError(f"core {core} is not one of those allowed: {', '.join(map(str, allowed))}")
    lines = [
        _row("task", "contest", "contestant", "CPU ms a step", "wall ms", "times stock", "reset ms", "MB"),
        _row("---", "---", "---", *["---:"] * 5),
    ]
    short = []
    print("\n".join(lines), flush=True)
    for text in config.tasks:
        task = parse_task(text)
        for contest, makers in contests(task.suite, task.index).items():
            times = race(makers, config.rounds, config.steps, core)
            stock = next(iter(times.values()))
            for place, (name, t) in enumerate(times.items()):
                factor = stock.cpu_ms / t.cpu_ms
                cells = (f"{t.cpu_ms:.2f}", f"{t.wall_ms:.2f}", f"{factor:.2f}", f"{t.reset_ms:.0f}")
                lines.append(_row(text, contest, name, *cells, f"{t.memory_mb:.0f}"))
                print(lines[-1], flush=True)
                if place == 1 and factor < TARGETS[contest]:
                    short.append(f"{text}, {contest}: {factor:.2f} times stock, not {TARGETS[contest]}")
    lines += ["", _row("workers", "steps a second, two cameras"), _row("---:", "---:")]
    first = parse_task(config.tasks[0])
    for workers in config.workers or range(1, len(allowed) + 1):
        rate = throughput(first.suite, first.index, workers, 10 * config.steps)
        lines.append(_row(str(workers), f"{rate:.0f}"))
    print("\n".join(lines[-2 - len(config.workers or allowed) :]))
    conclude_bench(lines, config.out, short if config.check else [])


if __name__ == "__main__":
    run_program(main, Config)
