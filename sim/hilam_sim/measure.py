"""Measure the scripted experts: success after letting go, and steps.

    python -m hilam_sim.measure --suite libero_object libero_goal --placement stored --episodes 50

prints a Markdown table with one line for each task, and appends every episode to a JSON-lines file. The same
command continues an interrupted measurement. Episodes that were measured with other sources (experts,
environment, placements) do not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from hilam_core.errors import ConfigError
from hilam_core.files import writable_folder
from hilam_core.program import run_program
from hilam_core.statistics import wilson_interval
from hilam_sim.errors import SimError
from hilam_sim.recording import record_expert
from hilam_sim.rollout import OneEnvironment
from hilam_sim.tasks import choose_tasks
from hilam_sim.workers import WorkerPool

LEVELS = (0.95, 0.85, 0.60)  # of success: reliable, usable for demonstrations, worth retrying
_SOURCES = ("experts*", "experts/*", "geometry.py", "env.py", "osc.py", "problem.py")

Job = tuple[str, int, str, int]  # suite, task, placement, number of the episode


@dataclass(frozen=True)
class Config:
    suite: tuple[str, ...] = ("libero_object",)
    """LIBERO suites."""
    tasks: tuple[str, ...] = ()
    """Task indices or names; empty for all. Only with one suite."""
    placement: Literal["stored", "fresh", "scattered"] = "stored"
    """Where the objects start."""
    episodes: int = 50
    """Episodes a task: the first stored states, or seeds from 0."""
    workers: int = 1
    """Worker processes."""
    out: Path = Path("runs/experts.jsonl")
    """JSON-lines file, one line for each episode."""

    def __post_init__(self) -> None:
        for name in ("episodes", "workers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


def revision(placement: str) -> str:
    """Hash of the sources that decide how the episodes of a placement end."""
    folder = Path(__file__).parent
    patterns = _SOURCES if placement == "stored" else (*_SOURCES, "placements.py")
    digest = hashlib.sha256()
    for source in sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file()):
        digest.update(f"{source.relative_to(folder)}\n".encode() + source.read_bytes())
    return digest.hexdigest()[:12]


def make_performer(placement: str, wanted: str) -> Callable[[Job], dict]:
    """In a worker: the function that lets the expert perform one episode, with the `wanted` revision."""
    if revision(placement) != wanted:
        raise SimError("the sources changed during the measurement: run the same command again")
    environment = OneEnvironment(render=False)

    def perform(job: Job) -> dict:
        suite, task, placement, number = job
        env = environment(suite, task)
        row = {"suite": suite, "task": task, "placement": placement, "number": number, "revision": wanted}
        try:
            recording = record_expert(env, placement, seed=number, init_state=number)
        except SimError as error:
            return {**row, "steps": None, "error": str(error)}
        return {**row, "steps": len(recording.actions) if recording else None}

    return perform


def read_results(path: Path, wanted: str) -> dict[Job, dict]:
    """Earlier episodes of a revision; lines that an interruption tore are left out."""
    results = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("revision") == wanted:
            results[row["suite"], row["task"], row["placement"], row["number"]] = row
    return results


def perform_all(jobs: list[Job], placement: str, workers: int, out: Path) -> dict[Job, dict]:
    """Results of `jobs`, those already in `out` and those performed and appended to it now."""
    wanted = revision(placement)
    results = read_results(out, wanted)
    waiting = [job for job in jobs if job not in results]
    if not waiting:
        return results
    writable_folder(out.parent)
    torn = out.exists() and out.read_bytes()[-1:] not in (b"", b"\n")
    with WorkerPool(workers, make_performer, (placement, wanted)) as pool, out.open("a") as file:
        file.write("\n" * torn)
        for job in waiting:
            pool.submit(job, job)
        for _ in tqdm(waiting, unit="episode"):
            job, results[job] = pool.collect()
            file.write(json.dumps(results[job]) + "\n")
            file.flush()
    return results


def main(config: Config) -> None:
    tasks = choose_tasks(config.suite, config.tasks)
    jobs: list[Job] = [(t.suite, t.index, config.placement, i) for t in tasks for i in range(config.episodes)]
    results = perform_all(jobs, config.placement, config.workers, config.out)
    rates, errors = [], []
    print(f"| task | success, {config.placement} | mean steps |\n|---|---|---|")
    for task in tasks:
        rows = [results[job] for job in jobs if job[:2] == (task.suite, task.index)]
        title = f"{task.suite} " * (len(config.suite) > 1) + f"{task.index} {task.instruction}"
        print(_line(title, rows))
        rates.append(sum(row["steps"] is not None for row in rows) / len(rows))
        errors += [f"{title}: {row['error']}" for row in rows if "error" in row][:1]
    print(_line("all", [results[job] for job in jobs]))
    counts = [f"{sum(rate >= level for rate in rates)} at >= {level:.0%}" for level in LEVELS]
    print(f"\n{len(tasks)} tasks: {', '.join(counts)}")
    print("\n".join(errors))


def _line(title: str, rows: list[dict]) -> str:
    lengths = [row["steps"] for row in rows if row["steps"] is not None]
    low, high = wilson_interval(len(lengths), len(rows))
    mean = f"{sum(lengths) / len(lengths):.0f}" if lengths else "-"
    return f"| {title} | {len(lengths)}/{len(rows)} [{low:.0%}, {high:.0%}] | {mean} |"


if __name__ == "__main__":
    run_program(main, Config)
