"""Checkpoints: a folder with `model.safetensors` and `card.json`, what made it and what it needs.

The card is a JSON object: `format`, `kind` ("lam", "skills" or "policy"), `config`, `data`, `parents`
(content hashes of the checkpoints it descends from), `seed`, `commit`, `command`, `metrics`,
`weights_sha256`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hilam_core.errors import HilamError

FORMAT = 1
WEIGHTS, CARD = "model.safetensors", "card.json"


class CheckpointError(HilamError):
    """A checkpoint that is missing, damaged, or made for something else. The message is one line."""


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's content, as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checkpoint_hash(folder: Path | str) -> str:
    """Content hash of a checkpoint's weights: how stores, cards and results name the model that made them."""
    weights = Path(folder) / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"no checkpoint at '{folder}': {WEIGHTS} is missing")
    return file_hash(weights)


def save_checkpoint(
    folder: Path | str, model_state: Mapping[str, torch.Tensor], card: Mapping[str, Any]
) -> Path:
    """Write weights, then the card that names their hash; each file appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights, partial = folder / WEIGHTS, folder / f"{WEIGHTS}.{os.getpid()}.tmp"
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in model_state.items()}, partial
    )
    partial.chmod(0o644)  # safetensors writes for the owner alone
    os.replace(partial, weights)
    card = {"format": FORMAT, **card, "weights_sha256": file_hash(weights)}
    write_json(folder / CARD, card)
    return folder


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON atomically (a temporary name, then a rename)."""
    path = Path(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(partial, path)


def load_card(folder: Path | str, kind: str | None = None) -> dict[str, Any]:
    """Read a checkpoint's card; with `kind`, refuse a checkpoint of another kind."""
    path = Path(folder) / CARD
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at '{folder}': {CARD} is missing")
    try:
        card = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"'{path}' is not a checkpoint card: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise CheckpointError(f"'{path}' has format {found}, this version reads format {FORMAT}")
    if kind is not None and card.get("kind") != kind:
        raise CheckpointError(f"'{folder}' is a checkpoint of kind '{card.get('kind')}', not '{kind}'")
    return card


def load_checkpoint(
    folder: Path | str, kind: str | None = None, device: str = "cpu"
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read (model state, card); weights that are damaged or not the card's own are refused."""
    card = load_card(folder, kind)
    weights = Path(folder) / WEIGHTS
    if checkpoint_hash(folder) != card.get("weights_sha256"):
        raise CheckpointError(f"'{weights}' is damaged or not the file its card describes (SHA-256 differs)")
    try:
        return load_file(weights, device=device), card
    except SafetensorError as error:
        raise CheckpointError(f"'{weights}' cannot be read: {error}") from None
