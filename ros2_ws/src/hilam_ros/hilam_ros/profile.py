"""Profiles (one parameter file per arm) and whether a checkpoint fits one. No ROS here."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

import hilam_core
from hilam_core.errors import HilamError
from hilam_core.runtime.limits import Limits
from hilam_core.runtime.pairing import RULES
from hilam_core.runtime.units import CommandScale

CHOICES = {
    "mode": ("lockstep", "realtime"),
    "command_mode": ("twist", "pose"),
    "gripper_interface": ("topic", "gripper_command", "parallel_gripper_command"),
    "pairing": RULES,
    "placement": ("stored", "fresh", "scattered"),
}
POSITIVE = {
    *("image_size", "control_hz", "position_m", "rotation_rad", "gripper_effort_n"),
    *("watch_image_hz", "max_observation_age_s", "max_skill_age_s", "peer_timeout_s", "step_timeout_s"),
    *("teleop_linear_m_s", "teleop_angular_rad_s"),
}
NOT_NEGATIVE = {
    *("pairing_tolerance_s", "pairing_wait_s", "pairing_hold_s", "init_state", "seed", "max_steps"),
    *("command_hz", "max_frozen_s", "console_port", "joy_deadman_button", "joy_gripper_button"),
}
LENGTHS = {"finger_joints": 2, "finger_signs": 2, "pose_offset_m": 3, "joy_axes": 6, "joy_signs": 6}
LIMITS = [field.name for field in fields(Limits)]
DISTINCT = {"cameras", "camera_topics", "arm_joints", "finger_joints"}
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


def load_settings(
    name: str, folder: Path, given: Mapping[str, str] | None = None
) -> tuple[Path, dict[str, Any]]:
    """A profile's file, and every setting: of the command line, else of the profile, else of libero.yaml.

    given: text by name; empty where the command line says nothing. Names and types must be those of
    libero.yaml, which lists all settings.

    Raises:
        ProfileError: a name, type or value that cannot work.
    """
    path, known = find_profile(name, folder), read_profile(folder / "libero.yaml")
    profile = read_profile(path)
    try:
        for key, value in profile.items():
            if key not in known:
                raise ProfileError(f"unknown parameter '{key}', choose from {', '.join(known)}")
            if not _same_type(value, known[key]):
                raise ProfileError(f"{key} is {value!r}, expected a value like {known[key]!r}")
        check_settings(known | profile)
    except HilamError as error:
        raise ProfileError(f"profile '{path}': {error}") from None
    chosen = {key: parse(key, text, known[key]) for key, text in (given or {}).items() if text}
    settings = known | profile | chosen
    check_settings(settings)
    return path, settings


def read_profile(path: Path) -> dict[str, Any]:
    """The parameters that a profile gives every node."""
    try:
        content = yaml.safe_load(path.read_text())
        parameters = dict(content["/**"]["ros__parameters"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise ProfileError(f"profile '{path}' has no '/**: ros__parameters:' to read: {problem}") from None
    if len(content) > 1:
        other = next(section for section in content if section != "/**")
        raise ProfileError(f"profile '{path}': section '{other}' would be ignored: all goes under '/**'")
    return parameters


def read_comments(path: Path) -> dict[str, str]:
    """What a profile says beside its parameters: the help of the launch."""
    return dict(re.findall(r"^ +(\w+):[^#\n]*# *(.+)$", path.read_text(), re.MULTILINE))


def parse(name: str, text: str, like: Any) -> Any:
    """A setting from the command line, of the type of `like`."""
    if isinstance(like, str):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    value = _with_decimals(value, like)
    if not _same_type(value, like):
        raise ProfileError(f"{name} is '{text}', expected a value like {like!r}")
    return value


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse values that cannot work, alone or together.

    Raises:
        HilamError: the first one, in one line.
    """
    for name, value in settings.items():
        check_value(name, value)
    cameras, topics = settings["cameras"], settings["camera_topics"]
    if len(cameras) != len(topics):
        raise ProfileError(f"camera_topics has {len(topics)} entries for {len(cameras)} cameras")
    scale = CommandScale(**{field.name: settings[field.name] for field in fields(CommandScale)})
    _check_limits(settings, scale)


