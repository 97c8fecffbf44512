"""Collect demonstrations with the scripted experts.

    python training/collect_demos.py --suite libero_object --tasks 0 3 --demos 40 --workers 2
    python training/collect_demos.py --rerender data/libero_object --image-size 256 --output data256

The first writes `<output>/<suite>/<task>_demo.hdf5` in LIBERO's layout plus phases, seeds and placements.
Episodes start from scattered or fresh placements, never from the stored evaluation states. Only successes are
kept. Run the same command again to continue after an interruption, or with more --demos to add some. The
second draws the images of such files again, from the stored states, at another size or with other assets.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from tqdm import tqdm

from hilam_sim import SimError
from hilam_sim.assets import resolve_assets
from hilam_sim.files import replacing
from hilam_sim.recording import (
    check_collection,
    demo_path,
    merge_episodes,
    part_attempt,
    record_expert,
    recorded_attempts,
    recorded_collection,
    recorded_task,
    rerender_episode,
    write_episode,
)
from hilam_sim.rollout import OneEnvironment
from hilam_sim.tasks import Task, choose_tasks
from hilam_sim.workers import WorkerError, WorkerPool


@dataclass(frozen=True)
class Args:
    suite: tuple[str, ...] = ("libero_object",)
    """LIBERO suites."""
    tasks: tuple[str, ...] = ()
    """Task indices or names; empty for all. Only with one suite."""
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
    quality: Literal["auto", "fast", "stock"] = "auto"
    """How to draw it: auto is fast with the built-in assets and stock with the official ones."""
    seed: int = 0
    """Same seed, same demonstrations, whatever the number of workers."""
    workers: int = 1
    """Worker processes."""
    compression: str = "lzf"
    """Of the images: lzf, gzip or none."""
    min_success_rate: float = 0.2
    """Give a task up when, after 20 attempts, fewer than this succeed."""
    rerender: Path | None = None
    """A file or folder of recorded demonstrations whose images to draw again, instead of collecting."""


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


@dataclass(frozen=True)
class Redraw:
    """One recorded demonstration to draw again."""

    suite: str
    task: int
    source: Path
    name: str
    part: Path


def plan_attempt(args: Args, task: Task, number: int) -> Attempt:
    """The attempt with a given number; scattered ones are spread evenly over the numbers."""
    seed, draw = (
        int(word) for word in np.random.SeedSequence([args.seed, task.index, number]).generate_state(2)
    )
    scattered = int((number + 1) * args.scattered_fraction) > int(number * args.scattered_fraction)
    placement, disturbed = "scattered" if scattered else "fresh", draw < args.disturbed_fraction * 2**32
    return Attempt(task.suite, task.index, number, seed, placement, disturbed, part_path(args, task, number))


def parts_folder(args: Args, task: Task) -> Path:
    """Where finished episodes wait to be merged."""
    return args.output / task.suite / ".parts" / task.name


def part_path(args: Args, task: Task, number: int) -> Path:
    """The file of one finished episode."""
    return parts_folder(args, task) / f"episode_{number:06d}.hdf5"


def finished(args: Args, task: Task) -> set[int]:
    """Numbers of the attempts that are demonstrations already."""
    parts = parts_folder(args, task).glob("episode_*.hdf5")
    return {*recorded_attempts(demo_path(args.output, task)).values(), *map(part_attempt, parts)}


def make_worker(
    drawing: dict[str, Any], compression: str | None, collection: dict[str, Any]
) -> Callable[[Attempt | Redraw], str | None]:
    """In a worker: the function that writes the episode of a job, or returns why there is none."""
    environment = OneEnvironment(**drawing)

    def perform(job: Attempt | Redraw) -> str | None:
        env = environment(job.suite, job.task)
        if isinstance(job, Redraw):
            rerender_episode(job.part, env, job.source, job.name, compression, drawing)
            return None
        try:
            recording = record_expert(env, job.placement, job.seed, job.number, job.disturbed)
        except SimError as error:
            return str(error)
        if recording is None:
            return "the expert failed"
        write_episode(job.part, env, recording, compression, collection)
        return None

    return perform


def collect_task(args: Args, task: Task, pool: WorkerPool, bar: tqdm) -> bool:
    """Bring a task to `args.demos` demonstrations; whether that many succeeded."""
    failed_path = parts_folder(args, task) / "failed.json"
    failed = set(json.loads(failed_path.read_text())) if failed_path.exists() else set()
    done = finished(args, task)
    bar.update(min(len(done), args.demos))
    number, tried, missed, reason = 0, 0, 0, ""

    def wants_more() -> bool:
        too_rare = tried >= 20 and tried - missed < args.min_success_rate * tried
        return len(done) + pool.pending < args.demos and not too_rare

    try:
        while wants_more() or pool.pending:
            while wants_more() and pool.pending < 2 * args.workers:
                if number not in done and number not in failed:
                    pool.submit(number, plan_attempt(args, task, number))
                number += 1
            attempt, failure = pool.collect()
            tried += 1
            if failure is None:
                done.add(attempt)
                bar.update()
            else:
                missed, reason = missed + 1, failure
                failed.add(attempt)
                with replacing(failed_path) as draft:
                    draft.write_text(json.dumps(sorted(failed)))
    finally:
        parts = parts_folder(args, task).glob("episode_*.hdf5")
        merge_episodes(demo_path(args.output, task), parts, len(done) + len(failed))
    rate = f"{len(done)}/{len(done) + len(failed)} attempts succeeded"
    enough = len(done) >= args.demos
    bar.write(f"{demo_path(args.output, task)}: {rate}" + (f", given up: {reason}" if not enough else ""))
    return enough


def rerender_file(args: Args, source: Path, drawing: dict[str, Any], pool: WorkerPool, bar: tqdm) -> None:
    """Draw the images of a task's file again, into the file of that task below the output folder."""
    task, numbers = recorded_task(source), recorded_attempts(source)
    path = demo_path(args.output, task)
    if path.resolve() == source.resolve():
        raise SimError(f"--rerender {source} would overwrite itself: choose another --output")
    check_collection(path, {**recorded_collection(source), **drawing})
    done = finished(args, task)
    for name, number in numbers.items():
        if number not in done:
            job = Redraw(task.suite, task.index, source, name, part_path(args, task, number))
            pool.submit(number, job)
    bar.update(len(numbers) - pool.pending)
    try:
        while pool.pending:
            pool.collect()
            bar.update()
    finally:
        merge_episodes(path, parts_folder(args, task).glob("episode_*.hdf5"))
    bar.write(f"{path}: {len(numbers)} demonstrations drawn again")


