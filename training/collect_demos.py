"""Collect demonstrations with the scripted experts.

    python training/collect_demos.py --suite libero_object --tasks 0 3 --demos 40 --workers 2
    python training/collect_demos.py --rerender data/libero_object --image-size 256 --out data256

The first writes `<out>/<suite>/<task>_demo.hdf5` in LIBERO's layout plus phases, seeds and placements.
Episodes start from scattered or fresh placements, never from the stored evaluation states. Only successes are
kept. Run the same command again to continue after an interruption, or with more --demos to add some. The
second draws the images of such files again, from the stored states, at another size or with other assets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from hilam_core.errors import ConfigError
from hilam_core.files import sole_writer, writable_folder, write_json
from hilam_core.program import run_program
from hilam_sim import SimError
from hilam_sim.assets import resolve_assets
from hilam_sim.cluster import Pool, open_pool
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


@dataclass(frozen=True)
class Config:
    suite: tuple[str, ...] = ("libero_object",)
    """LIBERO suites."""
    tasks: tuple[str, ...] = ()
    """Task indices or names; empty for all. Only with one suite."""
    demos: int = 40
    """Demonstrations of each task in the end, those already recorded included."""
    scattered_fraction: float = 0.75
    """Share of episodes from scattered placements; the rest are fresh samples of the BDDL regions. A policy
    trained on fresh ones alone memorises the few places where objects start."""
    disturbed_fraction: float = 0.15
    """Share of episodes that begin with the empty hand closed near the object. They show how to recover,
    which an expert that rarely fails would not."""
    out: Path = Path("data")
    """Folder to write to."""
    image_size: int = 128
    """Pixels of both sides of the camera images."""
    assets: Literal["auto", "builtin", "official"] = "auto"
    """Assets to draw: auto takes the official ones where they are found, else the built-in ones."""
    quality: Literal["auto", "fast", "stock"] = "auto"
    """How to draw it: auto is fast with the built-in assets and stock with the official ones."""
    seed: int = 0
    """Same seed, same demonstrations, whatever the number of workers."""
    workers: int = 1
    """Worker processes, of this machine or of the cluster."""
    ray: str | None = None
    """Address of a Ray cluster ("auto", or HOST:PORT) whose machines do the work; they share the folders."""
    compression: Literal["lzf", "gzip", "none"] = "lzf"
    """Compression of the images."""
    min_success_rate: float = 0.2
    """Give a task up when after 20 attempts less than this share succeeded: it would take hours."""
    rerender: Path | None = None
    """A file or folder of recorded demonstrations whose images to draw again, instead of collecting."""

    def __post_init__(self) -> None:
        for name in ("scattered_fraction", "disturbed_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name, least in (("demos", 1), ("image_size", 1), ("workers", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")


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


def plan_attempt(config: Config, task: Task, number: int) -> Attempt:
    """The attempt with a given number; scattered ones are spread evenly over the numbers."""
    words = np.random.SeedSequence([config.seed, task.index, number]).generate_state(2)
    seed, draw = (int(word) for word in words)
    scattered = int((number + 1) * config.scattered_fraction) > int(number * config.scattered_fraction)
    placement, disturbed = "scattered" if scattered else "fresh", draw < config.disturbed_fraction * 2**32
    part = part_path(config, task, number)
    return Attempt(task.suite, task.index, number, seed, placement, disturbed, part)


def parts_folder(config: Config, task: Task) -> Path:
    """Where finished episodes wait to be merged."""
    return config.out / task.suite / ".parts" / task.name


def part_path(config: Config, task: Task, number: int) -> Path:
    """The file of one finished episode."""
    return parts_folder(config, task) / f"episode_{number:06d}.hdf5"


def finished(config: Config, task: Task) -> set[int]:
    """Numbers of the attempts that are demonstrations already."""
    parts = parts_folder(config, task).glob("episode_*.hdf5")
    return {*recorded_attempts(demo_path(config.out, task)).values(), *map(part_attempt, parts)}


def make_worker(
    drawing: dict[str, Any], compression: str | None, collection: dict[str, Any]
) -> Callable[[Attempt | Redraw], str | None]:
    """In a worker: the function that writes the episode of a job, or returns why there is none."""
    environment = OneEnvironment(**{key: drawing[key] for key in ("image_size", "assets", "quality")})

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


def collect_task(config: Config, task: Task, pool: Pool, bar: tqdm) -> bool:
    """Bring a task to `config.demos` demonstrations; whether that many succeeded."""
    failed_path = parts_folder(config, task) / "failed.json"
    failed = set(json.loads(failed_path.read_text())) if failed_path.exists() else set()
    done = finished(config, task)
    bar.update(min(len(done), config.demos))
    number, tried, missed, reason = 0, 0, 0, ""

    def wants_more() -> bool:
        too_rare = tried >= 20 and tried - missed < config.min_success_rate * tried
        return len(done) + pool.pending < config.demos and not too_rare

    try:
        while wants_more() or pool.pending:
            while wants_more() and pool.pending < 2 * config.workers:
                if number not in done and number not in failed:
                    pool.submit(number, plan_attempt(config, task, number))
                number += 1
            attempt, failure = pool.collect()
            tried += 1
            if failure is None:
                done.add(attempt)
                bar.update()
            else:
                missed, reason = missed + 1, failure
                failed.add(attempt)
                write_json(failed_path, sorted(failed))
    finally:
        parts = parts_folder(config, task).glob("episode_*.hdf5")
        merge_episodes(demo_path(config.out, task), parts, len(done) + len(failed))
    rate = f"{len(done)}/{len(done) + len(failed)} attempts succeeded"
    enough = len(done) >= config.demos
    bar.write(f"{demo_path(config.out, task)}: {rate}" + (f", given up: {reason}" if not enough else ""))
    return enough


def rerender_file(config: Config, source: Path, drawing: dict[str, Any], pool: Pool, bar: tqdm) -> None:
    """Draw the images of a task's file again, into the file of that task below the output folder."""
    task, numbers = recorded_task(source), recorded_attempts(source)
    path = demo_path(config.out, task)
    if path.resolve() == source.resolve():
        raise ConfigError(f"--rerender {source} would overwrite itself: choose another --out")
    check_collection(path, {**recorded_collection(source), **drawing})
    done = finished(config, task)
    for name, number in numbers.items():
        if number not in done:
            job = Redraw(task.suite, task.index, source, name, part_path(config, task, number))
            pool.submit(number, job)
    bar.update(len(numbers) - pool.pending)
    try:
        while pool.pending:
            pool.collect()
            bar.update()
    finally:
        merge_episodes(path, parts_folder(config, task).glob("episode_*.hdf5"))
    bar.write(f"{path}: {len(numbers)} demonstrations drawn again")


