"""Where a sequence is cut, and how cut sequences are shortened and restored (H-Net's dynamic chunking).

Two routers: `CosineRouter` is H-Net's, `ChangeRouter` cuts at the strongest changes of the latent actions
(measured by `Change`).

Shapes: B batch, T time, J chunks (padded), D features, Z latent action.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P_MIN = 1e-4
THRESHOLD_MEMORY = 0.98  # of the moving threshold: about 50 batches, enough for a quantile that moves slowly


class CosineRouter(nn.Module):
    """H-Net's boundary probability p_t = (1 - cos(W_q h_{t-1}, W_k h_t)) / 2.

    `min_change` guards against the constant-input trap: once W_q and W_k differ, a constant h gives the same
    p at every step, and where that is above the threshold every token becomes a boundary (as it does for h =
    0, where the cosine is 0). p_t is scaled down linearly when |h_t - h_{t-1}| / (|h_t| + |h_{t-1}|) is below
    `min_change`, so that an unchanged input never starts a segment. 0 switches the guard off.
    """

    def __init__(self, width: int, min_change: float = 0.0) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.query.weight)
        nn.init.eye_(self.key.weight)
        self.min_change = min_change

    def forward(self, before: Tensor, now: Tensor, strength: Tensor) -> Tensor:
        """p of a boundary between two features [..., D]; `strength` is not used."""
        p = (1 - F.cosine_similarity(self.query(before), self.key(now), -1)) / 2
        if self.min_change > 0:
            scale = before.norm(dim=-1) + now.norm(dim=-1) + 1e-6
            p = p * ((now - before).norm(dim=-1) / scale / self.min_change).clamp(max=1)
        return p.clamp(0, 1)

    def observe(self, strength_BT2: Tensor, mask_BT: Tensor) -> None:
        """Nothing: L_ratio holds the lengths."""


class ChangeRouter(nn.Module):
    """p_t = s_t / (s_t + max(tau, r_t)), with s_t the strength of a change and r_t that of its strongest
    rival near by: at least 0.5 exactly at local maxima of s above tau.

    tau is a moving quantile, such that one token in `length` is a boundary. It takes the place of L_ratio,
    which moves p everywhere at once and so makes bursts of short chunks.
    """

    threshold: Tensor

    def __init__(self, length: float) -> None:
        super().__init__()
        self.length = length
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, before: Tensor, now: Tensor, strength: Tensor) -> Tensor:
        """p from strengths [..., 2] of s and r; the features are not used."""
        s, rival = strength.unbind(-1)
        return s / (s + torch.maximum(rival, self.threshold)).clamp(min=1e-6)

    @torch.no_grad()
    def observe(self, strength_BT2: Tensor, mask_BT: Tensor) -> None:
        """Move tau towards the strength that one token in `length` of this batch exceeds."""
        s, rival = strength_BT2.float().unbind(-1)
        peaks = s[mask_BT & (s > 0) & (s >= rival)]
        if not len(peaks):
            return
        # The first token of every sequence is a boundary anyway.
        wanted = round(int(mask_BT.sum()) / self.length) - len(mask_BT)
        quantile = peaks.sort(descending=True).values[min(max(wanted, 1), len(peaks)) - 1]
        first = self.threshold == 0
        self.threshold.copy_(
            torch.where(first, quantile, self.threshold.lerp(quantile, 1 - THRESHOLD_MEMORY))
        )


class Change(nn.Module):
    """How strongly latent actions change: s_t, and the strongest s within `distance` of it.

        c_t = |W (mean z_{t..t+w-1} - mean z_{t-w..t-1})|,   s_t = sqrt(c_t c_{t-k})

    A latent action spans the frames t and t + k. A change at frame t therefore shows twice: k steps early,
    when I_{t+k} crosses it, and in time, when I_t does. s is large where both agree. W is the identity at
    first. gap: k; 0 leaves the early one out, s_t = c_t.

    To compare s_t with what follows, and to see the whole window, takes `delay` later tokens: the value at
    token t is that of the change `delay` tokens before, so that everything stays causal.
    """

    def __init__(self, latent_dim: int, window: int, gap: int, distance: int) -> None:
        super().__init__()
        self.project = nn.Linear(latent_dim, latent_dim, bias=False)
        nn.init.eye_(self.project.weight)
        self.window, self.gap, self.distance = window, gap, distance

    @property
    def delay(self) -> int:
        """Tokens between a change and the token that reports it."""
        return self.window - 1 + self.distance

    @property
    def memory(self) -> int:
        """Latent actions that the last value depends on."""
        return 2 * self.window + self.gap + 2 * self.distance

    def forward(self, z_BTZ: Tensor) -> Tensor:
        """(s, strongest other s near by) [B, T, 2], `delay` tokens late; 0 where too little came before."""
        w, k, d = self.window, self.gap, self.distance
        means = F.avg_pool1d(F.pad(self.project(z_BTZ).mT, (w - 1, 0)), w, 1).mT
        c_BT = (means - _later(means, w)).square().sum(-1).add(1e-12).sqrt()
        seen = torch.arange(c_BT.shape[1], device=c_BT.device)
        c_BT = c_BT * (seen >= 2 * w - 1)
        s_BT = (c_BT * _later(c_BT, k)).add(1e-12).sqrt() * (seen >= 2 * w - 1 + k) if k else c_BT
        if not d:
            return torch.stack([s_BT, torch.zeros_like(s_BT)], -1)
        # Windows of the d values on each side of s_{t-d}.
        sides = F.pad(s_BT, (2 * d, 0)).unfold(1, 2 * d + 1, 1)
        rival = torch.maximum(sides[..., :d].amax(-1), sides[..., d + 1 :].amax(-1))
        return torch.stack([sides[..., d], rival], -1)


def _later(x: Tensor, steps: int) -> Tensor:
    """x of `steps` tokens before, along dimension 1; zeros before the first."""
    padding = [0, 0] * (x.dim() - 2) + [steps, 0]
    return F.pad(x, padding)[:, : x.shape[1]]


def chunk(h_BTD: Tensor, b_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Keep the boundary tokens: (tokens [B, J, D], mask [B, J]) with J the largest count in the batch."""
    order, mask_BJ = _boundary_order(b_BT)
    return h_BTD.gather(1, order[..., None].expand(-1, -1, h_BTD.shape[-1])), mask_BJ


