"""Command line arguments after `--ros-args`, and parameter files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
        found.remaps.append(Remap.parse(value()))
    elif item in ("-p", "--param"):
        single.append(_parameter(value()))
    elif item == "--params-file":
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
        found.remaps.append(Remap.parse(item))
    else:
        raise UnknownROSArgsError(f"unknown ROS argument {item!r}")


def _yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 as ROS reads it: 1e-3 is a number."""

    pattern = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", pattern, list("-+.0123456789"))
    Loader.yaml_implicit_resolvers = {  # dates are strings, as in ROS
        first: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:timestamp"]
        for first, rules in Loader.yaml_implicit_resolvers.items()
    }
    return yaml.load(text, Loader)


def parse_value(text: str) -> Any:
    """A parameter's value as typed on a command line; what is no YAML is a string."""
    import yaml

    try:
        value = _yaml(text)
    except yaml.YAMLError:
        return text
    return "" if value is None else value


def _parameter(text: str) -> tuple[str, str, Any]:
    name, found, value = text.partition(":=")
    if not found or not name:
        raise UnknownROSArgsError(f"parameter {text!r} is not of the form [node:]name:=value")
    node, _, name = name.rpartition(":")
    return node or "/**", name, parse_value(value)


def load_parameter_file(path: str | Path) -> list[tuple[str, str, Any]]:
    """(node pattern, parameter name, value) of a YAML file with `ros__parameters` sections."""
    import yaml

    try:
        data = _yaml(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RuntimeError(f"parameter file {path}: {error}") from None
    found: list[tuple[str, str, Any]] = []
    if data is not None and not isinstance(data, dict):
        raise RuntimeError(f"parameter file {path}: no mapping of node names at the top")
    for key, section in (data or {}).items():
        _walk(str(key), section, str(path), found)
    return found


def _walk(pattern: str, section: Any, path: str, found: list[tuple[str, str, Any]]) -> None:
    if not isinstance(section, dict):
        raise RuntimeError(f"parameter file {path}: {pattern!r} has no 'ros__parameters'")
    for key, value in section.items():
        if key == "ros__parameters":
            found += [(pattern, name, item) for name, item in flatten(value or {}).items()]
        else:
            _walk(f"{pattern}/{key}", value, path, found)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, names joined with dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
