"""Where a sequence is cut, and how cut sequences are shortened and restored (H-Net's dynamic chunking).

Two routers: `CosineRouter` is H-Net's, `ChangeRouter` cuts at the strongest changes of the latent actions
(measured by `Change`).

Shapes: B batch, T time, J chunks (padded), D features, Z latent action.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.distributed import gather

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
    """p_t = min(q_t / (q_t + tau), a_t), with q_t the prominence of a change and a_t >= 0.5 where it is the
    strongest near by (see `Change`): at least 0.5 exactly at peaks that stand out by tau.

    tau is a moving quantile, such that one token in `length` is a boundary. It takes the place of L_ratio,
    which moves p everywhere at once and so makes bursts of short chunks. Nothing here is learned by gradient.
    """

    threshold: Tensor

    def __init__(self, length: float) -> None:
        super().__init__()
        self.length = length
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, before: Tensor, now: Tensor, strength: Tensor) -> Tensor:
        """p from strengths [..., 2] of q and a; the features are not used."""
        prominence, peak = strength.unbind(-1)
        return torch.minimum(prominence / (prominence + self.threshold).clamp(min=1e-6), peak)

    @torch.no_grad()
    def observe(self, strength_BT2: Tensor, mask_BT: Tensor) -> None:
        """Move tau towards the prominence that one token in `length` of this batch exceeds."""
        prominence, peak = strength_BT2.float().unbind(-1)
        own = prominence[mask_BT & (prominence > 0) & (peak >= 0.5)]
        parts = gather((own.cpu(), int(mask_BT.sum()), len(mask_BT)))
        peaks = torch.cat([part for part, _, _ in parts])
        if not len(peaks):
            return
        # The first token of every sequence is a boundary anyway.
        wanted = round(sum(n for _, n, _ in parts) / self.length) - sum(rows for _, _, rows in parts)
        quantile = peaks.sort(descending=True).values[min(max(wanted, 1), len(peaks)) - 1].to(own.device)
        moved = self.threshold.lerp(quantile, 1 - THRESHOLD_MEMORY)
        self.threshold.copy_(torch.where(self.threshold == 0, quantile, moved))


class Change(nn.Module):
    """Where latent actions change, and by how much.

        c_t = |mean z_{t..t+w-1} - mean z_{t-w..t-1}|,   s_t = sqrt(c_t c_{t-k})
        a_t = s_t / (s_t + max of the other s within d)
        q_t = s_t - max(min s_{t-2d..t}, min s_{t..t+2d})

    A latent action spans the frames t and t + k. A change at frame t therefore shows twice: k steps early,
    when I_{t+k} crosses it, and in time, when I_t does. s is large where both agree. The prominence q tells
    a change from the noise on a stretch of steady motion, where s is as high but does not fall in between.
    gap: k; 0 leaves the early one out, s_t = c_t. distance: d.

    To see the whole window takes `delay` later tokens: the value at token t is that of the change `delay`
    tokens before, so that everything stays causal.
    """

    def __init__(self, window: int, gap: int, distance: int) -> None:
        super().__init__()
        self.window, self.gap, self.distance = window, gap, distance

    @property
    def delay(self) -> int:
        """Tokens between a change and the token that reports it."""
        return self.window - 1 + 2 * self.distance

    @property
    def memory(self) -> int:
        """Latent actions that the last value depends on."""
        return 2 * self.window + self.gap + 4 * self.distance

    def forward(self, z_BTZ: Tensor) -> Tensor:
        """(q, a) [B, T, 2], `delay` tokens late; 0 where too little came before."""
        w, k, d = self.window, self.gap, self.distance
        means = F.avg_pool1d(F.pad(z_BTZ.mT, (w - 1, 0)), w, 1).mT
        seen = torch.arange(z_BTZ.shape[1], device=z_BTZ.device)
        c_BT = (means - _earlier(means, w)).norm(dim=-1) * (seen >= 2 * w - 1)
        s_BT = (c_BT * _earlier(c_BT, k)).sqrt() if k else c_BT
        near = F.pad(s_BT, (4 * d, 0)).unfold(1, 4 * d + 1, 1)  # 2 d on each side of the one in the middle
        before, s, after = near[..., : 2 * d], near[..., 2 * d], near[..., 2 * d + 1 :]
        rival = torch.cat([before[..., d:], after[..., :d]], -1)
        rival = rival.amax(-1) if d else torch.zeros_like(s)
        floor = torch.maximum(before.amin(-1), after.amin(-1)) if d else torch.zeros_like(s)
        return torch.stack([(s - floor).clamp(min=0), s / (s + rival).clamp(min=1e-6)], -1)


def _earlier(x: Tensor, steps: int) -> Tensor:
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
    return spread(moving_average(zhat_BJD, P_BJ), b_BT)


def moving_average(values_BJD: Tensor, P_BJ: Tensor) -> Tensor:
    """zbar_j = P_j v_j + (1 - P_j) zbar_{j-1} [B, J, D], as a parallel scan: in log2(J) passes, each of which
    doubles how far back the sums reach (Hillis and Steele 1986).

    The factors are products of 1 - P alone, never divided by: where they vanish nothing overflows.
    """
    mean, keep = P_BJ[..., None] * values_BJD, (1 - P_BJ)[..., None]
    reach = 1
    while reach < mean.shape[1]:
        earlier = keep[:, reach:] * mean[:, :-reach]
        mean = torch.cat([mean[:, :reach], mean[:, reach:] + earlier], 1)
        keep = torch.cat([keep[:, :reach], keep[:, reach:] * keep[:, :-reach]], 1)
        reach *= 2
    return mean


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
