"""Cards: what a checkpoint says about how it was made, and configurations out of cards."""

import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from hilam_core.checkpoint import CheckpointError
from hilam_core.data.episodes import Clip, Episode, content_hash

Config = TypeVar("Config")


def make_card(
    kind: str, config: Any, data: Mapping[str, Any], seed: int, parents: Mapping[str, str], **more: Any
) -> dict[str, Any]:
    """A card for a checkpoint of `kind` ("lam", "skills", "policy"), with commit and command filled in.

    config: the dataclass (or dict) the program ran with; data: see `describe_data`; parents: role -> hash of
    the checkpoint this one was trained from; more: metrics, minutes, ...
    """
    return {
        "kind": kind,
        "config": config_dict(config),
        "data": dict(data),
        "parents": dict(parents),
        "seed": seed,
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **more,
    }


def describe_data(paths: Any, items: Sequence[Episode] | Sequence[Clip]) -> dict[str, Any]:
    """The card's `data`: paths, number of episodes (or clips) and frames, content hash; `assets` where all
    name the same, so that a simulation can show a policy the pictures it was trained on."""
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    assets = {getattr(item, "attrs", {}).get("assets") for item in items}
    return {
        "paths": [str(p) for p in paths],
        "episodes": len(items),
        "frames": sum(len(item) for item in items),
        "hash": content_hash(items),
        **({"assets": assets.pop()} if len(assets) == 1 and None not in assets else {}),
    }


def config_dict(config: Any) -> dict[str, Any]:
    """A dataclass configuration as JSON-ready dictionary (paths as text, tuples as lists)."""
    return _plain(config)


def config_from(cls: type[Config], values: Mapping[str, Any], source: str | Path) -> Config:
    """A flat dataclass from a dictionary in the card of `source`; CheckpointError on unknown names."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(values.keys() - fields.keys())
    if unknown:
        raise CheckpointError(
            f"{source}: {cls.__name__} has no setting {unknown[0]!r}; it has {', '.join(fields)}"
        )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def restore(model: torch.nn.Module, state: Mapping[str, torch.Tensor], source: str | Path) -> None:
    """Load `state` into `model`, naming `source` and the first tensor at fault when they do not fit."""
    own = model.state_dict()
    wrong = sorted(own.keys() ^ state.keys()) or [n for n in own if own[n].shape != state[n].shape]
    if wrong:
        raise CheckpointError(
            f"{source} does not fit the model its card describes: {wrong[0]} and {len(wrong) - 1} more"
        )
    model.load_state_dict(dict(state))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


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
