"""Collect demonstrations with the scripted experts.

    python training/collect_demos.py --suite libero_object --tasks 0 3 --demos 40 --workers 2

writes `<output>/<suite>/<task>_demo.hdf5` in LIBERO's layout plus phases, states, seeds and placements.
Episodes start from scattered or fresh placements, never from the stored evaluation states. Only successes are
kept. Run the same command again to continue after an interruption, or with more --demos to add some.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from hilam_sim import LiberoEnv, SimError
from hilam_sim.backend import write_atomically
from hilam_sim.recording import (
    demo_path,
    merge_episodes,
    part_attempt,
    record_expert,
    recorded_attempts,
    write_episode,
)
from hilam_sim.tasks import Task, get_task, list_tasks
from hilam_sim.workers import WorkerError, WorkerPool
from tqdm import tqdm


@dataclass(frozen=True)
class Args:
    suite: str = "libero_object"
    """LIBERO suite."""
    tasks: tuple[str, ...] = ()
    """Task indices or names; empty for all of the suite."""
    demos: int = 40
    """Demonstrations a task to have in the end."""
    scattered_fraction: float = 0.75
    """Share of episodes from scattered placements; the rest are fresh samples of the BDDL regions."""
    disturbed_fraction: float = 0.15
    """Share of episodes that begin with the empty hand closed near the object: recovery data."""
    output: Path = Path("data")
    """Folder to write to."""
    image_size: int = 128
    """Pixels of both sides of the camera images."""
    assets: str = "auto"
    """What to draw: auto, builtin or official."""
    seed: int = 0
    """Same seed, same demonstrations, whatever the number of workers."""
    workers: int = 1
    """Worker processes."""
    compression: str = "lzf"
    """Of the images: lzf, gzip or none."""
    min_success_rate: float = 0.2
    """Give a task up when, after 20 attempts, fewer than this succeed."""


@dataclass(frozen=True)
class Attempt:
    """One try of the expert: its number decides seed and placement."""

    suite: str
    task: int
    number: int
    seed: int
    placement: str
    disturbed: bool
    part: Path


def plan_attempt(args: Args, task: Task, number: int) -> Attempt:
    """The attempt with a given number; scattered ones are spread evenly over the numbers."""
    seed, draw = (
        int(word) for word in np.random.SeedSequence([args.seed, task.index, number]).generate_state(2)
    )
    scattered = int((number + 1) * args.scattered_fraction) > int(number * args.scattered_fraction)
    part = parts_folder(args, task) / f"episode_{number:06d}.hdf5"
    placement, disturbed = "scattered" if scattered else "fresh", draw < args.disturbed_fraction * 2**32
    return Attempt(task.suite, task.index, number, seed, placement, disturbed, part)


def parts_folder(args: Args, task: Task) -> Path:
    """Where finished episodes wait to be merged."""
    return args.output / task.suite / ".parts" / task.name


def make_recorder(image_size: int, assets: str, compression: str | None) -> Callable[[Attempt], bool]:
    """In a worker: the function that performs an attempt and writes it if it succeeded."""
    env: LiberoEnv | None = None

    def record(attempt: Attempt) -> bool:
        nonlocal env
        if env is None or (env.task.suite, env.task.index) != (attempt.suite, attempt.task):
            if env is not None:
                env.close()
            env = LiberoEnv(attempt.suite, attempt.task, image_size, assets)
        recording = record_expert(env, attempt.placement, attempt.seed, attempt.number, attempt.disturbed)
        if recording is not None:
            write_episode(attempt.part, env, recording, compression)
        return recording is not None

    return record


def collect_task(args: Args, task: Task, pool: WorkerPool, bar: tqdm) -> tuple[int, int]:
    """Bring a task to `args.demos` demonstrations; returns successes and attempts of this run."""
    path, folder = demo_path(args.output, task), parts_folder(args, task)
    failed_path = folder / "failed.json"
    failed = set(json.loads(failed_path.read_text())) if failed_path.exists() else set()
    done = set(recorded_attempts(path)) | {part_attempt(p) for p in folder.glob("episode_*.hdf5")}
    bar.update(min(len(done), args.demos))
    number, successes, attempts = 0, 0, 0
    try:
        while len(done) < args.demos or pool.pending:
            while len(done) + pool.pending < args.demos:
                if number not in done and number not in failed:
                    pool.submit(number, plan_attempt(args, task, number))
                number += 1
            attempt, succeeded = pool.collect()
            attempts += 1
            if succeeded:
                successes += 1
                done.add(attempt)
                bar.update()
            else:
                failed.add(attempt)
                write_atomically(failed_path, json.dumps(sorted(failed)))
            if attempts >= 20 and successes < args.min_success_rate * attempts:
                raise SimError(
                    f"{task.name}: only {successes} of {attempts} attempts succeeded, giving it up"
                )
    finally:
        merge_episodes(path, folder.glob("episode_*.hdf5"))
    return successes, attempts


def main(args: Args) -> None:
    if not 0.0 <= args.scattered_fraction <= 1.0:
        raise SimError(f"--scattered-fraction must be in [0, 1], not {args.scattered_fraction}")
    if args.compression not in ("lzf", "gzip", "none"):
        raise SimError(f"unknown --compression {args.compression!r}: choose lzf, gzip or none")
    tasks = [get_task(args.suite, task) for task in args.tasks] or list_tasks(args.suite)
    try:
        (args.output / args.suite).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimError(f"--output {args.output} cannot be made: {error.strerror}") from None
    compression = None if args.compression == "none" else args.compression
    bar = tqdm(total=len(tasks) * args.demos, unit="demo", smoothing=0.1)
    with WorkerPool(args.workers, make_recorder, (args.image_size, args.assets, compression)) as pool, bar:
        for task in tasks:
            successes, attempts = collect_task(args, task, pool, bar)
            rate = f"{successes}/{attempts} attempts succeeded" if attempts else "complete already"
            bar.write(f"{demo_path(args.output, task)}: {rate}")


if __name__ == "__main__":
    for name in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us in the background
        signal.signal(name, signal.default_int_handler)
    try:
        main(tyro.cli(Args, description=__doc__))
    except (SimError, WorkerError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: finished episodes are kept, run again to continue", file=sys.stderr)
        sys.exit(130)