def sources_of(place: Path) -> list[Path]:
    """The files of demonstrations in a folder and below, or the one given."""
    sources = sorted(place.rglob("*_demo.hdf5")) if place.is_dir() else [place]
    if not sources or not sources[0].exists():
        raise SimError(f"no demonstrations (*_demo.hdf5) in {place}")
    return sources


def main(config: Config) -> None:
    writable_folder(config.out)
    compression = None if config.compression == "none" else config.compression
    assets = resolve_assets(config.assets)
    quality = assets.quality(config.quality)
    drawing = {
        "image_size": config.image_size,
        "assets": assets.kind,
        "assets_hash": assets.content_hash,
        "quality": quality,
    }
    if config.rerender:
        rerender(config, sources_of(config.rerender), drawing, compression)
    else:
        collect(config, choose_tasks(config.suite, config.tasks), drawing, compression)


def collect(config: Config, tasks: list[Task], drawing: dict[str, Any], compression: str | None) -> None:
    """Collect demonstrations of `tasks`, one after the other."""
    chosen = {name: getattr(config, name) for name in ("seed", "scattered_fraction", "disturbed_fraction")}
    collection = {**drawing, **chosen}
    for task in tasks:
        for path in (demo_path(config.out, task), *parts_folder(config, task).glob("episode_*.hdf5")):
            check_collection(path, collection)
    bar = tqdm(total=len(tasks) * config.demos, unit="demo", smoothing=0.1)
    arguments = (drawing, compression, collection)
    short = []
    with open_pool(config.workers, make_worker, arguments, config.ray) as pool, bar:
        for task in tasks:
            with sole_writer(demo_path(config.out, task)):
                short += [] if collect_task(config, task, pool, bar) else [task.name]
    if short:
        raise SimError(f"fewer than {config.demos} demonstrations of {', '.join(short)}")


def rerender(config: Config, sources: list[Path], drawing: dict[str, Any], compression: str | None) -> None:
    """Draw the images of all demonstrations in `sources` again."""
    bar = tqdm(total=sum(len(recorded_attempts(source)) for source in sources), unit="demo")
    arguments = (drawing, compression, {})
    with open_pool(config.workers, make_worker, arguments, config.ray) as pool, bar:
        for source in sources:
            with sole_writer(demo_path(config.out, recorded_task(source))):
                rerender_file(config, source, drawing, pool, bar)


if __name__ == "__main__":
    run_program(main, Config)
