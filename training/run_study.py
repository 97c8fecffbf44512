r"""Does the hierarchy pay where few demonstrations carry actions? Every method on the same ones, as one plan.

    python training/run_study.py --dry-run                       # the plan: LIBERO-Long, 10% and 100%
    python training/run_study.py --tasks 0 3 4 --shares 0.1 --seeds 0 --out runs/study
    python training/run_study.py --video libero_90               # pretraining sees none of the measured tasks

Records demonstrations, learns latent actions and skills from their pictures, pretrains, and then, for each
share of labelled demonstrations and each seed, fine-tunes and measures every method:

    flat           BAKU on the labelled demonstrations
    flat_decoded   the same network, also on the other demonstrations by actions decoded from z^l
    flat_latent    BAKU pretrained on z^l
    hilam          as published: pi^h, pi^l pretrained on pseudo-labels, pi^l fine-tuned
    hilam_decoded  the same, also on decoded actions
    blind          no pictures: what the benchmark gives away

The networks, the steps on actions and the episodes are the same for all. Results are below <out>/results, the
report is <out>/report. A part that is done is skipped, so that days of work can be done in pieces; Ctrl-C
stops, the same command continues.
"""

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from plan import Stage, configure, needs, run_plan

from hilam_core.conventions import CAMERAS
from hilam_core.errors import ConfigError
from hilam_core.program import run_program
from hilam_sim.tasks import SUITES, choose_tasks

METHODS: dict[str, tuple[str, ...]] = {
    "flat": (),
    "flat_decoded": ("decoded",),
    "flat_latent": ("pretrained_flat",),
    "hilam": ("pretrained",),
    "hilam_decoded": ("pretrained", "decoded"),
    "blind": ("blind",),
}
"""What the fine-tuning of each method starts from and adds."""
Method = Literal["flat", "flat_decoded", "flat_latent", "hilam", "hilam_decoded", "blind"]


@dataclass(frozen=True)
class Config:
    """Compare methods on few labelled demonstrations."""

    suite: str = "libero_10"
    """LIBERO suite to measure."""
    tasks: tuple[str, ...] = ()
    """Numbers or names of its tasks; all when empty."""
    methods: tuple[Method, ...] = ("flat", "flat_decoded", "flat_latent", "hilam", "hilam_decoded")
    """What to compare."""
    shares: tuple[float, ...] = (0.1, 1.0)
    """Shares of the demonstrations whose actions are used."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of fine-tuning; what comes before is learned once."""
    video: str | None = None
    """Suite whose pictures latent actions, skills and pretraining learn from; by default the measured one."""
    cameras: tuple[str, ...] = CAMERAS
    """Cameras whose frames latent actions relate."""
    demos: int = 50
    """Demonstrations of each task."""
    lam_steps: int = 2800
    """Steps of the latent action model."""
    pretrain_steps: int = 5000
    """Steps of pretraining."""
    steps: int = 14_000
    """Steps on actions, for every method. Fewer than 7,000 hide all differences."""
    episodes: int = 20
    """Episodes of each task, placement and policy."""
    placements: tuple[Literal["stored", "scattered"], ...] = ("stored", "scattered")
    """Protocols of evaluation."""
    out: Path = Path("runs/study")
    """Folder of everything that is written."""
    data: Path | None = None
    """Demonstrations of the measured tasks that are there already; by default they are recorded."""
    workers: int = 2
    """Parallel simulations in recording and evaluation."""
    seed: int = 0
    """Seed of recording and of what is learned once."""
    device: str = "auto"
    """Where networks compute: auto, cpu, cuda or cuda:N."""
    jobs: int = 1
    """Stages to run at a time, each as a process with its share of the cores and a log below <out>/logs."""
    dry_run: bool = False
    """Print the plan with its needs of disk and time, and do nothing."""

    def __post_init__(self) -> None:
        for suite in filter(None, (self.suite, self.video)):
            if suite not in SUITES:
                raise ConfigError(f"unknown suite {suite!r}; choices: {', '.join(SUITES)}")
        if self.jobs < 1:
            raise ConfigError(f"jobs must be at least 1, got {self.jobs}")
        for name in ("methods", "shares", "seeds", "placements"):
            if not getattr(self, name):
                raise ConfigError(f"{name} must not be empty")
        if not all(0 < share <= 1 for share in self.shares):
            raise ConfigError(f"shares must be in (0, 1], got {self.shares}")


def make_plan(config: Config) -> list[Stage]:
    """The stages in order. Raises ConfigError and SimError for settings that cannot work."""
    choose_tasks((config.suite,), config.tasks)
    rows = [*learn_once(config), *(row for r in runs(config) for row in compare(config, *r))]
    results = config.out / "results"
    report = ("report", "report", {"results": [results], "out": config.out / "report"}, (results,))
    rows.append((*report, config.out / "report" / "results.html"))
    stages = []
    for name, program, settings, reads, writes in rows:
        own = configure(importlib.import_module(program).Config, settings, config)
        stages.append(Stage(name, program, own, reads, writes))
    return [dataclasses.replace(stage, **needs(stage, stages, config)) for stage in stages]


