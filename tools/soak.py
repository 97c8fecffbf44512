"""Run the simulation's stack in real time for a while; report its cycles, latency and resources as Markdown.

python tools/soak.py --minutes 30

Exit code 1 where a node grew: its memory, threads or open files, from the second third of the time on.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hilam_core.program import run_program

SAMPLE_S = 2.0
GROWTH_MB = 8.0  # allocators keep some MB more or less; a leak of a frame a step gains as much in 8 s
STAGES = ("simulate", "ingest", "plan", "act", "command", "topics", "observation_to_command")


@dataclass
class Config:
    minutes: float = 30.0
    """Time at the control rate; starting and resetting come on top. Each third should hold an episode."""
    policy: str = ""
    """Checkpoint; empty: the shipped one."""
    steps: int = 280
    """Of each episode."""
    ros_arguments: tuple[str, ...] = ()
    """More arguments of the launch, as console:=true."""


@dataclass(frozen=True)
class Sample:
    """What a process has at one moment."""

    memory_mb: float
    threads: int
    files: int


def take_sample(pid: int) -> Sample | None:
    """Resident memory, threads and open files of a process; None where it has ended."""
    try:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        files = len(os.listdir(f"/proc/{pid}/fd"))
        return Sample(int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), files)
    except (OSError, KeyError):
        return None


def nodes_below(pid: int) -> dict[int, str]:
    """The processes of nodes that descend from a launch, by their names."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        found = next((part for part in command if b"/lib/hilam_ros/" in part), None)
        if found:
            names[int(folder.name)] = Path(found.decode()).name
    return {child: name for child, name in names.items() if parents.get(child) == pid}


def growth(samples: Sequence[Sample]) -> list[str]:
    """What grew from the second third of a process's time to the last; before, caches fill.

    The peaks are compared: within an episode task_server gathers its frames.
    """
    third = len(samples) // 3
    before, after = samples[third : 2 * third], samples[2 * third :]
    if not before:
        return []
    found = []
    for name, allowed in (("memory_mb", GROWTH_MB), ("threads", 0), ("files", 0)):
        was, now = (max(getattr(sample, name) for sample in part) for part in (before, after))
        if now - was > allowed:
            found.append(f"{name} from {was:.0f} to {now:.0f}")
    return found


def run_stack(config: Config, folder: Path) -> dict[str, list[Sample]]:
    """Perform tasks until the time is over; samples by node. Records lie in `folder`."""
    count = max(1, round(60 * config.minutes * 20 / config.steps))
    goals = [
        {"suite": "libero_object", "task": str(number % 10), "index": number % 50, "max_steps": config.steps}
        for number in range(count)
    ]
    (folder / "goals.jsonl").write_text("".join(json.dumps(goal) + "\n" for goal in goals))
    arguments = {
        "mode": "realtime",
        "assets": "builtin",
        "goals": folder / "goals.jsonl",
        "results": folder / "results.jsonl",
        "output": folder / "records",
        **({"policy": config.policy} if config.policy else {}),
    }
    given = [f"{name}:={value}" for name, value in arguments.items()]
    command = ["ros2", "launch", "hilam_ros", "libero_sim.launch.py", *given, *config.ros_arguments]
    with (folder / "launch.log").open("w") as log:
        launch = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        samples: dict[str, list[Sample]] = defaultdict(list)
        try:
            while launch.poll() is None:
                time.sleep(SAMPLE_S)
                if (folder / "results.jsonl").exists():  # the first episode is over
                    for pid, name in nodes_below(launch.pid).items():
                        if sample := take_sample(pid):
                            samples[name].append(sample)
        finally:
            if launch.poll() is None:
                launch.send_signal(signal.SIGINT)
                launch.wait(30)
    return samples


def report(records: Sequence[Mapping], samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Lines of Markdown."""
    cycles, over = (sum(r["cadence"][name] for r in records) for name in ("cycles", "over_budget"))
    held, late = (sum(r.get(name, 0) for r in records) for name in ("held_steps", "late_ticks"))
    steps, rate_hz = sum(r["steps"] for r in records), statistics.median(r["rate_hz"] for r in records)
    lines = [
        f"{len(records)} episodes, {steps} steps at {rate_hz:.2f} Hz "
        f"(median); {over} of {cycles} cycles over 50 ms, {held} steps held, {late} late ticks",
        "",
        "| stage | p50 ms | p99 ms | largest ms |",
        "|---|---|---|---|",
    ]
    for stage in STAGES:
        found = [r["latency_ms"][stage] for r in records if r["latency_ms"][stage]["count"]]
        if found:  # the median of the episodes' percentiles, and the largest of all
            p50, p99 = (statistics.median(f[name] for f in found) for name in ("p50", "p99"))
            lines.append(f"| {stage} | {p50:.2f} | {p99:.2f} | {max(f['max'] for f in found):.1f} |")
    lines += [
        "",
        "| node | memory MB, first to last | threads | open files | grew |",
        "|---|---|---|---|---|",
    ]
    for name, taken in sorted(samples.items()):
        first, last = taken[0], taken[-1]
        lines.append(
            f"| {name} | {first.memory_mb:.0f} to {last.memory_mb:.0f} | {first.threads} to {last.threads} "
            f"| {first.files} to {last.files} | {'; '.join(growth(taken)) or 'no'} |"
        )
    return lines


def main(config: Config) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        samples = run_stack(config, folder)
        records = [json.loads(path.read_text()) for path in sorted(folder.glob("records/*/episode.json"))]
        if not records:
            print((folder / "launch.log").read_text(), file=sys.stderr)
            sys.exit(1)
        print("\n".join(report(records, samples)))
    sys.exit(any(growth(taken) for taken in samples.values()))


if __name__ == "__main__":
    run_program(main, Config)
