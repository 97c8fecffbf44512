r"""Run every stage in order, from demonstrations to the report, as one plan.

    python training/run_pipeline.py --preset smoke             # every stage in small: under five minutes
    python training/run_pipeline.py --preset laptop --dry-run  # the shipped checkpoints: plan and needs
    python training/run_pipeline.py --preset paper --suite libero_10 --device cuda

Writes everything below runs/<preset>: demonstrations, lam, latents.h5, skills, skills.h5, pretrained, policy,
evaluation, report. The stages are the other programs of this folder; the plan shows their command lines. A
stage whose settings and inputs are those of its last run, and whose output is as it left it, is skipped; one
with other settings or inputs starts afresh. Ctrl-C stops; the same command continues.
"""

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plan import Stage, configure, merge, needs, run_plan

from hilam_core.errors import ConfigError
from hilam_core.program import run_program
from hilam_sim.tasks import SUITES, choose_tasks

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
    jobs: int = 1
    """Stages to run at a time, each as a process with its share of the cores and a log below <out>/logs."""
    dry_run: bool = False
    """Print the plan with its needs of disk and time, and do nothing."""

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("jobs", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.suite not in SUITES:
            raise ConfigError(f"unknown suite {self.suite!r}; choices: {', '.join(SUITES)}")


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
        settings = merge(settings, PRESETS[config.preset].get(name, {}))
        own = configure(importlib.import_module(program).Config, settings, config)
        stages.append(Stage(name, program, own, reads, writes))
    choose_tasks((config.suite,), stages[-2].config.tasks)
    return [dataclasses.replace(stage, **needs(stage, stages, config)) for stage in stages]


def main(config: Config) -> None:
    run_plan(make_plan(config), config.out or Path("runs") / config.preset, config.dry_run, config.jobs)


if __name__ == "__main__":
    run_program(main, Config)
