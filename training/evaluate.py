"""Measure a policy's success over stored or scattered placements.

    python training/evaluate.py checkpoints/libero_object --episodes 20
    python training/evaluate.py checkpoints/libero_object --placement scattered --episodes 20 --videos
    runs/videos

Writes one JSON file: every episode with seed, success and steps, success rates with 95% Wilson intervals, the
checkpoint's hash and the command. The file is rewritten atomically as episodes end; the same command
continues an interrupted one.
"""

import json
import os
import shlex
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm

from hilam_core.cards import load_card, load_whole_card
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import write_json
from hilam_core.program import run_program
from hilam_core.runtime.control import load_runner
from hilam_core.statistics import wilson_interval
from hilam_sim.assets import resolve_assets
from hilam_sim.protocol import scattered_protocol, stored_protocol
from hilam_sim.rollout import EpisodeResult, EpisodeSpec, run_episodes
from hilam_sim.tasks import get_task, list_tasks


@dataclass
class Config:
    """Measure a policy's success in simulation."""

    policy: Annotated[Path, tyro.conf.Positional]
    """Policy checkpoint, flat or hierarchical."""
    suite: str = "libero_object"
    """LIBERO suite."""
    tasks: tuple[int, ...] = ()
    """Task numbers; all of the suite when empty."""
    placement: Literal["stored", "scattered"] = "stored"
    """stored: LIBERO's 50 initial states, in order; scattered: objects anywhere within reach."""
    episodes: int = 20
    """Episodes a task."""
    seed: int = 0
    """Seed of the simulation; scattered placements follow from it."""
    max_steps: int | None = None
    """Steps until an episode counts as failed; by default the suite's limit."""
    workers: int = 1
    """Parallel simulations, one thread each."""
    out: Path | None = None
    """File to write; by default runs/eval/<policy>_<placement>.json."""
    label: str | None = None
    """Name in reports; by default the checkpoint's folder."""
    videos: Path | None = None
    """Folder for a video of each episode."""
    assets: Literal["auto", "builtin", "official"] = "auto"
    """What the simulation is drawn from."""
    quality: Literal["auto", "fast", "stock"] = "auto"
    """How it is drawn: stock, as LIBERO draws; fast; auto, stock with official assets and else fast."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ConfigError(f"episodes must be at least 1, got {self.episodes}")


def make_specs(config: Config) -> list[EpisodeSpec]:
    """The episodes of the protocol, task by task."""
    tasks = config.tasks or tuple(task.index for task in list_tasks(config.suite))
    protocol = stored_protocol if config.placement == "stored" else scattered_protocol
    specs = protocol(config.suite, tasks, config.episodes, config.seed)
    return [replace(spec, max_steps=config.max_steps) for spec in specs]


def new_result(config: Config) -> dict[str, Any]:
    """A result without episodes."""
    card = load_whole_card(config.policy, "policy")  # damaged weights end here, not in a worker
    return {
        "label": config.label or config.policy.resolve().name,
        "policy": str(config.policy),
        "checkpoint_hash": card["weights_sha256"],
        "commit": card.get("commit"),
        "suite": config.suite,
        "placement": config.placement,
        "seed": config.seed,
        "max_steps": config.max_steps,
        "assets": resolve_assets(config.assets).kind,
        "quality": config.quality,
        "command": shlex.join(["evaluate.py", *sys.argv[1:]]),
        "episodes": [],
    }


def resume(result: dict[str, Any], path: Path) -> dict[str, Any]:
    """The episodes that an earlier run left in `path`; DataError when those are of something else."""
    if not path.exists():
        return result
    try:
        before = {"quality": "auto", **json.loads(path.read_text())}
        for name in ("checkpoint_hash", "suite", "placement", "seed", "max_steps", "assets", "quality"):
            if before[name] != result[name]:
                raise DataError(
                    f"{path} holds results with {name} {before[name]!r}, not {result[name]!r}: "
                    "remove it or choose another --out"
                )
        return {**result, "episodes": before["episodes"]}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a result of evaluate.py: {error!r}") from None


def summarise(episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Success rate with its 95% Wilson interval and the mean length of successful episodes."""
    wins = [episode["steps"] for episode in episodes if episode["success"]]
    low, high = wilson_interval(len(wins), len(episodes))
    return {
        "successes": len(wins),
        "n": len(episodes),
        "rate": round(len(wins) / max(1, len(episodes)), 4),
        "interval": [round(low, 4), round(high, 4)],
        "mean_steps": round(sum(wins) / len(wins), 1) if wins else None,
    }


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write the result with its summaries."""
    episodes = result["episodes"]
    names = list(dict.fromkeys(episode["task_name"] for episode in episodes))
    tasks = {name: summarise([e for e in episodes if e["task_name"] == name]) for name in names}
    write_json(path, {**result, "overall": summarise(episodes), "tasks": tasks})


def print_table(result: dict[str, Any]) -> None:
    """One line a task, and the whole."""
    episodes = result["episodes"]
    names = list(dict.fromkeys(episode["task_name"] for episode in episodes))
    for name in [*names, None]:
        s = summarise([e for e in episodes if name is None or e["task_name"] == name])
        low, high = s["interval"]
        title = (name or f"all, {result['placement']} placements").replace("_", " ")
        print(f"{title[:60]:60s} {s['successes']:4d}/{s['n']:<4d} {s['rate']:6.1%}  [{low:.1%}, {high:.1%}]")


def main(config: Config) -> None:
    path = config.out or Path("runs/eval") / f"{config.policy.resolve().name}_{config.placement}.json"
    specs = make_specs(config)
    result = resume(new_result(config), path)
    done = {(e["task"], e["seed"], e["init_state"]) for e in result["episodes"]}
    waiting = [spec for spec in specs if (spec.task, spec.seed, spec.init_state) not in done]
    policy = load_card(config.policy)["config"]
    names = {spec.task: get_task(config.suite, spec.task).name for spec in specs}
    started = time.monotonic()
    with tqdm(total=len(specs), initial=len(specs) - len(waiting), unit="episode") as bar:

        def record(episode: EpisodeResult) -> None:
            row = {**asdict(episode.spec), "success": episode.success, "steps": episode.steps}
            result["episodes"].append({**row, "task_name": names[episode.spec.task]})
            write_result(path, result)
            wins = sum(e["success"] for e in result["episodes"])
            bar.set_postfix_str(f"{wins}/{len(result['episodes'])} succeeded", refresh=False)
            bar.update()

        run_episodes(
            waiting,
            partial(load_runner, str(config.policy)),
            workers=min(config.workers, max(1, len(waiting))),
            image_size=policy["image_size"],
            assets=config.assets,
            quality=config.quality,
            render=bool(policy["low"]["cameras"]),
            on_result=record,
            video_dir=config.videos,
        )
    order = {(spec.task, spec.seed, spec.init_state): i for i, spec in enumerate(specs)}
    result["episodes"].sort(key=lambda e: order.get((e["task"], e["seed"], e["init_state"]), len(order)))
    write_result(path, result)
    print_table(result)
    print(f"{path}: {len(waiting)} episodes in {(time.monotonic() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_program(main, Config)
