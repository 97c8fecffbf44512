"""What latent actions tell of the robot's motion: probes fitted to labels, judged on held-out episodes.

Nothing here trains a model of the project. Beside z^l stand two features that need no learning from video:
principal components of frame differences, and the same network with random weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from hilam_core.data import Clip, Episode
from hilam_core.lam.decode import explained, fit_decoder
from hilam_core.lam.protocol import to_input
from hilam_core.observation import proprioception

MOTION = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
# Below this standard deviation a motion is that of a controller that holds still: m, rad, m.
STILL = np.array([1e-3] * 3 + [5e-3] * 3 + [1e-4])
DIFFERENCE_PX = 16  # side of the frames whose differences are compressed


def motion_over_gap(episode: Episode, gap: int) -> np.ndarray:
    """How the hand moves from t to t+k, float64 [T - k, 7]: m, rotation vector from downward in rad, opening
    in m, of an episode with pose and fingers."""
    states = (episode.states[name] for name in ("ee_pos", "ee_quat", "gripper_qpos"))
    pose = proprioception(*states).astype(np.float64)
    pose = np.column_stack([pose[:, :6], pose[:, 6] - pose[:, 7]])
    motion = pose[gap:] - pose[:-gap]
    motion[:, 3:6] = (motion[:, 3:6] + np.pi) % (2 * np.pi) - np.pi  # the shorter way round
    return motion


def frame_differences(clip: Clip, cameras: Sequence[str], gap: int) -> np.ndarray:
    """I_{t+k} - I_t of all cameras at a small size, float32 [T - k, D]."""
    views = [to_input(np.asarray(clip.frames[camera][:]), DIFFERENCE_PX).flatten(1) for camera in cameras]
    return torch.cat([view[gap:] - view[:-gap] for view in views], 1).numpy()


def principal_components(
    training: Sequence[np.ndarray], others: Mapping[str, np.ndarray], count: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """`others` [T, D] by the first `count` principal components of `training`."""
    rows = torch.from_numpy(np.concatenate(training))
    mean = rows.mean(0)
    torch.manual_seed(seed)
    _, _, axes = torch.pca_lowrank(rows - mean, q=min(count, *rows.shape), center=False)
    return {key: ((torch.from_numpy(x) - mean) @ axes).numpy() for key, x in others.items()}


def linear_r2(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> np.ndarray:
    """R^2 [C] of a linear map from features [N, Z] to targets [N, C], on the test rows."""
    mean, scale = x.mean(0), x.std(0) + 1e-9
    x, x_test = ((np.column_stack([(v - mean) / scale, np.ones(len(v))])) for v in (x, x_test))
    # Features of unit variance: a ridge of 1e-3 only steadies directions that hardly vary.
    weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ y)
    return explained([x_test @ weights], [y_test])


def probes(
    features: Mapping[str, np.ndarray],
    motions: Mapping[str, np.ndarray],
    labelled: Sequence[str],
    held_out: Sequence[str],
    steps: int = 2000,
    seed: int = 0,
) -> Iterator[tuple[str, np.ndarray]]:
    """("linear" or "network", R^2 [7] on the held-out clips) of probes fitted to the labelled ones; NaN for
    a motion that hardly varies.

    features, motions: by clip, [T - k, Z] and [T - k, 7].
    """
    x, x_test = ([features[key] for key in keys] for keys in (labelled, held_out))
    y, y_test = ([motions[key] for key in keys] for keys in (labelled, held_out))
    stacked = (np.concatenate(part).astype(np.float64) for part in (x, y, x_test, y_test))
    moves = np.concatenate(y_test).std(0) > STILL
    yield "linear", np.where(moves, linear_r2(*stacked), np.nan)
    network = fit_decoder(x, y, gap=0, steps=steps, seed=seed)
    yield "network", np.where(moves, explained([network.decode(part) for part in x_test], y_test), np.nan)
