"""Which processor or GPU the networks run on, and bringing batches there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hilam_core.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """The device of a setting: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: an unknown name, or a GPU that is not there.
    """
    gpus = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    try:
        chosen = torch.device(name)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise ConfigError(f"unknown device {name!r}; choices: auto, cpu, cuda, cuda:N")
    if chosen.type == "cuda" and (chosen.index or 0) >= gpus:
        raise ConfigError(f"device {name!r}: torch sees {gpus} CUDA GPUs here; use auto or cpu")
    return chosen


def to_device(batch: Any, device: torch.device) -> Any:
    """Tensors and numpy arrays in any nesting of dict, list and tuple as tensors on `device`."""
    return map_tensors(lambda tensor: tensor.to(device), batch)


def map_tensors(function: Callable[[Tensor], Any], batch: Any) -> Any:
    """`function` of all tensors and numpy arrays in any nesting of dict, list and tuple, in that nesting."""
    if isinstance(batch, dict):
        return {name: map_tensors(function, value) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(map_tensors(function, value) for value in batch)
    if isinstance(batch, np.ndarray):
        batch = torch.from_numpy(batch)
    return function(batch) if isinstance(batch, Tensor) else batch


def leaves(batch: Any) -> list[Tensor]:
    """All tensors in any nesting of dict, list and tuple, in order."""
    found: list[Tensor] = []
    map_tensors(found.append, batch)
    return found
