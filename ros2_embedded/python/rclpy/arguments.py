"""Command line arguments after `--ros-args`, and parameter files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.names import Remap

_SEVERITIES = ("debug", "info", "warn", "error", "fatal")


class UnknownROSArgsError(RuntimeError):
    """Raised for an argument after --ros-args that has no meaning."""


@dataclass
class Arguments:
    """What the arguments say; `parameters` are (node pattern, name, value), later ones win."""

    remaps: list[Remap] = field(default_factory=list)
    parameters: list[tuple[str, str, Any]] = field(default_factory=list)
    log_levels: dict[str, str] = field(default_factory=dict)
    rosout: bool = True
    stdout: bool = True
    remaining: list[str] = field(default_factory=list)

    def overrides(self, full_name: str) -> dict[str, Any]:
        """Parameter values given for the node of that full name."""
        return {name: value for pattern, name, value in self.parameters if _matches(pattern, full_name)}


def _matches(pattern: str, full_name: str) -> bool:
    """Whether /**, /*/x, x, /ns/x name a node."""
    parts = (pattern if pattern.startswith("/") else f"/{pattern}").split("/")[1:]
    regex = "".join(
        "(/[^/]+)*" if part == "**" else "/" + re.escape(part).replace(r"\*", "[^/]*") for part in parts
    )
    return re.fullmatch(regex, full_name) is not None


def parse(args: Sequence[str] | None) -> Arguments:
    """Reads `--ros-args ... [--]` sections; what is outside them ends up in `remaining`."""
    found = Arguments()
    single: list[tuple[str, str, Any]] = []
    inside = False
    items = iter(args or ())
    for item in items:
        if not inside:
            inside = item == "--ros-args"
            if not inside:
                found.remaining.append(item)
        elif item == "--":
            inside = False
        elif item != "--ros-args":
            _ros_argument(item, items, found, single)
    found.parameters += single
    return found


def _ros_argument(item: str, items: Any, found: Arguments, single: list[tuple[str, str, Any]]) -> None:
    def value() -> str:
        try:
            return next(items)
        except StopIteration:
            raise UnknownROSArgsError(f"{item} needs a value") from None

    if item in ("-r", "--remap"):
        found.remaps.append(_remap(value()))
    elif item in ("-p", "--param"):
        parameter = _parameter(value())
        if parameter[2] != []:  # an empty list has no type
            single.append(parameter)
    elif item == "--params-file":
        from rclpy.parameter_yaml import load_parameter_file

        found.parameters += load_parameter_file(value())
    elif item == "--log-level":
        name, _, level = value().rpartition(":=")
        if level.lower() not in _SEVERITIES:
            raise UnknownROSArgsError(f"log level {level!r} is none of {', '.join(_SEVERITIES)}")
        found.log_levels[name] = level.lower()
    elif item in ("-e", "--enclave", "--log-config-file", "--log-file-name"):
        value()
    elif match := re.fullmatch("--(enable|disable)-(rosout-logs|stdout-logs|external-lib-logs)", item):
        if match[2] != "external-lib-logs":
            setattr(found, match[2].removesuffix("-logs"), match[1] == "enable")
    elif ":=" in item:
        found.remaps.append(_remap(item))
    else:
        raise UnknownROSArgsError(f"unknown ROS argument {item!r}")


def _remap(text: str) -> Remap:
    try:
        return Remap.parse(text)
    except ValueError as error:
        raise UnknownROSArgsError(str(error)) from None


def _parameter(text: str) -> tuple[str, str, Any]:
    from rclpy.parameter_yaml import parse_value

    left, found, value = text.partition(":=")
    node, colon, name = left.rpartition(":")
    if not found or not name or (colon and not node):
        raise UnknownROSArgsError(f"parameter {text!r} is not of the form [node:]name:=value")
    try:
        return node or "/**", name, parse_value(value)
    except ValueError as error:
        raise UnknownROSArgsError(f"parameter {text!r}: {error}") from None
