r"""How boundaries of skills agree with the expert's phases, beside other ways to cut latent actions.

    python training/score_boundaries.py --skills data/libero_object/skills.h5 \
        --latents data/libero_object/latents.h5 --data data/libero_object

Reads skills, the latent actions they were made of, and demonstrations with phases. Scores every way on the
held-out demonstrations at the same number of cuts, the model's own and the true one: F1 within 3 and 5
frames, normalised mutual information, edit score, segments of one frame. Even and random cuts know nothing;
change points and clusters of z^l need no learning; the two networks were told the phases of the training
demonstrations, and change points of the hand's recorded motion see what no camera shows: ceilings.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from hilam_core.data import (
    Episode,
    LatentStore,
    ReadConfig,
    SkillStore,
    read_demonstrations,
    split_held_out,
)
from hilam_core.errors import ConfigError, DataError
from hilam_core.files import write_json
from hilam_core.lam.decode import hand_motion
from hilam_core.program import run_program
from hilam_core.skills.evaluate import (
    boundary_scores,
    edit_score,
    even_cuts,
    mutual_information,
    phase_boundaries,
)
from hilam_core.skills.rivals import Candidates, change_points, sticky_clusters, strongest, supervised

Cuts = dict[str, list[int]]


@dataclass
class Config:
    """Score boundaries beside other ways to cut."""

    skills: Path = Path("data/libero_object/skills.h5")
    """Skills: a file written by extract_skills."""
    latents: Path = Path("data/libero_object/latents.h5")
    """The latent actions they were made of."""
    data: list[Path] = field(default_factory=lambda: [Path("data/libero_object")])
    """The demonstrations, with the expert's phases."""
    read: tyro.conf.OmitArgPrefixes[ReadConfig] = field(default_factory=ReadConfig)
    """What to read of the data."""
    stage: int | None = None
    """Stage of the skill model to score, by default its last."""
    tolerances: tuple[int, ...] = (3, 5)
    """A boundary counts as found within so many frames."""
    steps: int = 300
    """Optimisation steps of the supervised networks."""
    out: Path | None = None
    """JSON file for the table."""
    seed: int = 0
    """Seed of random cuts, clusters and networks."""

    def __post_init__(self) -> None:
        if not self.tolerances or min(self.tolerances) < 0:
            raise ConfigError(f"tolerances must be one or more numbers from 0, got {self.tolerances}")


def main(config: Config) -> None:
    latents, skills = LatentStore.read(config.latents), SkillStore.read(config.skills)
    latents.lineage.require(config.latents, skills.lineage, config.skills)
    episodes = read_demonstrations(config.data, latents.lineage.cameras, config.read)
    latents.require_clips(episodes)
    skills.require_clips(episodes)
    training, held_out = split_held_out([episode for episode in episodes if episode.phases])
    if not training or not held_out:
        raise DataError(
            f"{len(episodes)} demonstrations, {len(training) + len(held_out)} with phases: too few"
        )
    stage = skills.stages if config.stage is None else config.stage
    if not 1 <= stage <= skills.stages:
        raise ConfigError(f"stage must be 1 to {skills.stages}, got {stage}")
    own = {e.key: [t for t in np.flatnonzero(skills[e.key][f"b{stage}"]).tolist() if t > 0] for e in held_out}
    strength = {key: (np.array(cuts, int), skills[key][f"p{stage}"][cuts]) for key, cuts in own.items()}
    ways = {"skill model": lambda count: strongest(strength, count)} | rivals(
        config, latents, training, held_out
    )
    true = sum(len(phase_boundaries(e.phases or [])) for e in held_out)
    rows = []
    for title, count in (("the model's own count", sum(map(len, own.values()))), ("the true count", true)):
        print(f"at {title}: {count / len(held_out):.1f} cuts an episode, {len(held_out)} episodes")
        for name, way in ways.items():
            scores = score(way(count), held_out, config.tolerances)
            rows.append({"way": name, "count": count, **scores})
            print(f"  {name:34s}", "  ".join(f"{key} {value:.2f}" for key, value in scores.items()))
    if config.out is not None:
        write_json(config.out, {"skills": skills.attrs, "stage": stage, "true": true, "rows": rows})


def rivals(
    config: Config, store: LatentStore, training: list[Episode], held_out: list[Episode]
) -> dict[str, Callable[[int], Cuts]]:
    """By name, how to make a number of cuts in the held-out demonstrations."""
    gap, rng = store.lineage.gap, np.random.default_rng(config.seed)
    latents = {e.key: store[e.key]["z"][: int(store[e.key]["valid"])] for e in (*training, *held_out)}
    known = {e.key: phase_boundaries(e.phases or []) for e in training}
    fitted, tested = [e.key for e in training], [e.key for e in held_out]
    lengths = {e.key: len(e) for e in held_out}

    def shared_out(count: int) -> dict[str, int]:
        """Cuts of each episode, by its length."""
        ends = np.round(np.cumsum(list(lengths.values())) * count / sum(lengths.values())).astype(int)
        return dict(zip(lengths, np.diff(ends, prepend=0).tolist(), strict=True))

    def random(count: int) -> Cuts:
        shares = shared_out(count)
        return {k: sorted(rng.choice(np.arange(1, n), shares[k], False).tolist()) for k, n in lengths.items()}

    def by_strength(candidates: dict[str, Candidates]) -> Callable[[int], Cuts]:
        return lambda count: strongest(candidates, count)

    ways: dict[str, Callable[[int], Cuts]] = {
        "even": lambda count: {k: even_cuts(n, shared_out(count)[k]) for k, n in lengths.items()},
        "random": random,
        "change points of z^l": by_strength({key: change_points(latents[key], gap) for key in tested}),
        "sticky clusters of z^l": lambda count: sticky_clusters(
            latents, fitted, tested, count, seed=config.seed
        ),
    }
    if all(e.has_gripper for e in held_out):
        motions = {e.key: hand_motion(e) for e in held_out}
        scale = np.concatenate(list(motions.values())).std(0) + 1e-9
        ways["change points of the hand's motion"] = by_strength(
            {key: change_points(motion / scale) for key, motion in motions.items()}
        )
    for name, two_way in (("3 frames late", False), ("both ways", True)):
        ways[f"network told phases, {name}"] = by_strength(
            supervised(latents, known, fitted, tested, two_way, config.steps, config.seed)
        )
    return ways


def score(cuts: Cuts, episodes: list[Episode], tolerances: tuple[int, ...]) -> dict[str, float]:
    """How cuts agree with the phases of the episodes."""
    pairs = [(cuts[e.key], phase_boundaries(e.phases or [])) for e in episodes]
    lengths = np.concatenate([np.diff([0, *cuts[e.key], len(e)]) for e in episodes])
    values = {f"f1@{tolerance}": boundary_scores(pairs, tolerance)["f1"] for tolerance in tolerances}
    named = [(cuts[e.key], e.phases or []) for e in episodes]
    values["nmi"] = float(np.mean([mutual_information(*pair) for pair in named]))
    values["edit"] = float(np.mean([edit_score(*pair) for pair in named]))
    values["one_frame"] = float((lengths == 1).mean())
    return {name: round(value, 3) for name, value in values.items()}


if __name__ == "__main__":
    run_program(main, Config)