def dechunk(zhat_BJD: Tensor, p_BT: Tensor, b_BT: Tensor) -> Tensor:
    """zbar_j = P_j zhat_j + (1 - P_j) zbar_{j-1}, each copied over its chunk's span: [B, T, D].

    P_j is p at the chunk's boundary, clamped to [1e-4, 1 - 1e-4]; zbar_0 = 0.
    """
    order, _ = _boundary_order(b_BT)
    P_BJ = p_BT.gather(1, order).clamp(P_MIN, 1 - P_MIN)
    value, values = torch.zeros_like(zhat_BJD[:, 0]), []
    for j in range(zhat_BJD.shape[1]):
        value = P_BJ[:, j, None] * zhat_BJD[:, j] + (1 - P_BJ[:, j, None]) * value
        values.append(value)
    return spread(torch.stack(values, 1), b_BT)


def spread(values_BJD: Tensor, b_BT: Tensor) -> Tensor:
    """Copy each chunk's value over its span: [B, J, D] to [B, T, D]."""
    index = (b_BT.cumsum(1) - 1).clamp(0, values_BJD.shape[1] - 1)
    return values_BJD.gather(1, index[..., None].expand(-1, -1, values_BJD.shape[-1]))


def confidence(p: Tensor, b: Tensor) -> Tensor:
    """Straight-through confidence: forward 1, backward that of c = p at a boundary, 1 - p elsewhere."""
    c = torch.where(b, p, 1 - p)
    return c + (1 - c).detach()


def _boundary_order(b_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Times of the boundaries [B, J], in order, padded with other times; and which are real."""
    counts = b_BT.sum(1)
    longest = max(1, int(counts.max()))
    order = torch.argsort(~b_BT, dim=1, stable=True)[:, :longest]
    return order, torch.arange(longest, device=b_BT.device) < counts[:, None]
