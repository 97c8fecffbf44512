"""Pictures of what the latent action model predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hilam_core.files import replacing
from hilam_core.lam.protocol import LatentActionModel


@torch.no_grad()
def draw_predictions(path: str | Path, model: LatentActionModel, now: np.ndarray, future: np.ndarray) -> None:
    """One column per pair (uint8 [B, H, W, 3]): frame, true future, predicted future, their difference."""
    from matplotlib.figure import Figure

    predicted = model.predict(now, model.infer(now, future))
    true = model.target(future)
    rows = [model.target(now), true, predicted, (predicted - true).abs() * 2]
    titles = ["I_t", "I_{t+k}", "FDM(I_t, z^l)", "2 x |difference|"]
    figure = Figure(figsize=(1.5 * len(now), 1.5 * len(rows)))
    for r, (row, title) in enumerate(zip(rows, titles, strict=True)):
        for c, image in enumerate(row.clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()):
            axes = figure.add_subplot(len(rows), len(now), r * len(now) + c + 1)
            axes.imshow(image)
            axes.set(xticks=[], yticks=[])
            if c == 0:
                axes.set_ylabel(title if "_" not in title else f"${title}$".replace("FDM", r"\mathrm{FDM}"))
    figure.tight_layout(pad=0.3)
    with replacing(path) as draft:
        figure.savefig(draft, dpi=100)