def sources_of(place: Path) -> list[Path]:
    """The files of demonstrations in a folder and below, or the one given."""
    sources = sorted(place.rglob("*_demo.hdf5")) if place.is_dir() else [place]
    if not sources or not sources[0].exists():
        raise SimError(f"no demonstrations (*_demo.hdf5) in {place}")
    return sources


def main(args: Args) -> None:
    for name in ("scattered_fraction", "disturbed_fraction"):
        if not 0.0 <= getattr(args, name) <= 1.0:
            raise SimError(f"--{name.replace('_', '-')} must be in [0, 1], not {getattr(args, name)}")
    if args.compression not in ("lzf", "gzip", "none"):
        raise SimError(f"unknown --compression {args.compression!r}: choose lzf, gzip or none")
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimError(f"--output {args.output} cannot be made: {error.strerror}") from None
    compression = None if args.compression == "none" else args.compression
    assets = resolve_assets(args.assets)
    quality = assets.quality(args.quality)
    drawing = {"image_size": args.image_size, "assets": assets.kind, "quality": quality}
    if args.rerender:
        rerender(args, sources_of(args.rerender), drawing, compression)
    else:
        collect(args, choose_tasks(args.suite, args.tasks), drawing, compression)


def collect(args: Args, tasks: list[Task], drawing: dict[str, Any], compression: str | None) -> None:
    """Collect demonstrations of `tasks`, one after the other."""
    chosen = {name: getattr(args, name) for name in ("seed", "scattered_fraction", "disturbed_fraction")}
    collection = {**drawing, **chosen}
    for task in tasks:
        for path in (demo_path(args.output, task), *parts_folder(args, task).glob("episode_*.hdf5")):
            check_collection(path, collection)
    bar = tqdm(total=len(tasks) * args.demos, unit="demo", smoothing=0.1)
    arguments = (drawing, compression, collection)
    with WorkerPool(args.workers, make_worker, arguments) as pool, bar:
        short = [task.name for task in tasks if not collect_task(args, task, pool, bar)]
    if short:
        raise SimError(f"fewer than {args.demos} demonstrations of {', '.join(short)}")


def rerender(args: Args, sources: list[Path], drawing: dict[str, Any], compression: str | None) -> None:
    """Draw the images of all demonstrations in `sources` again."""
    bar = tqdm(total=sum(len(recorded_attempts(source)) for source in sources), unit="demo")
    arguments = (drawing, compression, {})
    with WorkerPool(args.workers, make_worker, arguments) as pool, bar:
        for source in sources:
            rerender_file(args, source, drawing, pool, bar)


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
