"""Profiles (one parameter file per arm) and whether a checkpoint fits one. No ROS here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

import hilam_core
from hilam_core.errors import HilamError

MODES = ("lockstep", "realtime")
CHECKPOINT = Path("checkpoints", "libero_object")


class ProfileError(HilamError):
    """A profile or checkpoint that cannot be used. One line: what, which value, the choices."""


def find_profile(name: str, folder: Path) -> Path:
    """A profile by the name of a file in `folder`, or by path."""
    for path in (folder / f"{name}.yaml", Path(name)):
        if path.is_file():
            return path
    choices = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    raise ProfileError(f"unknown profile '{name}': choose from {choices}, or give a file")


def load_profile(name: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A profile's file and parameters; names and types must be those of libero.yaml, which lists all."""
    path = find_profile(name, folder)
    parameters, known = read_profile(path), read_profile(folder / "libero.yaml")
    for key, value in parameters.items():
        if key not in known:
            raise ProfileError(f"profile '{path}': unknown parameter '{key}', choose from {', '.join(known)}")
        if type(value) is not type(known[key]):
            raise ProfileError(f"profile '{path}': {key} is {value!r}, expected a value like {known[key]!r}")
    return path, parameters


def read_profile(path: Path) -> dict[str, Any]:
    """The parameters that a profile gives every node."""
    try:
        content = yaml.safe_load(path.read_text())
        return dict(content["/**"]["ros__parameters"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise ProfileError(f"profile '{path}' has no '/**: ros__parameters:' to read: {problem}") from None


def default_policy() -> Path:
    """$HILAM_POLICY, else the shipped checkpoint: beside the library, or where it was installed with it."""
    if folder := os.environ.get("HILAM_POLICY"):
        return Path(folder)
    library = Path(hilam_core.__file__).resolve().parent
    shipped = [parent / "share" / "hilam" / CHECKPOINT for parent in library.parents]
    return next((folder for folder in shipped if folder.is_dir()), library.parent / CHECKPOINT)


def check_cameras(card: dict[str, Any], policy: Path, profile: dict[str, Any], profile_path: Path) -> None:
    """Refuse a policy that reads cameras or sizes that the profile does not offer."""
    try:
        cameras, size = list(card["config"]["low"]["cameras"]), int(card["config"]["image_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(
            f"'{policy / 'card.json'}' lacks the policy's cameras or size: {error!r}"
        ) from None
    offered, offered_size = list(profile.get("cameras", [])), profile.get("image_size")
    if not set(cameras) <= set(offered) or size != offered_size:
        raise ProfileError(
            f"policy '{policy}' reads cameras {cameras} at {size} px, "
            f"but profile '{profile_path.name}' offers {offered} at {offered_size} px"
        )
