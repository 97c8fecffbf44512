"""Judging a skill model: what it predicts, and how its boundaries agree with known phase changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import torch

from hilam_core.device import to_device
from hilam_core.distributed import total
from hilam_core.skills.batches import SkillBatches
from hilam_core.skills.model import SkillModel, to_frame_rate

Pair = tuple[Sequence[int], Sequence[int]]


@torch.no_grad()
def evaluate_skills(model: SkillModel, batches: SkillBatches, batch_size: int = 64) -> dict[str, float]:
    """Held-out l1 of the next latent action over repeating the last one, and segment lengths in frames.
    Under torchrun over the batches of all processes, which have clips of their own."""
    device = next(model.parameters()).device
    sums: dict[str, float] = defaultdict(float)
    for start in range(0, len(batches.z), batch_size):
        indices = range(start, min(start + batch_size, len(batches.z)))
        batch = to_device(batches.batch(list(indices), np.random.default_rng(0), 0), device)
        z, mask = batch["z"], batch["mask"]
        predicted, routes = model(z, mask, batch.get("language"))
        errors = (predicted[:, :-1] - z[:, 1:]).abs()[mask[:, 1:]]
        repeats = (z[:, :-1] - z[:, 1:]).abs()[mask[:, 1:]]
        sums["numbers"] += errors.numel()
        sums["frames"] += int(mask.sum())
        sums["errors"] += float(errors.double().sum())
        sums["repeats"] += float(repeats.double().sum())
        for s, skills in enumerate(to_frame_rate(routes), 1):
            sums[f"segments{s}"] += int((skills.b & mask).sum())
    everything = total(sums)
    error, repeat = (everything[name] / everything["numbers"] for name in ("errors", "repeats"))
    metrics = {"latent_l1": error, "repeat_l1": repeat, "gain_over_repeat": 1 - error / max(repeat, 1e-9)}
    for s in range(1, len(model.config.chunk_lengths) + 1):
        metrics[f"segment_frames{s}"] = everything["frames"] / everything[f"segments{s}"]
    return metrics


def matches(predicted: Sequence[int], true: Sequence[int], tolerance: int) -> int:
    """Most one-to-one pairs of (predicted, true) times at most `tolerance` steps apart; both sorted."""
    i = j = found = 0
    while i < len(predicted) and j < len(true):
        if abs(predicted[i] - true[j]) <= tolerance:
            found, i, j = found + 1, i + 1, j + 1
        elif predicted[i] < true[j]:
            i += 1
        else:
            j += 1
    return found


def boundary_scores(pairs: Sequence[Pair], tolerance: int) -> dict[str, float]:
    """Precision, recall and F1 over all episodes of (predicted, true) boundary times."""
    found = sum(matches(p, t, tolerance) for p, t in pairs)
    n_predicted, n_true = sum(len(p) for p, _ in pairs), sum(len(t) for _, t in pairs)
    precision, recall = found / max(n_predicted, 1), found / max(n_true, 1)
    f1 = 2 * found / max(n_predicted + n_true, 1)
    return {"precision": precision, "recall": recall, "f1": f1}


def recall_by_phase(
    pairs: Mapping[str, Pair], phases: Mapping[str, Sequence[str]], tolerance: int
) -> dict[str, float]:
    """For each phase, the share of its beginnings that have a predicted boundary within `tolerance` steps."""
    found: dict[str, list[bool]] = {}
    for key, (predicted, true) in pairs.items():
        for t in true:
            near = any(abs(p - t) <= tolerance for p in predicted)
            found.setdefault(phases[key][t], []).append(near)
    return {f"recall_{phase}": float(np.mean(hits)) for phase, hits in found.items()}


def phase_boundaries(phases: Sequence[str]) -> list[int]:
    """Steps at which the phase differs from the step before."""
    return [t for t in range(1, len(phases)) if phases[t] != phases[t - 1]]


def segmentation_report(
    skills: Mapping[str, dict[str, np.ndarray]],
    phases: Mapping[str, Sequence[str]],
    stage: int,
    tolerances: Sequence[int] = (3, 5),
    shift: int = 0,
    seed: int = 0,
) -> dict[str, float]:
    """How the boundaries of stage `stage` agree with `phases`: precision, recall and F1 within each tolerance
    (`f1@3`), beside those of cutting the same number of segments evenly or at random; and segment lengths.

    shift: added to predicted times; k // 2 puts a boundary in the middle of the frames its z^l spans.
    """
    rng = np.random.default_rng(seed)
    pairs: dict[str, list[Pair]] = {"": [], "even_": [], "random_": []}
    for key, names in phases.items():
        true, length = phase_boundaries(names), len(names)
        times = np.flatnonzero(skills[key][f"b{stage}"]).tolist()
        cuts = [t + shift for t in times if t > 0 and t + shift < length]
        pairs[""].append((cuts, true))
        pairs["even_"].append((even_cuts(length, len(cuts)), true))
        for _ in range(20):
            random = rng.choice(np.arange(1, length), len(cuts), replace=False)
            pairs["random_"].append((sorted(random.tolist()), true))
    lengths = np.concatenate([segment_lengths(skills[key][f"segment{stage}"]) for key in phases])
    report = {
        f"{name}{metric}@{tolerance}": value
        for tolerance in tolerances
        for name, rows in pairs.items()
        for metric, value in boundary_scores(rows, tolerance).items()
    }
    return {
        **report,
        **recall_by_phase(dict(zip(phases, pairs[""], strict=True)), phases, max(tolerances)),
        "segment_frames_mean": float(lengths.mean()),
        "segment_frames_10": float(np.percentile(lengths, 10)),
        "segment_frames_90": float(np.percentile(lengths, 90)),
        "one_frame_segments": float((lengths == 1).mean()),
        "segments_per_episode": len(lengths) / len(phases),
        "phases_per_episode": float(np.mean([len(t) + 1 for _, t in pairs[""]])),
    }


def mutual_information(cuts: Sequence[int], names: Sequence[str]) -> float:
    """Normalised mutual information, 0 to 1, of the segments between `cuts` and those of equal phase."""
    length = len(names)
    both = (cuts, phase_boundaries(names))
    first, second = (np.bincount(times, minlength=length).cumsum() for times in both)
    joint = np.zeros((first[-1] + 1, second[-1] + 1))
    np.add.at(joint, (first, second), 1 / length)
    rows, columns = joint.sum(1), joint.sum(0)
    seen = joint > 0
    shared = float((joint[seen] * np.log(joint[seen] / np.outer(rows, columns)[seen])).sum())
    entropies = [-float((p[p > 0] * np.log(p[p > 0])).sum()) for p in (rows, columns)]
    return shared / max(float(np.mean(entropies)), 1e-9)


def edit_score(cuts: Sequence[int], names: Sequence[str]) -> float:
    """1 less the edit distance of the two sequences of phases, over the longer one: each segment between
    `cuts` counts as the phase of most of its frames, neighbours of one phase as one."""
    edges = [0, *cuts, len(names)]
    found = [Counter(names[a:b]).most_common(1)[0][0] for a, b in pairwise(edges) if a < b]
    first, second = ([name for name, _ in groupby(sequence)] for sequence in (found, names))
    row = list(range(len(second) + 1))
    for i, name in enumerate(first, 1):
        above, row = row, [i]
        for j, other in enumerate(second, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (name != other)))
    return 1 - row[-1] / max(len(first), len(second))


def even_cuts(length: int, count: int) -> list[int]:
    """Times of `count` cuts that divide `length` steps evenly."""
    return [round(length * (i + 1) / (count + 1)) for i in range(count)]


def segment_lengths(segments: np.ndarray) -> np.ndarray:
    """Steps in each segment, from segment numbers [T]."""
    return np.unique(segments, return_counts=True)[1]


@dataclass(frozen=True)
class Segment:
    """One segment of an episode: its frames, its skill vector [D], and the phase of most of its frames."""

    key: str
    start: int
    stop: int
    vector: np.ndarray
    phase: str


def segments_of(
    skills: Mapping[str, dict[str, np.ndarray]], phases: Mapping[str, Sequence[str]], stage: int
) -> list[Segment]:
    """All segments of stage `stage` of the episodes in `phases`."""
    found = []
    for key, names in phases.items():
        numbers = skills[key][f"segment{stage}"]
        for number in np.unique(numbers):
            frames = np.flatnonzero(numbers == number)
            start, stop = int(frames[0]), int(frames[-1]) + 1
            phase = Counter(names[start:stop]).most_common(1)[0][0]
            found.append(Segment(key, start, stop, skills[key][f"z{stage}"][start], phase))
    return found


def nearest_segments(segments: Sequence[Segment], count: int) -> list[list[int]]:
    """For each segment the `count` others with the most similar vectors (cosine), none of its own episode."""
    vectors = np.stack([segment.vector for segment in segments]).astype(np.float64)
    vectors -= vectors.mean(0)  # what all have in common tells nothing apart
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    similarity, keys = vectors @ vectors.T, np.array([segment.key for segment in segments])
    similarity[keys[:, None] == keys] = -np.inf
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return [[int(j) for j in row if similarity[i, j] > -np.inf] for i, row in enumerate(order)]


def neighbour_report(segments: Sequence[Segment], count: int = 5) -> dict[str, float]:
    """Purity of phases: the share of the `count` nearest segments of other episodes that have the same phase,
    over all segments and by phase, and what it would be by chance. Needs two episodes."""
    shares: dict[str, list[float]] = {}
    for segment, near in zip(segments, nearest_segments(segments, count), strict=True):
        if near:
            same = float(np.mean([segments[j].phase == segment.phase for j in near]))
            shares.setdefault(segment.phase, []).append(same)
    frequency = np.array(list(Counter(segment.phase for segment in segments).values())) / len(segments)
    everything = [share for group in shares.values() for share in group]
    return {
        "purity": float(np.mean(everything)),
        "purity_chance": float((frequency**2).sum()),
        **{f"purity_{phase}": float(np.mean(group)) for phase, group in shares.items()},
    }
