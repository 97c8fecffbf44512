"""UniSkill's published files as a latent action model of this project.

What is published: `idm.pth`, the IDM's state dict; a folder `unet` as diffusers saves it; beside them
InstructPix2Pix (its folders `vae` and `scheduler`) and Depth-Anything-V2-Small, as transformers saves it.
Nothing is unpickled: of `.pth` tensors alone are read, and folders must hold safetensors.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hilam_core.checkpoint import restore
from hilam_core.errors import CheckpointError
from hilam_core.lam.uniskill import FDMConfig, UniSkillConfig, UniSkillLAM
from hilam_core.lam.uniskill_idm import IDMConfig, InverseDynamics


def read_uniskill(
    idm: Path,
    depth: Path,
    unet: Path | None = None,
    pix2pix: Path | None = None,
    frame_size: int = 256,
    heads: int = 4,
) -> UniSkillLAM:
    """The model of published files, in evaluation mode; without `unet` it has no FDM.

    frame_size: of the FDM, pixels; heads: of the IDM's attention. No file tells these.

    Raises:
        CheckpointError: a file that is missing, damaged, holds more than tensors, or has other names or
            shapes than the model.
        ConfigError: transformers or diffusers is not installed.
    """
    state = read_tensors(idm)
    fdm = None
    if unet is not None and pix2pix is not None:
        fdm = FDMConfig(
            read_json(unet / "config.json", _class_name="UNet2DConditionModel"),
            read_json(pix2pix / "vae" / "config.json", _class_name="AutoencoderKL"),
            read_json(pix2pix / "scheduler" / "scheduler_config.json"),
            frame_size,
        )
    model = UniSkillLAM(
        UniSkillConfig(
            read_json(depth / "config.json", model_type="depth_anything"),
            latent_dim=len(state.get("skill_proj.weight", ())),
            idm=idm_config(state, idm, heads),
            depth_size=depth_size(depth / "preprocessor_config.json"),
            fdm=fdm,
        )
    )
    restore(model.idm, {name: value.float() for name, value in state.items()}, idm)
    fill(model.depth, depth)
    if model.fdm is not None and unet is not None and pix2pix is not None:
        fill(model.fdm.unet, unet)
        fill(model.fdm.vae, pix2pix / "vae")
    return model.eval()


def idm_config(state: dict[str, Tensor], source: Path, heads: int = 4) -> IDMConfig:
    """Sizes and variants of the IDM, from the names and shapes of its state."""
    try:
        patches, width = state["pos_embed_spatial"].shape[-2:]
        layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("transformer.layers."))
        return IDMConfig(
            image_size=round(patches**0.5) * InverseDynamics.PATCH,
            width=width,
            layers=layers,
            heads=heads,
            context_dim=len(state["latent_proj.weight"]),
            normalise_qk="transformer.layers.0.norm1.weight" not in state,
            qkv_bias="transformer.layers.0.spatial_attn.qkv.bias" in state,
        )
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"'{source}' is not UniSkill's IDM: {error} is missing") from None


def fill(model: Any, folder: Path) -> None:
    """The weights of a folder that transformers or diffusers saved, read by that library: it knows the names
    of its older versions."""
    try:
        loaded, report = type(model).from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"'{folder}' cannot be read: {str(error).splitlines()[0]}") from None
    if lacking := sorted(report["missing_keys"]):
        raise CheckpointError(f"'{folder}' lacks {lacking[0]!r} and {len(lacking) - 1} more")
    model.load_state_dict(loaded.state_dict())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` or of a state dict that torch saved; never unpickled."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"'{path}' cannot be read as tensors: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"'{path}' is no state dict: it must map names to tensors")
    return state


def read_json(path: Path, **wanted: str) -> dict[str, Any]:
    """A configuration with the `wanted` entries; CheckpointError where it is missing or of another kind."""
    try:
        config = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"'{path}' is no configuration: {error}") from None
    for name, value in wanted.items():
        if config.get(name) != value:
            raise CheckpointError(f"'{path}' has {name} {config.get(name)!r}, not {value!r}")
    return config


def depth_size(path: Path) -> int:
    """Side of the images that Depth-Anything reads, from its preprocessor's configuration."""
    size = read_json(path).get("size")
    if not isinstance(size, dict) or not isinstance(size.get("height"), int):
        raise CheckpointError(f"'{path}' names no size with a height, got {size}")
    return size["height"]
