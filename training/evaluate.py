"""Measure a policy's success over stored or scattered placements.

    python training/evaluate.py checkpoints/libero_object --episodes 20
    python training/evaluate.py checkpoints/libero_object --placement scattered --videos runs/videos
    python training/evaluate.py runs/policy --suite libero_object libero_goal --shard 0/4 --workers 8
    python training/evaluate.py runs/policy --ros

Writes one JSON file a suite: every episode with seed, success and steps, success rates with 95% Wilson
intervals, the checkpoint's hash, the simulation's settings and the command. The file is replaced as episodes
end; the same command continues an interrupted evaluation, and more tasks or episodes are added to it. The
default file's name carries a hash of everything that decides an episode, so that different evaluations have
different files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from ros_episodes import perform_in_ros
from tqdm import tqdm

from hilam_core.cards import assets_warning, trained_assets
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import sole_writer, writable_folder, write_json
from hilam_core.program import run_program
from hilam_core.statistics import wilson_interval
from hilam_sim.assets import resolve_assets
from hilam_sim.cluster import open_pool
from hilam_sim.protocol import scattered_protocol, stored_protocol
from hilam_sim.rollout import EpisodeResult, EpisodeSpec, run_episodes
from hilam_sim.tasks import MAX_STEPS, choose_tasks, get_task, require_same_scene
from hilam_sim.wording import WORDINGS, reword

if TYPE_CHECKING:
    from hilam_core.runtime.control import BatchRunner

MAX_SEED = 400_000  # scattered placements use 10,000 seeds for each, all below numpy's limit of 2**32


@dataclass
class Config:
    """Measure a policy's success in simulation."""

    policy: Annotated[Path, tyro.conf.Positional]
    """Policy checkpoint, flat or hierarchical."""
    suite: tuple[str, ...] = ("libero_object",)
    """LIBERO suites, a result file each."""
    tasks: tuple[str, ...] = ()
    """Numbers or names of tasks; all when empty. Only with one suite."""
    placement: Literal["stored", "swapped", "scattered"] = "stored"
    """stored: LIBERO's 50 initial states, in order; swapped: these, but a target and another object have
    exchanged places; scattered: objects anywhere within reach."""
    episodes: int = 20
    """Episodes a task."""
    seed: int = 0
    """Seed of the simulation; scattered placements follow from it."""
    instruction: str | None = None
    """What the policy is told instead of the task's instruction: other words, or another task of the scene;
    success stays that of the task. Only with one task."""
    wording: int = 0
    """1, 2 or 3: tell the policy its tasks in other words; 0: in LIBERO's."""
    states_of: str | None = None
    """Another task of the same scene, in whose stored states the episodes begin. Only with one task."""
    max_steps: int | None = None
    """Steps until an episode counts as failed; by default the suite's limit."""
    shard: str = "0/1"
    """Which part of the episodes to run, such as 0/4 to 3/4 on four machines; report.py joins the files."""
    workers: int = 4
    """Parallel simulations, a process each; twice as many as --batch keep them and the policy busy."""
    batch: int = 4
    """Observations that the policy reads at once. Results do not depend on --workers, but another batch
    changes the last bits of actions; 1 gives those of a robot."""
    ray: str | None = None
    """Address of a Ray cluster (auto, or HOST:PORT) whose machines do the work; they share the folders."""
    device: str = "cpu"
    """Where the policy runs: auto, cpu, cuda or cuda:N."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """In which type it computes; auto takes bfloat16 where it is fast."""
    compile: str | None = None
    """Backend of torch.compile for the policy, such as inductor: minutes at first, then faster steps."""
    out: Path | None = None
    """File to write; by default runs/eval/<policy>_<suite>_<placement>_<hash of the settings>.json."""
    label: str | None = None
    """Name in reports; by default the checkpoint's folder."""
    videos: Path | None = None
    """Folder for a video of each episode, in a subfolder with the name of the result file; report.py shows
    some of them."""
    assets: Literal["auto", "builtin", "official"] | None = None
    """What the simulation draws; by default what the policy was trained on."""
    quality: Literal["auto", "fast", "stock"] = "auto"
    """How it is drawn: stock as LIBERO draws, fast simpler; auto: stock with official assets, else fast."""
    ros: bool = False
    """Through the ROS 2 nodes, in lockstep: all episodes in one stack, as goals of its action, one after the
    other. The numbers are those of --batch 1. Needs the `ros2` command and the built workspace."""
    exact: bool = False
    """Step as stock LIBERO to the last bit; a step without cameras takes 25 to 50% longer."""

    def __post_init__(self) -> None:
        for name, least in (("episodes", 1), ("max_steps", 1), ("workers", 1), ("batch", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        if self.seed > MAX_SEED:
            raise ConfigError(f"seed must be at most {MAX_SEED}, got {self.seed}")
        if len(set(self.suite)) > 1 and self.out is not None:
            raise ConfigError(f"out '{self.out}' is one file for {len(self.suite)} suites: leave it out")
        if self.instruction is not None and (len(self.tasks) != 1 or not self.instruction.strip()):
            raise ConfigError(f"instruction '{self.instruction}' is for one task: name it with --tasks")
        if self.ros and (self.exact or self.videos or self.quality != "auto"):
            raise ConfigError("ros has no exact, videos or quality: the nodes record episodes themselves")
        if self.ros and (self.ray or self.states_of):
            raise ConfigError(
                "ros has no ray or states_of: one stack of nodes performs the task's own states"
            )
        if self.ros:
            self.batch = 1  # what a robot does
        if self.wording not in range(WORDINGS + 1) or (self.wording and self.instruction is not None):
            raise ConfigError(
                f"wording must be 0 to {WORDINGS}, and 0 with an instruction, got {self.wording}"
            )
        if self.states_of is not None and (len(self.tasks) != 1 or self.placement == "scattered"):
            raise ConfigError(f"states_of '{self.states_of}' is for one task from stored states")
        number, _, count = self.shard.partition("/")
        if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise ConfigError(f"shard '{self.shard}' must be such as 0/4, 1/4, 2/4 or 3/4")
        if self.out is not None and self.out.is_dir():
            raise ConfigError(f"out '{self.out}' is a folder: name a file in it, such as result.json")


def make_specs(config: Config, suite: str) -> list[EpisodeSpec]:
    """The episodes of the protocol, task by task; those of this shard.

    Raises:
        SimError: an unknown suite or task, or more episodes than there are.
        ConfigError: an empty shard.
    """
    tasks = list(dict.fromkeys(task.index for task in choose_tasks([suite], config.tasks)))
    protocol = scattered_protocol if config.placement == "scattered" else stored_protocol
    specs = protocol(suite, tasks, config.episodes, config.seed)
    if config.states_of is not None:
        require_same_scene(get_task(suite, tasks[0]), get_task(suite, config.states_of))
    number, count = map(int, config.shard.split("/"))
    if number >= len(specs):
        raise ConfigError(f"shard '{config.shard}' of {len(specs)} episodes is empty: use fewer shards")
    return [
        replace(
            spec,
            placement=config.placement,
            max_steps=config.max_steps,
            instruction=told(config, get_task(suite, spec.task).instruction),
            states_of=config.states_of,
        )
        for spec in specs[number::count]
    ]


def told(config: Config, instruction: str) -> str | None:
    """What the policy is told instead of a task's instruction; None for the instruction itself."""
    return reword(instruction, config.wording) if config.wording else config.instruction


def load_runner(config: Config) -> BatchRunner:
    """The policy, on its device. Only here is torch imported: simulation workers import this file too, and
    would pay two seconds and 0.2 GB each."""
    import torch

    from hilam_core.distributed import own_device
    from hilam_core.policy import load_policy
    from hilam_core.runtime.control import BatchRunner

    torch.set_num_threads(1)  # the other cores simulate
    policy = load_policy(config.policy, str(own_device(config.device)))
    return BatchRunner(policy.prepare(config.precision, config.compile), config.batch)


def make_identity(config: Config, suite: str, runner: BatchRunner) -> dict[str, Any]:
    """Everything beside its own seed and state that decides an episode: results that differ in any of it are
    never in one file."""
    card, policy = runner.policy.card, runner.policy.config
    assets = resolve_assets(config.assets or trained_assets(card))
    return {
        "checkpoint_hash": card["weights_sha256"],
        "plan_period": policy.plan_period,
        "aggregation_decay": policy.aggregation_decay,
        "batch": runner.batch,
        "device": runner.policy.low.positions.device.type,
        "precision": config.precision,
        "compile": config.compile,
        "suite": suite,
        "placement": config.placement,
        "seed": config.seed,
        "instruction": config.instruction,
        "wording": config.wording or None,
        "states_of": config.states_of,
        "max_steps": config.max_steps or MAX_STEPS[suite],
        "assets": assets.kind,
        "assets_hash": assets.content_hash,
        "quality": assets.quality(config.quality),
        "exact": config.exact,
        **({"ros": True} if config.ros else {}),
    }


def result_path(config: Config, identity: dict[str, Any]) -> Path:
    """The file to write: `config.out`, else one of its own for each identity."""
    if config.out is not None:
        return config.out
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    name = f"{config.policy.resolve().name}_{identity['suite']}_{config.placement}_{digest}"
    if config.shard != "0/1":
        name += f"_{config.shard.replace('/', '_of_')}"
    return Path("runs/eval") / f"{name}.json"


def read_episodes(path: Path, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """The episodes that an earlier run left in `path`; DataError when those are of something else."""
    if not path.exists():
        return []
    try:
        before = json.loads(path.read_text())
        different = [name for name in identity if before.get(name) != identity[name]]
        episodes = list(before["episodes"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{path}' is not a result of evaluate.py: {error!r}") from None
    if different:
        name = different[0]
        raise DataError(
            f"'{path}' holds results with {name} {before.get(name)!r}, not {identity[name]!r}: "
            "remove it or choose another --out"
        )
    return episodes


def episode_place(episode: dict[str, Any]) -> tuple[int, int, int]:
    """(task, seed, stored state): which of the episodes of a suite it is."""
    return episode["task"], episode["seed"], episode["init_state"]


def part_path(path: Path, number: int) -> Path:
    """The file of one of several processes, beside the result that they make together."""
    return path.with_name(f".{path.stem}_part{number}.json")


def part_paths(path: Path) -> list[Path]:
    """The parts that there are, those of a run that was stopped included."""
    return sorted(path.parent.glob(f".{path.stem}_part*.json"))


def read_parts(path: Path, identity: dict[str, Any]) -> list[dict[str, Any]]:
    """The episodes of all parts."""
    return [episode for part in part_paths(path) for episode in read_episodes(part, identity)]


def summarise(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Success rate with its 95% Wilson interval, mean length of successful episodes, and mean progress: the
    largest share of the goal's conditions that held at once."""
    wins = [episode["steps"] for episode in episodes if episode["success"]]
    low, high = wilson_interval(len(wins), len(episodes))
    reached = [episode["progress"] for episode in episodes if "progress" in episode]
    return {
        "successes": len(wins),
        "n": len(episodes),
        "rate": round(len(wins) / max(1, len(episodes)), 4),
        "interval": [round(low, 4), round(high, 4)],
        "mean_steps": round(sum(wins) / len(wins), 1) if wins else None,
        "progress": round(sum(reached) / len(reached), 4) if reached else None,
    }


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write the result with its summaries."""
    episodes = result["episodes"]
    names = list(dict.fromkeys(episode["task_name"] for episode in episodes))
    tasks = {name: summarise([e for e in episodes if e["task_name"] == name]) for name in names}
    write_json(path, {**result, "overall": summarise(episodes), "tasks": tasks})


def print_table(result: dict[str, Any]) -> None:
    """What was measured, one line a task, and the whole."""
    episodes = result["episodes"]
    print(
        f"{result['label']} on {result['suite']}, {result['placement']} placements, seed {result['seed']}, "
        f"at most {result['max_steps']} steps; {result['assets']} assets, {result['quality']} quality"
        + (", exact" if result["exact"] else "")
        + (f", told '{result['instruction']}'" if result["instruction"] else "")
    )
    names = list(dict.fromkeys(episode["task_name"] for episode in episodes))
    for name in [*names, None]:
        s = summarise([e for e in episodes if name is None or e["task_name"] == name])
        low, high = s["interval"]
        title = (name or "all").replace("_", " ")
        print(f"{title[:60]:60s} {s['successes']:4d}/{s['n']:<4d} {s['rate']:6.1%}  [{low:.1%}, {high:.1%}]")


def run(config: Config, runner: BatchRunner, specs: list[EpisodeSpec], result: dict, path: Path) -> None:
    """Run the episodes of `specs` that `result` lacks, and add each to it and to the file as it ends: of
    torchrun's processes each runs its part."""
    from hilam_core.distributed import mine

    done = set(map(episode_place, result["episodes"]))
    waiting = mine([spec for spec in specs if (spec.task, spec.seed, spec.init_state) not in done])
    names = {spec.task: get_task(spec.suite, spec.task).name for spec in specs}
    video_dir = writable_folder(config.videos / path.stem) if config.videos else None
    done_before = len(done & {(spec.task, spec.seed, spec.init_state) for spec in specs})
    with tqdm(total=done_before + len(waiting), initial=done_before, unit="episode") as bar:

        def record(episode: EpisodeResult) -> None:
            row = {**asdict(episode.spec), "success": episode.success, "steps": episode.steps}
            if episode.progress is not None:
                row["progress"] = episode.progress
            if episode.video:
                row["video"] = os.path.relpath(episode.video, path.parent)
            result["episodes"].append({**row, "task_name": names[episode.spec.task]})
            wins = sum(e["success"] for e in result["episodes"])
            bar.set_postfix_str(f"{wins}/{len(result['episodes'])} succeeded", refresh=False)
            bar.update()
            write_result(path, result)

        if config.ros:
            launch = {"policy": config.policy.absolute(), "device": config.device, "assets": result["assets"]}
            perform_in_ros(waiting, launch, record)
            return
        settings = {
            "workers": config.workers,
            "image_size": runner.policy.spec.image_size,
            "assets": result["assets"],
            "quality": result["quality"],
            "exact": config.exact,
            "render": bool(runner.policy.spec.cameras),
            "video_dir": video_dir,
        }
        if config.ray is None:
            run_episodes(waiting, runner, on_result=record, **settings)
        else:
            run_on_cluster(config, waiting, record, settings)


def run_on_cluster(
    config: Config,
    specs: Sequence[EpisodeSpec],
    record: Callable[[EpisodeResult], None],
    settings: dict[str, Any],
) -> None:
    """Run the episodes on the machines of a Ray cluster: each evaluator there has the policy, and as many of
    the `config.workers` simulations as keep it busy."""
    each = min(config.workers, 2 * config.batch)
    arguments = (replace(config, ray=None), {**settings, "workers": each})
    with open_pool(config.workers // each, make_evaluator, arguments, config.ray, cpus=each) as pool:
        size = 4 * each  # an evaluator starts its simulations anew for each part
        for start in range(0, len(specs), size):
            pool.submit(start, specs[start : start + size])
        while pool.pending:
            for episode in pool.collect()[1]:
                record(episode)


def make_evaluator(
    config: Config, settings: dict[str, Any]
) -> Callable[[list[EpisodeSpec]], list[EpisodeResult]]:
    """On a machine of a cluster: the function that runs episodes."""
    runner = load_runner(config)
    return lambda specs: run_episodes(specs, runner, **settings)


def main(config: Config) -> None:
    from hilam_core.distributed import process_group

    choose_tasks(config.suite, config.tasks)  # a wrong name ends here, not after the first suite
    with process_group():
        runner = load_runner(config)
        for suite in dict.fromkeys(config.suite):
            evaluate_suite(config, suite, runner)


def evaluate_suite(config: Config, suite: str, runner: BatchRunner) -> None:
    """Run the episodes of one suite, and write and print their result. Of several processes (torchrun) each
    runs its part of the episodes into a file of its own, which the main process joins."""
    from hilam_core.distributed import barrier, is_main_process, processes, rank

    started = time.monotonic()
    specs = make_specs(config, suite)
    identity = make_identity(config, suite, runner)
    warning = assets_warning(runner.policy.card, identity["assets"], identity["assets_hash"])
    if warning and runner.policy.spec.cameras:
        print(warning, file=sys.stderr)
    path = result_path(config, identity)
    writable_folder(path.parent)
    with sole_writer(path) if is_main_process() else nullcontext():
        result = {
            "label": config.label or config.policy.resolve().name,
            "policy": str(config.policy),
            "commit": runner.policy.card.get("commit"),
            "share": runner.policy.card.get("program", {}).get("share", 1.0),
            **identity,
            "shard": config.shard,
            "command": shlex.join(["evaluate.py", *sys.argv[1:]]),
            "episodes": read_episodes(path, identity) + read_parts(path, identity),
        }
        found = len(result["episodes"])
        barrier()  # all know what is done before the first part changes
        try:
            run(config, runner, specs, result, path if processes() == 1 else part_path(path, rank()))
            barrier()
        finally:  # printed before it is written: a full disk, an error or Ctrl-C loses no result
            if is_main_process():
                result["episodes"] += read_parts(path, identity)
                order = {(spec.task, spec.seed, spec.init_state): i for i, spec in enumerate(specs)}
                found_once = {episode_place(e): e for e in result["episodes"]}
                result["episodes"] = sorted(
                    found_once.values(), key=lambda e: order.get(episode_place(e), len(order))
                )
                if result["episodes"]:
                    print_table(result)
        if is_main_process():
            write_result(path, result)
            for part in part_paths(path):
                part.unlink()
    count, hours = len(result["episodes"]) - found, (time.monotonic() - started) / 3600
    print(f"{path}: {count} episodes in {60 * hours:.1f} minutes, {count / hours:.0f} an hour")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_program(main, Config)