def _check_limits(settings: Mapping[str, Any], scale: CommandScale) -> None:
    limits = Limits(**{name: settings[name] for name in LIMITS})
    for name in ("gripper_open_m", "gripper_closed_m"):
        if not limits.gripper_min_m <= settings[name] <= limits.gripper_max_m:
            raise ProfileError(
                f"{name} is {settings[name]}, the gripper may go from {limits.gripper_min_m} to "
                f"{limits.gripper_max_m} m"
            )
    if limits.max_command_age_s <= 1 / scale.control_hz:
        age_s = limits.max_command_age_s
        rate = f"at a control_hz of {scale.control_hz}"
        raise ProfileError(f"max_command_age_s is {age_s}: {rate} the next command is too late")
    if settings["command_hz"] and settings["command_hz"] < scale.control_hz:
        raise ProfileError(f"command_hz is {settings['command_hz']}, less than control_hz {scale.control_hz}")
    if settings["command_mode"] == "pose" and not settings["command_hz"]:
        raise ProfileError("command_hz is 0: goal poses are interpolated, so say at which rate")


def require_limits(profile: Path, given: Mapping[str, str] | None = None) -> None:
    """Refuse the profile of an arm that does not state every limit itself: another arm's must not count.

    given: what the command line says, as of `load_settings`.

    Raises:
        ProfileError: with the limits that lack.
    """
    stated = {*read_profile(profile), *(name for name, text in (given or {}).items() if text)}
    if lacking := [name for name in (*LIMITS, "command_hz") if name not in stated]:
        raise ProfileError(f"profile '{profile}' lacks limits of this arm: {', '.join(lacking)}")


def check_value(name: str, value: Any) -> None:
    """Refuse a value that cannot work.

    Raises:
        ProfileError: a number that is not finite, not positive where it must be, a list of a wrong length,
            an empty or repeated name, or none of the choices.
    """
    items = [value] if isinstance(value, str | int | float) else list(value)
    if any(isinstance(item, float) and not math.isfinite(item) for item in items):
        raise ProfileError(f"{name} is {value}, must be finite")
    if name in POSITIVE and value <= 0:
        raise ProfileError(f"{name} is {value}, must be greater than 0")
    if name in NOT_NEGATIVE and value < 0:
        raise ProfileError(f"{name} is {value}, must not be negative")
    if name in LENGTHS and len(items) != LENGTHS[name]:
        raise ProfileError(f"{name} has {len(items)} entries, must have {LENGTHS[name]}")
    if name in CHOICES and value not in CHOICES[name]:
        raise ProfileError(f"{name} '{value}' is not one of {', '.join(CHOICES[name])}")
    if name in DISTINCT and (not items or "" in items or len(set(items)) < len(items)):
        raise ProfileError(f"{name} is {value}, must be names that differ")
    if name == "finger_signs" and 0.0 in items:
        raise ProfileError(f"{name} is {value}, must not be 0")
    if name == "device" and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ProfileError(f"unknown device '{value}'; choices: auto, cpu, cuda, cuda:N")


def _same_type(value: Any, like: Any) -> bool:
    if isinstance(value, list) and isinstance(like, list):
        return all(type(item) is type(like[0]) for item in value)
    return type(value) is type(like)


def _with_decimals(value: Any, like: Any) -> Any:
    """Whole numbers as floats where `like` is one: `control_hz:=10` means 10.0."""
    if isinstance(value, list) and isinstance(like, list):
        return [_with_decimals(item, like[0]) for item in value]
    return float(value) if isinstance(like, float) and type(value) is int else value


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
