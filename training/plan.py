"""A plan: programs with their settings, which runs what is not done and continues where it was stopped.

A stage whose settings and inputs are those of its last run, and whose output is as it left it, is skipped;
one with other settings or inputs starts afresh. Stages run one after the other in this process (or in those
of torchrun), or several at a time, each as a process of its own as soon as what it reads is there.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import tyro

from hilam_core.cards import config_dict
from hilam_core.errors import ConfigError, DataError, FileError, HilamError
from hilam_core.files import file_hash, sole_writer, writable_folder, write_json
from hilam_sim.tasks import MAX_STEPS, choose_tasks

# The programs are imported when the plan is made: simulation workers import this file too, and would pay two
# seconds and 0.2 GB each for torch.


@dataclass(frozen=True)
class Stage:
    """One program with its settings, what it reads and writes, and what it needs."""

    name: str
    program: str
    config: Any
    reads: tuple[Path, ...]
    writes: Path
    minutes: float = 0.0
    """On two cores without bfloat16."""
    disk_mb: float = 0.0

    def argv(self) -> list[str]:
        """The command line that runs this stage alone."""
        return [f"{self.program}.py", *arguments(self.config)]

    def run(self) -> None:
        """Run the program in this process, under the command line of its own that cards then name."""
        program = importlib.import_module(self.program)
        with _command_line(self.argv()):
            program.main(copy.deepcopy(self.config))  # programs fill in what "auto" became

    @property
    def parallel(self) -> bool:
        """Whether torchrun's processes run it together; else the others wait for the main one."""
        return self.program not in ("collect_demos", "report")

    def settings(self) -> str:
        """What decides the result, as text: the settings but those of speed and logs."""
        free = {"workers", "device", "log_every", "save_every_s", "videos"}
        return json.dumps(_without(free, config_dict(self.config)), sort_keys=True)


def _without(names: set[str], settings: Any) -> Any:
    if isinstance(settings, dict):
        return {key: _without(names, value) for key, value in settings.items() if key not in names}
    return settings


def merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with `changes`, also within nested ones."""
    merged = dict(settings)
    for name, value in changes.items():
        merged[name] = merge(merged.get(name, {}), value) if isinstance(value, Mapping) else value
    return merged


def configure(cls: type, settings: Mapping[str, Any], config: Any) -> Any:
    """A program's settings: its defaults with `settings`, and the plan's own where the program has them."""
    names = {field.name for field in dataclasses.fields(cls)}
    common = {"workers": config.workers, "device": config.device}
    if cls.__module__ == "collect_demos":
        common["seed"] = config.seed
    if "train" in names:
        settings = merge({"train": {"seed": config.seed, "device": config.device}}, settings)
    settings = {**{name: value for name, value in common.items() if name in names}, **settings}
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    whole = cls(**plain)
    nested = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    return dataclasses.replace(
        whole, **{name: dataclasses.replace(getattr(whole, name), **value) for name, value in nested.items()}
    )


# What a stage needs, measured on two cores without AVX-512 BF16 with LIBERO-Object at 128 pixels.
DEMONSTRATION_S, RENDERED_STEP_S = 1.5, 0.02
FRAME_S = {"extract_latents": 0.004, "extract_skills": 0.0005}
SAMPLE_S = {"train_lam": 0.022, "train_skills": 0.008, "pretrain_policy": 0.0094, "finetune_policy": 0.0047}
PUBLISHED_SIZE = 10  # times the compact policy's time, and its size on disk
FRAME_MB, CACHED_FRAME_MB = 0.064, 0.098  # both cameras: compressed in HDF5, decoded in the frame cache
CHECKPOINT_MB = 40  # weights, and the state to continue from


def needs(stage: Stage, stages: list[Stage], config: Any) -> dict[str, float]:
    """Estimated minutes and megabytes of a stage."""
    frames, seconds, megabytes = _frames(stages, config), 0.0, 0.1
    large = PUBLISHED_SIZE if any(getattr(s.config, "published_size", False) for s in stages) else 1
    if stage.program == "collect_demos":
        seconds = frames / _frames_each(config) * DEMONSTRATION_S * 2 / config.workers
        megabytes = frames * FRAME_MB
    elif stage.program in FRAME_S:
        seconds = frames * FRAME_S[stage.program]
        megabytes = frames * 0.001
    elif stage.program in SAMPLE_S:
        train = stage.config.train
        seconds = train.steps * train.batch_size * SAMPLE_S[stage.program]
        megabytes = CHECKPOINT_MB
        if stage.program.endswith("_policy"):
            seconds, megabytes = seconds * large, megabytes * large
    elif stage.program == "evaluate":
        episodes = stage.config.episodes * len(choose_tasks((config.suite,), stage.config.tasks))
        steps = stage.config.max_steps or MAX_STEPS[config.suite]
        seconds = episodes * steps * RENDERED_STEP_S * 2 / config.workers
    if stage.program == "train_lam":
        megabytes += frames * CACHED_FRAME_MB
    return {"minutes": seconds / 60, "disk_mb": megabytes}


def _frames_each(config: Any) -> float:
    return 0.46 * MAX_STEPS[config.suite]  # a demonstration's share of the limit of an episode


def _frames(stages: list[Stage], config: Any) -> float:
    """Frames of all demonstrations, estimated."""
    if stages[0].program == "collect_demos":
        collect = stages[0].config
        return collect.demos * len(choose_tasks((config.suite,), collect.tasks)) * _frames_each(config)
    assert config.data is not None
    return sum(file.stat().st_size for file in _data_files(config.data)) / 1e6 / FRAME_MB


# Command lines.


def arguments(config: Any) -> list[str]:
    """The arguments that make a program's parser give `config`: what differs from the defaults."""
    cls = type(config)
    required = {f.name: getattr(config, f.name) for f in dataclasses.fields(cls) if _has_no_default(f)}
    positional, options = [], []
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        value = getattr(config, field.name)
        default = None if field.name in required else getattr(cls(**required), field.name)
        if tyro.conf.Positional in getattr(hints[field.name], "__metadata__", ()):
            positional += _words(value) if field.name in required or value != default else []
        else:
            options += _option(field.name, value, default)
    return [*positional, *options]


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _option(name: str, value: Any, default: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value == default:
        return []
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        parts = [
            _option(f"{name}.{f.name}", getattr(value, f.name), getattr(default, f.name)) for f in fields
        ]
        return [word for part in parts for word in part]
    if isinstance(value, bool):
        head, dot, last = flag[2:].rpartition(".")
        return [flag if value else f"--{head}{dot}no-{last}"]
    return [flag, *_words(value)]


def _words(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


@contextmanager
def _command_line(argv: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, argv
    try:
        yield
    finally:
        sys.argv = before


# What is done.


class Record:
    """What the stages of a folder last ran with, in pipeline.json: name -> settings and hashes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._stages: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise DataError(f"'{path}' is not a pipeline's record ({error}): remove it") from None
        self._hashes: dict[tuple[Path, int, int], str] = {}

    def state(self, stage: Stage) -> Literal["done", "unfinished", "changed", "to do"]:
        """Where a stage stands."""
        known = self._stages.get(stage.name)
        if known is None:
            return "to do"
        if known["begun"] != self._inputs(stage):
            return "changed"
        if known.get("left") is None:
            return "unfinished"
        return "done" if known["left"] == self._hash(stage.writes) else "changed"

    def begin(self, stage: Stage) -> None:
        self._write(stage, {"begun": self._inputs(stage)})

    def finish(self, stage: Stage) -> None:
        self._write(stage, {"begun": self._inputs(stage), "left": self._hash(stage.writes)})

    def _write(self, stage: Stage, known: dict[str, str]) -> None:
        self._stages[stage.name] = known
        write_json(self.path, self._stages)

    def _inputs(self, stage: Stage) -> str:
        parts = [stage.settings(), *(f"{path} {self._hash(path)}" for path in stage.reads)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _hash(self, path: Path) -> str:
        """Of a file, of a checkpoint's weights, or of the data or results in a folder."""
        if path.is_file():
            files = [path]
        elif (path / "model.safetensors").is_file():
            files = [path / "model.safetensors"]
        else:
            files = _data_files(path)
        return hashlib.sha256("".join(f"{f.name} {self._file_hash(f)}\n" for f in files).encode()).hexdigest()

    def _file_hash(self, file: Path) -> str:
        stat = file.stat()
        key = (file, stat.st_mtime_ns, stat.st_size)
        if key not in self._hashes:
            self._hashes[key] = file_hash(file)
        return self._hashes[key]


def _data_files(folder: Path) -> list[Path]:
    kinds = {".hdf5", ".h5", ".mp4", ".json"}
    return sorted(f for f in folder.glob("*") if f.suffix in kinds and not f.name.startswith("."))


def start_afresh(stage: Stage) -> None:
    """Remove what an earlier run with other settings or inputs would continue or refuse from."""
    if stage.program == "collect_demos":  # its files know what they were recorded with, and refuse the rest
        return
    if stage.writes.is_file():
        stage.writes.unlink()
    (stage.writes / "train_state.pt").unlink(missing_ok=True)


def print_plan(stages: list[Stage], states: Mapping[str, str]) -> None:
    """One row a stage, its command below, then the sum of what is not done."""
    print(f"{'':2s} {'stage':20s} {'state':10s} {'disk':>9s} {'time':>9s}")
    for number, stage in enumerate(stages, 1):
        disk, time = _megabytes(stage.disk_mb), _minutes(stage.minutes)
        print(f"{number:2d} {stage.name:20s} {states[stage.name]:10s} {disk:>9s} {time:>9s}")
        print(f"   python training/{shlex.join(stage.argv())}")
    ahead = [stage for stage in stages if states[stage.name] != "done"]
    disk, time = sum(stage.disk_mb for stage in ahead), sum(stage.minutes for stage in ahead)
    print(
        f"ahead: {len(ahead)} stages, about {_megabytes(disk)} and {_minutes(time)} "
        "on two cores without bfloat16"
    )


def _megabytes(amount: float) -> str:
    return f"{amount / 1000:.1f} GB" if amount >= 1000 else f"{max(1, amount):.0f} MB"


def _minutes(amount: float) -> str:
    return f"{amount / 60:.1f} h" if amount >= 90 else f"{max(1, amount):.0f} min"


def require_space(folder: Path, stages: list[Stage]) -> None:
    """FileError where the disk of `folder` is too small for what is ahead."""
    free, wanted = shutil.disk_usage(folder).free / 1e6, sum(stage.disk_mb for stage in stages)
    if free < wanted:
        raise FileError(
            f"the disk of '{folder}' has {_megabytes(free)} free, the plan needs about {_megabytes(wanted)}: "
            "make room, or choose another --out"
        )


def run_plan(stages: list[Stage], out: Path, dry_run: bool = False, jobs: int = 1) -> None:
    """Run what is not done of a plan below `out`, `jobs` stages at a time, or with `dry_run` only print it.

    Raises:
        ConfigError: several jobs under torchrun, whose processes run every stage together.
        FileError: too little space on the disk.
        StageFailed: a stage that ran as a process of its own.
    """
    from hilam_core.distributed import is_main_process, process_group, processes

    record = Record(out / "pipeline.json")
    if dry_run:
        print_plan(stages, {stage.name: record.state(stage) for stage in stages})
        return
    with process_group(), sole_writer(out / "pipeline.json") if is_main_process() else nullcontext():
        if jobs > 1 and processes() > 1:
            raise ConfigError(f"{jobs} jobs at a time and torchrun exclude each other: choose one")
        writable_folder(out)
        require_space(out, [stage for stage in stages if record.state(stage) != "done"])
        if jobs > 1:
            Jobs(stages, record, out / "logs").run(jobs)
            return
        for number, stage in enumerate(stages, 1):
            run_stage(stage, record, f"{number}/{len(stages)} {stage.name}")


def run_stage(stage: Stage, record: Record, title: str) -> None:
    """Run a stage unless it is done; the main process keeps the record."""
    from hilam_core.distributed import barrier, from_main, is_main_process

    if (state := from_main(lambda: record.state(stage))) == "done":
        print(f"== {title}: done and unchanged", flush=True)
        return
    if is_main_process():
        begin(stage, record, state, title)
    barrier()
    if stage.parallel or is_main_process():
        stage.run()
    barrier()
    if is_main_process():
        record.finish(stage)


def begin(stage: Stage, record: Record, state: str, title: str) -> None:
    """Say and record that a stage runs now; remove what it could not continue from."""
    if state == "changed":
        print(f"== {title}: settings or inputs have changed since it ran: it starts afresh")
        start_afresh(stage)
    print(f"== {title}: python training/{shlex.join(stage.argv())}", flush=True)
    record.begin(stage)


# Several stages at a time.


class StageFailed(HilamError):
    """A stage ended with an error."""


class Jobs:
    """The stages of a plan as processes, each begun when all that it reads is there, in the plan's order."""

    def __init__(self, stages: list[Stage], record: Record, logs: Path) -> None:
        self._titles = {stage.name: f"{n}/{len(stages)} {stage.name}" for n, stage in enumerate(stages, 1)}
        self._ahead, self._record, self._logs = list(stages), record, writable_folder(logs)
        self._running: dict[str, tuple[Stage, subprocess.Popen, float]] = {}

    def run(self, jobs: int) -> None:
        """Run all stages, at most `jobs` at a time; Ctrl-C or an error ends those that run, which save.

        Raises:
            StageFailed: one ended with an error.
        """
        threads = str(max(1, len(os.sched_getaffinity(0)) // jobs))
        environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONUNBUFFERED": "1"}
        try:
            while self._ahead or self._running:
                while len(self._running) < jobs and (stage := self._next()):
                    self._start(stage, environment)
                for name in [n for n, (_, process, _) in self._running.items() if process.poll() is not None]:
                    self._finish(*self._running.pop(name))
                time.sleep(0.2)
        finally:
            self._end()

    def _next(self) -> Stage | None:
        """The first stage ahead that no other one ahead or running has to write for."""
        busy = [stage for stage, _, _ in self._running.values()]
        for stage in self._ahead:
            if not any(_feeds(other, stage) for other in busy):
                return stage
            busy.append(stage)
        return None

    def _start(self, stage: Stage, environment: Mapping[str, str]) -> None:
        self._ahead.remove(stage)
        if (state := self._record.state(stage)) == "done":
            print(f"== {self._titles[stage.name]}: done and unchanged", flush=True)
            return
        begin(stage, self._record, state, self._titles[stage.name])
        command = [sys.executable, str(Path(__file__).with_name(stage.argv()[0])), *stage.argv()[1:]]
        with self._log(stage).open("w") as log:
            # In a session of its own: a Ctrl-C in the terminal reaches it once, through this process.
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._running[stage.name] = (stage, process, time.monotonic())

    def _log(self, stage: Stage) -> Path:
        return self._logs / f"{stage.name.replace(' ', '_')}.log"

    def _finish(self, stage: Stage, process: subprocess.Popen, start: float) -> None:
        if process.returncode:
            last = self._log(stage).read_text().strip().rpartition("\n")[2]
            raise StageFailed(f"{stage.name} failed, see {self._log(stage)}: {last}")
        self._record.finish(stage)
        print(f"== {self._titles[stage.name]}: {_minutes((time.monotonic() - start) / 60)}", flush=True)

    def _end(self) -> None:
        processes = [process for _, process, _ in self._running.values()]
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            process.wait()


def _feeds(writer: Stage, reader: Stage) -> bool:
    """Whether a stage reads what another writes, or a folder with it."""
    return any(writer.writes == path or path in writer.writes.parents for path in reader.reads)
