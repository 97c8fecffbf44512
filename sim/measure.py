"""Measure the scripted experts: success after letting go, and length.

    python -m hilam_sim.measure --suite libero_object --placement stored --episodes 50

prints one line a task, as a Markdown table, and appends every episode to a JSON-lines file; the same command
continues an interrupted measurement.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from hilam_sim.env import LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.protocol import wilson_interval
from hilam_sim.recording import record_expert
from hilam_sim.tasks import get_task, list_tasks
from hilam_sim.workers import WorkerError, WorkerPool
from tqdm import tqdm


@dataclass(frozen=True)
class Args:
    suite: str = "libero_object"
    """LIBERO suite."""
    tasks: tuple[str, ...] = ()
    """Task indices or names; empty for all of the suite."""
    placement: Literal["stored", "fresh", "scattered"] = "stored"
    """Where the objects start."""
    episodes: int = 50
    """Episodes a task: the first stored states, or seeds from 0."""
    workers: int = 1
    """Worker processes."""
    out: Path = Path("runs/experts.jsonl")
    """One line an episode."""


def make_performer() -> Callable[[tuple[str, int, str, int]], dict]:
    """In a worker: the function that lets the expert perform one episode."""
    env: LiberoEnv | None = None

    def perform(job: tuple[str, int, str, int]) -> dict:
        nonlocal env
        suite, task, placement, number = job
        if env is None or (env.task.suite, env.task.index) != (suite, task):
            env = LiberoEnv(suite, task, render=False)
        recording = record_expert(env, placement, seed=number, init_state=number)
        steps = len(recording.actions) if recording else None
        return {"suite": suite, "task": task, "placement": placement, "number": number, "steps": steps}

    return perform


def read_results(path: Path) -> dict[tuple, dict]:
    """Earlier episodes by (suite, task, placement, number)."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row["suite"], row["task"], row["placement"], row["number"]): row for row in rows}


def main(args: Args) -> None:
    tasks = [get_task(args.suite, task) for task in args.tasks] or list_tasks(args.suite)
    jobs = [(args.suite, task.index, args.placement, i) for task in tasks for i in range(args.episodes)]
    results = read_results(args.out)
    waiting = [job for job in jobs if job not in results]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with WorkerPool(args.workers, make_performer) as pool, args.out.open("a") as file:
        for job in waiting:
            pool.submit(job, job)
        for _ in tqdm(waiting, unit="episode"):
            job, results[job] = pool.collect()
            file.write(json.dumps(results[job]) + "\n")
            file.flush()
    print(f"| task | success, {args.placement} | mean steps |\n|---|---|---|")
    for task in tasks:
        steps = [results[job]["steps"] for job in jobs if job[1] == task.index]
        print(_row(task.instruction, steps))
    print(_row("all", [results[job]["steps"] for job in jobs]))


def _row(title: str, steps: list[int | None]) -> str:
    lengths = [count for count in steps if count is not None]
    low, high = wilson_interval(len(lengths), len(steps))
    mean = f"{sum(lengths) / len(lengths):.0f}" if lengths else "-"
    return f"| {title} | {len(lengths)}/{len(steps)} [{low:.0%}, {high:.0%}] | {mean} |"


if __name__ == "__main__":
    try:
        main(tyro.cli(Args, description=__doc__))
    except (SimError, WorkerError) as error:
        sys.exit(f"error: {error}")
