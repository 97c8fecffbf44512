"""The latent action models there are, and reading one from its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hilam_core.cards import config_from
from hilam_core.checkpoint import load_checkpoint, restore
from hilam_core.errors import CheckpointError
from hilam_core.lam.compact import CompactConfig, CompactLAM
from hilam_core.lam.protocol import LatentActionModel
from hilam_core.lam.uniskill import UniSkillConfig, UniSkillLAM

KINDS: dict[str, tuple[type, type[LatentActionModel]]] = {
    "compact": (CompactConfig, CompactLAM),
    "uniskill": (UniSkillConfig, UniSkillLAM),
}


def make_lam(config: Mapping[str, Any], source: str | Path) -> LatentActionModel:
    """A fresh model of the configuration in the card of `source`."""
    kind = config.get("kind", "compact")
    if kind not in KINDS:
        raise CheckpointError(
            f"'{source}' is a latent action model of kind {kind!r}; this version knows {', '.join(KINDS)}"
        )
    config_type, model_type = KINDS[kind]
    return model_type(config_from(config_type, config, source))


def load_lam(folder: str | Path, device: str = "cpu") -> LatentActionModel:
    """A trained or imported latent action model, in evaluation mode.

    Raises:
        CheckpointError: as `load_checkpoint`, an unknown kind, or weights that do not fit the configuration.
        ConfigError: a library that the model needs is not installed.
    """
    state, card = load_checkpoint(folder, "lam")
    model = make_lam(card["config"], folder)
    restore(model, state, folder)
    model.gap = card["program"]["gap"]
    return model.to(device).eval()
