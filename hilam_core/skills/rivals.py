"""Other ways to cut latent actions into segments, to judge the skill model by.

A detector gives each clip candidate times with strengths; the strongest of all clips together are its cuts,
as many as it is asked for, so that all are compared at one count. The supervised ones are ceilings: they are
fitted to the phases of the training clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.cluster.vq import kmeans2
from scipy.signal import find_peaks, peak_prominences
from torch import Tensor, nn

Candidates = tuple[np.ndarray, np.ndarray]
"""(times, strengths) of one clip."""


def strongest(candidates: Mapping[str, Candidates], count: int) -> dict[str, list[int]]:
    """The times of the `count` strongest candidates of all clips together."""
    strengths = np.concatenate([strength for _, strength in candidates.values()])
    count = min(max(count, 1), len(strengths))
    threshold = np.sort(strengths)[-count] if len(strengths) else 0.0
    return {key: times[strength >= threshold].tolist() for key, (times, strength) in candidates.items()}


def window_change(x_TD: np.ndarray, width: int) -> np.ndarray:
    """How far the mean of the next `width` rows is from that of the last ones, [T]."""
    sums = np.vstack([np.zeros(x_TD.shape[1]), np.cumsum(x_TD, 0)])
    change = np.zeros(len(x_TD))
    at = np.arange(width, len(x_TD) - width + 1)
    change[at] = np.linalg.norm(sums[at + width] - 2 * sums[at] + sums[at - width], axis=1) / width
    return change


def change_points(x_TD: np.ndarray, echo: int = 0, distance: int = 5) -> Candidates:
    """Peaks of the change of a sequence, at least `distance` apart.

    echo: k, where every change shows twice, k steps apart, as in latent actions: when I_{t+k} crosses it and
    when I_t does; both are added up.
    """
    change = sum(c / max(c.std(), 1e-9) for c in (window_change(x_TD, width) for width in (2, 4)))
    score = change + np.concatenate([np.zeros(echo), change[:-echo]]) if echo else change
    return peaks(score, distance)


def peaks(score: np.ndarray, distance: int) -> Candidates:
    """Peaks at least `distance` steps apart, the higher of two that are nearer, as strong as they stand out
    within twice that distance (their prominence)."""
    times, _ = find_peaks(score, distance=distance)
    prominence, _, _ = peak_prominences(score, times, wlen=4 * distance + 1)
    return times, prominence


def sticky_clusters(
    latents: Mapping[str, np.ndarray], training: Sequence[str], others: Sequence[str], count: int,
    clusters: int = 3, seed: int = 0,
) -> dict[str, list[int]]:  # fmt: skip
    """Cuts of `others` where the nearest of some k-means centres changes, a change costing so much that there
    are about `count` cuts. The centres are those of the training clips."""
    rows = np.concatenate([latents[key] for key in training])
    mean, scale = rows.mean(0), rows.std(0) + 1e-9
    centres, _ = kmeans2((rows - mean) / scale, clusters, minit="++", seed=seed)
    costs = {
        key: np.square(((latents[key] - mean) / scale)[:, None] - centres[None]).sum(-1) for key in others
    }
    low, high = 0.0, float(max(cost.max() for cost in costs.values())) * 50
    for _ in range(20):  # more than enough to tell whole numbers of cuts apart
        price = (low + high) / 2
        cuts = {key: _changes(cost, price) for key, cost in costs.items()}
        too_many = sum(map(len, cuts.values())) > count
        low, high = (price, high) if too_many else (low, price)
    return cuts


def _changes(cost_TK: np.ndarray, price: float) -> list[int]:
    """Steps at which the cheapest path of states changes (Viterbi)."""
    total, back = cost_TK[0].copy(), []
    for cost in cost_TK[1:]:
        best = int(total.argmin())
        stay = total <= total[best] + price
        back.append(np.where(stay, np.arange(len(total)), best))
        total = np.where(stay, total, total[best] + price) + cost
    state = int(total.argmin())
    states = [state]
    for step in reversed(back):
        state = int(step[state])
        states.append(state)
    path = np.array(states[::-1])
    return (np.flatnonzero(np.diff(path)) + 1).tolist()


class Supervised(nn.Module):
    """A boundary's probability at each step, by an LSTM that is told the boundaries of training clips."""

    def __init__(self, latent_dim: int, two_way: bool, delay: int = 0, width: int = 64) -> None:
        """delay: steps that it looks ahead where it does not look both ways."""
        super().__init__()
        self.delay = 0 if two_way else delay
        self.lstm = nn.LSTM(latent_dim, width, batch_first=True, bidirectional=two_way)
        self.head = nn.Linear(width * (1 + two_way), 1)

    def forward(self, z_BTZ: Tensor) -> Tensor:
        """Logits [B, T]."""
        ahead = F.pad(z_BTZ, (0, 0, 0, self.delay))
        return self.head(self.lstm(ahead)[0]).squeeze(-1)[:, self.delay :]


def supervised(
    latents: Mapping[str, np.ndarray],
    boundaries: Mapping[str, Sequence[int]],
    training: Sequence[str],
    others: Sequence[str],
    two_way: bool,
    steps: int = 300,
    seed: int = 0,
) -> dict[str, Candidates]:
    """Candidates of `others` by a network fitted to the boundaries of the training clips."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = np.concatenate([latents[key] for key in training])
    mean, scale = rows.mean(0), rows.std(0) + 1e-9
    x = {key: torch.from_numpy(((z - mean) / scale).astype(np.float32)) for key, z in latents.items()}
    model = Supervised(rows.shape[1], two_way, delay=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        chosen = [training[i] for i in rng.integers(0, len(training), 16)]
        batch = nn.utils.rnn.pad_sequence([x[key] for key in chosen], batch_first=True)
        target, weight = torch.zeros(batch.shape[:2]), torch.zeros(batch.shape[:2])
        for row, key in enumerate(chosen):
            weight[row, : len(x[key])] = 1
            for t in boundaries[key]:
                target[row, max(0, t - 1) : min(t + 2, len(x[key]))] = 1
        loss = F.binary_cross_entropy_with_logits(model(batch), target, weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        scores = {key: model(x[key][None])[0].sigmoid().numpy() for key in others}
    return {key: peaks(score, 5) for key, score in scores.items()}
