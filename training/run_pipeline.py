r"""Run every stage in order, from demonstrations to the report, as one plan.

    python training/run_pipeline.py --preset smoke             # every stage in small: under five minutes
    python training/run_pipeline.py --preset laptop --dry-run  # the shipped checkpoints: plan and needs
    python training/run_pipeline.py --preset paper --suite libero_10 --device cuda

Writes everything below runs/<preset>: demonstrations, lam, latents.h5, skills, skills.h5, pretrained, policy,
evaluation, report. The stages are the other programs of this folder; the plan shows their command lines. A
stage whose settings and inputs are those of its last run, and whose output is as it left it, is skipped; one
with other settings or inputs starts afresh. Ctrl-C stops; the same command continues.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import tyro

from hilam_core.cards import config_dict
from hilam_core.errors import ConfigError, DataError, FileError
from hilam_core.files import file_hash, sole_writer, writable_folder, write_json
from hilam_core.program import run_program
from hilam_sim.tasks import MAX_STEPS, SUITES, choose_tasks

# The programs are imported when the plan is made: simulation workers import this file too, and would pay two
# seconds and 0.2 GB each for torch.

# What each preset changes in the programs' own settings, stage by stage.
SMOKE_TRAINING = {"batch_size": 8, "eval_every": 0, "warmup_steps": 2, "log_every": 5}
# BAKU's optimiser as its authors run it: a constant rate, no averaging of weights.
PAPER_TRAINING = {"steps": 100_000, "lr": 1e-4, "min_lr_ratio": 1.0, "warmup_steps": 0, "ema_decay": 0.0}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "smoke": {
        "collect": {"tasks": ("0", "3"), "demos": 3},
        "lam": {"train": {**SMOKE_TRAINING, "steps": 20}},
        "skills": {"train": {**SMOKE_TRAINING, "steps": 20}, "loss": {"rec_frames": 4}},
        "skill labels": {"strips": 1},
        "pretrain": {"train": {**SMOKE_TRAINING, "steps": 20}},
        "finetune": {"train": {**SMOKE_TRAINING, "steps": 30}},
        "evaluate stored": {"tasks": ("0", "3"), "episodes": 1, "max_steps": 40},
        "evaluate scattered": {"tasks": ("0", "3"), "episodes": 1, "max_steps": 40},
    },
    "laptop": {
        "evaluate stored": {"episodes": 50, "exact": True, "batch": 1},
        "evaluate scattered": {"episodes": 20, "exact": True, "batch": 1},
    },
    "paper": {
        "collect": {"demos": 50, "scattered_fraction": 0.0, "disturbed_fraction": 0.0},
        # UniSkill's latent size and gaps in training; its networks are another implementation.
        "lam": {
            "model": {"latent_dim": 64},
            "min_gap": 20,
            "max_gap": 40,
            "gap": 20,
            "train": {"steps": 100_000, "batch_size": 64},
        },
        "skills": {"train": {"steps": 100_000}},
        "pretrain": {"published_size": True, "low_language": False, "train": PAPER_TRAINING},
        "finetune": {"waypoint": False, "train": PAPER_TRAINING},
        "evaluate stored": {"episodes": 50, "exact": True, "batch": 1},
        "evaluate scattered": {"episodes": 20, "exact": True, "batch": 1},
    },
}


@dataclass(frozen=True)
class Config:
    """Run every stage in order."""

    preset: Literal["smoke", "laptop", "paper"] = "smoke"
    """smoke: every stage in small; laptop: the settings of the shipped checkpoints; paper: as published."""
    suite: str = "libero_object"
    """LIBERO suite to record, learn and measure."""
    out: Path | None = None
    """Folder of everything that is written; by default runs/<preset>."""
    data: Path | None = None
    """Folder of demonstrations (*.hdf5) that are there already; by default they are recorded."""
    workers: int = 2
    """Parallel simulations in recording and evaluation."""
    seed: int = 0
    """Seed of recording and training; the episodes of evaluation stay the same."""
    device: str = "auto"
    """Where networks compute: auto, cpu, cuda or cuda:N."""
    dry_run: bool = False
    """Print the plan with its needs of disk and time, and do nothing."""

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.suite not in SUITES:
            raise ConfigError(f"unknown suite {self.suite!r}; choices: {', '.join(SUITES)}")


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


def make_plan(config: Config) -> list[Stage]:
    """The stages of a preset in order. Raises ConfigError and SimError for settings that cannot work."""
    out = config.out or Path("runs") / config.preset
    data = config.data or out / "demonstrations" / config.suite
    lam, latents, skills = out / "lam", out / "latents.h5", out / "skills"
    labels, pretrained, policy = out / "skills.h5", out / "pretrained", out / "policy"
    evaluation = out / "evaluation"
    suite, report = (config.suite,), out / "report"
    # name: program, settings, what it reads, what it writes
    rows: dict[str, tuple[str, dict[str, Any], tuple[Path, ...], Path]] = {
        "collect": ("collect_demos", {"suite": suite, "out": out / "demonstrations"}, (), data),
        "lam": ("train_lam", {"data": [data], "out": lam}, (data,), lam),
        "latents": ("extract_latents", {"lam": lam, "data": [data], "out": latents}, (lam, data), latents),
        "skills": (
            "train_skills",
            {"latents": latents, "lam": lam, "data": [data], "out": skills},
            (latents, lam, data),
            skills,
        ),
        "skill labels": (
            "extract_skills",
            {"skills": skills, "latents": latents, "data": [data], "out": labels},
            (skills, latents, data),
            labels,
        ),
        "pretrain": (
            "pretrain_policy",
            {"data": [data], "latents": latents, "skills": labels, "out": pretrained},
            (latents, labels, data),
            pretrained,
        ),
        "finetune": (
            "finetune_policy",
            {"data": [data], "pretrained": pretrained, "out": policy},
            (pretrained, data),
            policy,
        ),
        **{
            f"evaluate {placement}": (
                "evaluate",
                {"policy": policy, "suite": suite, "placement": placement, "label": "HiLAM"}
                | {"out": evaluation / f"{placement}.json"},
                (policy,),
                evaluation / f"{placement}.json",
            )
            for placement in ("stored", "scattered")
        },
        "report": (
            "report",
            {"results": [evaluation], "out": report},
            (evaluation,),
            report / "results.html",
        ),
    }
    if config.data is not None:
        del rows["collect"]
    stages = []
    for name, (program, settings, reads, writes) in rows.items():
        settings = _merge(settings, PRESETS[config.preset].get(name, {}))
        own = configure(importlib.import_module(program).Config, settings, config)
        stages.append(Stage(name, program, own, reads, writes))
    choose_tasks((config.suite,), stages[-2].config.tasks)
    return [dataclasses.replace(stage, **needs(stage, stages, config)) for stage in stages]


def _merge(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(settings)
    for name, value in changes.items():
        merged[name] = _merge(merged.get(name, {}), value) if isinstance(value, Mapping) else value
    return merged


def configure(cls: type, settings: Mapping[str, Any], config: Config) -> Any:
    """A program's settings: its defaults with `settings`, and the plan's own where the program has them."""
    names = {field.name for field in dataclasses.fields(cls)}
    common = {"workers": config.workers, "device": config.device}
    if cls.__module__ == "collect_demos":
        common["seed"] = config.seed
    if "train" in names:
        settings = _merge({"train": {"seed": config.seed, "device": config.device}}, settings)
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


def needs(stage: Stage, stages: list[Stage], config: Config) -> dict[str, float]:
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


def _frames_each(config: Config) -> float:
    return 0.46 * MAX_STEPS[config.suite]  # a demonstration's share of the limit of an episode


def _frames(stages: list[Stage], config: Config) -> float:
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


def run_plan(stages: list[Stage], out: Path, dry_run: bool = False) -> None:
    """Run what is not done of a plan below `out`, or with `dry_run` only print it."""
    from hilam_core.distributed import is_main_process, process_group

    record = Record(out / "pipeline.json")
    if dry_run:
        print_plan(stages, {stage.name: record.state(stage) for stage in stages})
        return
    with process_group(), sole_writer(out / "pipeline.json") if is_main_process() else nullcontext():
        writable_folder(out)
        require_space(out, [stage for stage in stages if record.state(stage) != "done"])
        for number, stage in enumerate(stages, 1):
            run_stage(stage, record, f"{number}/{len(stages)} {stage.name}")


def run_stage(stage: Stage, record: Record, title: str) -> None:
    """Run a stage unless it is done; the main process keeps the record."""
    from hilam_core.distributed import barrier, from_main, is_main_process

    state = from_main(lambda: record.state(stage))
    if state == "done":
        print(f"== {title}: done and unchanged", flush=True)
        return
    if state == "changed":
        print(f"== {title}: settings or inputs have changed since it ran: it starts afresh")
    print(f"== {title}: python training/{shlex.join(stage.argv())}", flush=True)
    if is_main_process():
        if state == "changed":
            start_afresh(stage)
        record.begin(stage)
    barrier()
    if stage.parallel or is_main_process():
        stage.run()
    barrier()
    if is_main_process():
        record.finish(stage)


def main(config: Config) -> None:
    run_plan(make_plan(config), config.out or Path("runs") / config.preset, config.dry_run)


if __name__ == "__main__":
    run_program(main, Config)
