"""Cards: what a checkpoint says about how it was made, and configurations out of cards.

A checkpoint is a folder with `model.safetensors` and `card.json`. The card is a JSON object:

- `format`, `kind` ("lam", "skills" or "policy");
- `config`: the configuration of the model, in every kind; `program`: the settings the program ran with;
- `data` (paths, episodes, frames, content hash), `parents` (role -> content hash of an ancestor);
- `seed`, `commit`, `command`, `steps`, `minutes`, `metrics`, `weights_sha256`.

Reading one needs no torch: launch files and reports do.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from hilam_core.errors import CheckpointError
from hilam_core.files import file_hash

FORMAT = 2
WEIGHTS, CARD = "model.safetensors", "card.json"
Config = TypeVar("Config")


def checkpoint_hash(folder: Path | str) -> str:
    """Content hash of a checkpoint's weights: how stores, cards and results name the model that made them."""
    weights = Path(folder) / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(f"no checkpoint at '{folder}': {WEIGHTS} is missing")
    return file_hash(weights)


def load_card(folder: Path | str, kind: str | None = None) -> dict[str, Any]:
    """Read a checkpoint's card; with `kind`, refuse a checkpoint of another kind.

    Raises:
        CheckpointError: there is no card, it is damaged, or of another format or kind.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at '{folder}': {CARD} is missing")
    try:
        card = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{path}' is not a checkpoint card: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        raise CheckpointError(f"'{path}' has format {found}, this version reads format {FORMAT}: train again")
    if kind is not None and card.get("kind") != kind:
        raise CheckpointError(f"'{folder}' is a checkpoint of kind '{card.get('kind')}', not '{kind}'")
    return card


def load_whole_card(folder: Path | str, kind: str | None = None) -> dict[str, Any]:
    """The card of a checkpoint whose weights are the ones it describes, without loading them.

    Raises:
        CheckpointError: as `load_card`, or the weights are missing, damaged or another file's.
    """
    card = load_card(folder, kind)
    if checkpoint_hash(folder) != card.get("weights_sha256"):
        weights = Path(folder) / WEIGHTS
        raise CheckpointError(f"'{weights}' is damaged or not the file its card describes (SHA-256 differs)")
    return card


def trained_assets(card: Mapping[str, Any]) -> str:
    """The assets a policy saw in training, "builtin" or "official"; "auto" where its card does not say."""
    return str(_data(card).get("assets") or "auto")


def assets_warning(card: Mapping[str, Any], drawn: str, content_hash: str) -> str | None:
    """One line where a policy is shown pictures of other assets than it was trained on, else None.

    drawn: "builtin" or "official", what the simulation draws; content_hash: of those files.
    """
    trained, trained_hash = trained_assets(card), _data(card).get("assets_hash", content_hash)
    if trained in ("auto", drawn) and trained_hash == content_hash:
        return None
    if trained in ("auto", drawn):
        return (
            f"warning: the {drawn} assets have the content hash {content_hash}, those that the policy was "
            f"trained on had {trained_hash}: they look different"
        )
    return (
        f"warning: the policy was trained on pictures of the {trained} assets and is shown the {drawn} ones: "
        "its success says little"
    )


def _data(card: Mapping[str, Any]) -> Mapping[str, Any]:
    data = card.get("data")
    return data if isinstance(data, Mapping) else {}


def make_card(
    kind: str,
    config: Any,
    program: Any,
    data: Mapping[str, Any],
    parents: Mapping[str, str],
    seed: int,
    **more: Any,
) -> dict[str, Any]:
    """A card for a checkpoint of `kind`, with format, commit and command filled in.

    config: the model's configuration; program: the settings the program ran with; data: see `describe_data`;
    parents: role -> content hash of a checkpoint this one descends from; more: metrics, minutes, ...
    """
    return {
        "format": FORMAT,
        "kind": kind,
        "config": config_dict(config),
        "program": config_dict(program),
        "data": dict(data),
        "parents": dict(parents),
        "seed": seed,
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **more,
    }


def config_dict(config: Any) -> Any:
    """A dataclass configuration as JSON-ready dictionary (paths as text, tuples as lists)."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    if isinstance(config, Mapping):
        return {str(k): config_dict(v) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return [config_dict(v) for v in config]
    return str(config) if isinstance(config, Path) else config


def config_from(cls: type[Config], values: Mapping[str, Any], source: str | Path) -> Config:
    """A (nested) configuration dataclass from the `config` in the card of `source`.

    Raises:
        CheckpointError: a setting that the dataclass does not have.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise CheckpointError(
            f"'{source}': {cls.__name__} has no setting {unknown[0]!r}; it has {', '.join(fields)}"
        )
    hints, arguments = get_type_hints(cls), {}
    for name, value in values.items():
        options = [hints[name], *getattr(hints[name], "__args__", ())]
        nested: Any = next((option for option in options if dataclasses.is_dataclass(option)), None)
        if nested is not None and isinstance(value, Mapping):
            value = config_from(nested, value, source)
        arguments[name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


def _commit() -> str | None:
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout
        dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.strip() + ("+changes" if dirty else "")
