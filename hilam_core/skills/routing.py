"""Where a sequence is cut, and how cut sequences are shortened and restored (H-Net's dynamic chunking).

Shapes: B batch, T time, J chunks (padded), D features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P_MIN = 1e-4


class Router(nn.Module):
    """Boundary probabilities p_t = (1 - cos(W_q h_{t-1}, W_k h_t)) / 2, p_1 = 1; a boundary where p_t >=
    threshold, as in the paper (H-Net's own code: where p_t > 0.5, so that p_t = 0.5 exactly does not cut).

    `min_change` guards against the constant-input trap: once W_q and W_k differ, a constant h gives the same
    p at every step, and where that is above the threshold every token becomes a boundary (as it does for h =
    0, where the cosine is 0). p_t is scaled down linearly when |h_t - h_{t-1}| / (|h_t| + |h_{t-1}|) is below
    `min_change`, so that an unchanged input never starts a segment. 0 switches the guard off.
    """

    def __init__(self, width: int, threshold: float = 0.5, min_change: float = 0.0) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.query.weight)
        nn.init.eye_(self.key.weight)
        self.threshold, self.min_change = threshold, min_change

    def forward(self, h_BTD: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """(p [B, T], b bool [B, T]); positions outside the mask are never boundaries."""
        p = self.probability(h_BTD[:, :-1], h_BTD[:, 1:])
        p = torch.cat([torch.ones_like(h_BTD[:, :1, 0]), p], 1)
        return p, (p >= self.threshold) & mask_BT

    def probability(self, before: Tensor, now: Tensor) -> Tensor:
        """p of a boundary between two features [..., D]."""
        p = (1 - F.cosine_similarity(self.query(before), self.key(now), -1)) / 2
        if self.min_change > 0:
            scale = before.norm(dim=-1) + now.norm(dim=-1) + 1e-6
            p = p * ((now - before).norm(dim=-1) / scale / self.min_change).clamp(max=1)
        return p.clamp(0, 1)


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