# A row: name, program, settings, what it reads, what it writes.
Row = tuple[str, str, dict[str, Any], tuple[Path, ...], Path]


def places(config: Config) -> dict[str, Path]:
    """Where the parts that are learned once lie."""
    out = config.out
    data = config.data or out / "demonstrations" / config.suite
    video = data if config.video is None else out / "demonstrations" / config.video
    names = {name: out / name for name in ("lam", "skills", "pretrained", "pretrained_flat")}
    return {**names, "data": data, "video": video, "latents": out / "latents.h5", "labels": out / "skills.h5"}


def learn_once(config: Config) -> list[Row]:
    """Demonstrations, latent actions, skills and pretraining, which all methods share."""
    at = places(config)
    data, video, lam, latents = at["data"], at["video"], at["lam"], at["latents"]
    both = list(dict.fromkeys([video, data]))
    rows: list[Row] = []
    collected = {"demos": config.demos, "out": config.out / "demonstrations"}
    if config.data is None:
        settings = {"suite": (config.suite,), "tasks": config.tasks, **collected}
        rows.append(("collect", "collect_demos", settings, (), data))
    if config.video is not None:
        rows.append(("collect video", "collect_demos", {"suite": (config.video,), **collected}, (), video))
    rows += [
        (
            "lam",
            "train_lam",
            {"data": [video], "cameras": config.cameras, "out": lam} | {"train": {"steps": config.lam_steps}},
            (video,),
            lam,
        ),
        ("latents", "extract_latents", {"lam": lam, "data": both, "out": latents}, (lam, *both), latents),
        (
            "skills",
            "train_skills",
            {"latents": latents, "lam": lam, "data": [video], "out": at["skills"]},
            (latents, lam, video),
            at["skills"],
        ),
        (
            "skill labels",
            "extract_skills",
            {"skills": at["skills"], "latents": latents, "data": both, "out": at["labels"]},
            (at["skills"], latents, *both),
            at["labels"],
        ),
    ]
    for name, flat in (("pretrained", False), ("pretrained_flat", True)):
        if any(name in METHODS[method] for method in config.methods):
            settings = {
                "data": [video],
                "latents": latents,
                "skills": at["labels"],
                "hierarchical": not flat,
                "out": at[name],
                "train": {"steps": config.pretrain_steps},
            }
            rows.append((name, "pretrain_policy", settings, (latents, at["labels"], video), at[name]))
    return rows


def runs(config: Config) -> list[tuple[float, int]]:
    """(share, seed) of each round of comparisons; the first seed of every share comes first."""
    return [(share, seed) for seed in config.seeds for share in config.shares]


def compare(config: Config, share: float, seed: int) -> list[Row]:
    """Fine-tuning and evaluation of every method on one share with one seed."""
    at, rows = places(config), []
    decoded = config.out / f"decoded_{share:g}.h5"
    if share < 1 and seed == config.seeds[0] and any("decoded" in METHODS[m] for m in config.methods):
        settings = {"latents": at["latents"], "data": [at["data"]], "share": share, "out": decoded}
        rows.append((f"decode {share:g}", "decode_actions", settings, (at["latents"], at["data"]), decoded))
    for method in config.methods:
        uses = METHODS[method]
        if share == 1 and "decoded" in uses:
            continue  # nothing is left to decode
        policy = config.out / "policies" / f"{method}_{share:g}_{seed}"
        start = next((at[name] for name in uses if name.startswith("pretrained")), None)
        settings = {
            "data": [at["data"]],
            "share": share,
            "pretrained": start,
            "decoded": decoded if "decoded" in uses else None,
            "blind": "blind" in uses,
            "out": policy,
            "train": {"steps": config.steps, "seed": seed},
        }
        reads = tuple(filter(None, (at["data"], start, settings["decoded"])))
        name = f"{method} {share:g} {seed}"
        rows.append((name, "finetune_policy", settings, reads, policy))
        for placement in config.placements:
            result = config.out / "results" / f"{method}_{share:g}_{seed}_{placement}.json"
            settings = {
                "policy": policy,
                "suite": (config.suite,),
                "tasks": config.tasks,
                "placement": placement,
                "episodes": config.episodes,
                "label": f"{method} {share:.0%}, seed {seed}",
                "out": result,
            }
            rows.append((f"{name} {placement}", "evaluate", settings, (policy,), result))
    return rows


def main(config: Config) -> None:
    run_plan(make_plan(config), config.out, config.dry_run, config.jobs)


if __name__ == "__main__":
    run_program(main, Config)
