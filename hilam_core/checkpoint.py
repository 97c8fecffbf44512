"""Checkpoints: weights and card in a folder, written whole and read back checked (see `hilam_core.cards`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hilam_core.cards import CARD, FORMAT, WEIGHTS, load_whole_card
from hilam_core.errors import CheckpointError
from hilam_core.files import file_hash, replacing, write_json


def save_checkpoint(
    folder: Path | str, model_state: Mapping[str, torch.Tensor], card: Mapping[str, Any]
) -> Path:
    """Write weights, then the card that names their hash; each file appears whole or not at all."""
    folder = Path(folder)
    with replacing(folder / WEIGHTS) as draft:
        save_file(
            {name: value.detach().cpu().contiguous().clone() for name, value in model_state.items()}, draft
        )
    card = {"format": FORMAT, **card, "weights_sha256": file_hash(folder / WEIGHTS)}
    write_json(folder / CARD, card)
    return folder


def load_checkpoint(
    folder: Path | str, kind: str | None = None, device: str = "cpu"
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read (model state, card); weights that are damaged or not the card's own are refused.

    Raises:
        CheckpointError: as `load_whole_card`, or the weights are not safetensors.
    """
    card = load_whole_card(folder, kind)
    weights = Path(folder) / WEIGHTS
    try:
        return load_file(weights, device=device), card
    except SafetensorError as error:
        raise CheckpointError(f"'{weights}' cannot be read: {error}") from None


def restore(model: torch.nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Load `state` into `model`, naming `source` and the first tensor at fault when they do not fit."""
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys()) or [n for n in own if own[n].shape != state[n].shape]
    if wrong:
        raise CheckpointError(
            f"'{source}' does not fit its model: {wrong[0]} and {len(wrong) - 1} more are missing, "
            "unknown or of another shape"
        )
    model.load_state_dict(dict(state))
