"""Judging a policy in training: the loss terms on held-out frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from hilam_core.device import to_device
from hilam_core.distributed import mine, total
from hilam_core.policy.batches import ActionLabels, Batch, Pseudolabels


def held_out_metrics(
    labels: Pseudolabels | ActionLabels | None,
    loss_fn: Callable[[Any, Batch], tuple[Tensor, Mapping[str, Tensor | float]]],
) -> Callable[[Any], dict[str, float]] | None:
    """Averages the loss terms over at most 512 held-out frames, always the same ones; None without any."""
    if labels is None:
        return None
    rows = np.random.default_rng(0).permutation(labels.rows)[:512]
    batches = [labels.batch(some) for some in np.array_split(rows, -(-len(rows) // 64))]

    def evaluate(model: Any) -> dict[str, float]:
        device = next(model.parameters()).device
        sums: Counter[str] = Counter()
        for batch in mine(batches):
            loss, scalars = loss_fn(model, to_device(batch, device))
            sums.update({name: float(value) for name, value in {"loss": loss, **scalars}.items()})
        return {name: value / len(batches) for name, value in total(sums).items()}

    return evaluate
