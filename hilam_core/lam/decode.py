"""Reading actions off latent actions: a small network fitted to the few demonstrations that have labels.

It turns video into demonstrations: the actions decoded from z^l, and the path of the hand and the fingers,
integrated from decoded velocities, take the place of those that were not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.data import Clip, Episode
from hilam_core.errors import DataError

HAND = 4
"""Numbers of the hand beside the action: its velocity (m a step, 3) and the opening of the fingers (m)."""


class ActionDecoder(nn.Module):
    """The action at t from z^l_{t-k}..z^l_{t+k/2}: every latent action whose frames span t, and some after.

    Both sides are normalised by the statistics of what it was fitted to.
    """

    input_mean: Tensor
    input_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(self, latent_dim: int, gap: int, outputs: int, width: int = 256) -> None:
        super().__init__()
        self.back, self.ahead = gap, gap // 2
        inputs = latent_dim * (self.back + 1 + self.ahead)
        self.net = nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(width, outputs),
        )  # fmt: skip
        for name, count in (("input_mean", inputs), ("output_mean", outputs)):
            self.register_buffer(name, torch.zeros(count))
        for name, count in (("input_std", inputs), ("output_std", outputs)):
            self.register_buffer(name, torch.ones(count))

    def windows(self, z_TZ: np.ndarray) -> Tensor:
        """The latent actions around each step, [T, inputs]; the first and the last are repeated."""
        padded = np.pad(z_TZ, ((self.back, self.ahead), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.back + 1 + self.ahead, 0)
        return torch.from_numpy(windows.reshape(len(z_TZ), -1).astype(np.float32))

    def forward(self, windows: Tensor) -> Tensor:
        x = (windows - self.input_mean) / self.input_std
        return self.net(x) * self.output_std + self.output_mean

    @torch.no_grad()
    def decode(self, z_TZ: np.ndarray) -> np.ndarray:
        """float32 [T, outputs]."""
        return self(self.windows(z_TZ).to(self.output_mean.device)).cpu().numpy()


def fit_decoder(
    latents: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    gap: int,
    steps: int = 2000,
    seed: int = 0,
    device: str = "cpu",
) -> ActionDecoder:
    """A decoder of `targets` [T, C] of each episode from its z^l [T, Z], by l1 in normalised units."""
    torch.manual_seed(seed)
    model = ActionDecoder(latents[0].shape[1], gap, targets[0].shape[1])
    x = torch.cat([model.windows(z) for z in latents])
    y = torch.from_numpy(np.concatenate(targets).astype(np.float32))
    for name, values in (("input", x), ("output", y)):
        getattr(model, f"{name}_mean").copy_(values.mean(0))
        getattr(model, f"{name}_std").copy_(values.std(0).clamp(min=1e-3 * float(values.std(0).max()) + 1e-9))
    model, x, y = model.to(device).train(), x.to(device), y.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (256,), device=device)
        loss = F.l1_loss((model(x[rows]) - y[rows]) / model.output_std, torch.zeros_like(y[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def hand_motion(episode: Episode) -> np.ndarray:
    """Velocity of the hand and opening of the fingers at each step, [T, HAND]."""
    position, fingers = episode.states["ee_pos"], episode.states["gripper_qpos"]
    velocity = np.diff(position, axis=0, append=position[-1:])
    return np.column_stack([velocity, fingers[:, 0] - fingers[:, 1]])


def targets_of(episode: Episode) -> np.ndarray:
    """What is decoded: the action and, where pose and fingers were recorded, the hand's motion."""
    parts = [episode.actions, *([hand_motion(episode)] if episode.has_gripper else [])]
    return np.column_stack(parts).astype(np.float32)


def as_demonstration(clip: Clip, decoded: np.ndarray, action_dim: int) -> Episode:
    """`clip` with decoded labels [T, A] or [T, A + HAND] in place of any it has.

    Its `ee_pos` starts at the origin and its orientation is not known: good for waypoints, which are
    differences of positions, not for proprioception.
    """
    if decoded.shape[1] not in (action_dim, action_dim + HAND) or len(decoded) != len(clip):
        raise DataError(f"{clip.key}: labels {list(decoded.shape)} do not fit {len(clip)} steps")
    states: dict[str, np.ndarray] = {}
    if decoded.shape[1] > action_dim:
        velocity, opening = decoded[:, action_dim : action_dim + 3], decoded[:, -1]
        path = np.cumsum(np.vstack([np.zeros(3), velocity[:-1]]), 0)
        upright = np.tile([0.0, 0.0, 0.0, 1.0], (len(clip), 1))
        fingers = np.column_stack([opening / 2, -opening / 2]).astype(np.float64)
        states = {"ee_pos": path.astype(np.float64), "ee_quat": upright, "gripper_qpos": fingers}
    actions = np.ascontiguousarray(decoded[:, :action_dim])
    if isinstance(clip, Episode):
        return replace(clip, actions=actions, states=states, phases=None)
    fields = ("key", "frames", "fps", "instruction", "attrs", "picture_hashes")
    return Episode(**{name: getattr(clip, name) for name in fields}, actions=actions, states=states)


def within_labels(decoded: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Decoded values [T, C] within the range of the labels [N, C]; the nearer of two where labels take only
    two values, as commands of a gripper do."""
    decoded = np.clip(decoded, labels.min(0), labels.max(0))
    for column, values in enumerate(labels.T):
        low, high = values.min(), values.max()
        if low < high and np.isin(values, (low, high)).all():
            decoded[:, column] = np.where(decoded[:, column] > (low + high) / 2, high, low)
    return decoded.astype(np.float32)


def explained(decoded: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> np.ndarray:
    """R^2 of each column over all episodes; NaN where it is constant."""
    y, found = np.concatenate(true), np.concatenate(decoded)
    total = ((y - y.mean(0)) ** 2).sum(0)
    return np.where(y.std(0) > 1e-6, 1 - ((y - found) ** 2).sum(0) / np.maximum(total, 1e-12), np.nan)
