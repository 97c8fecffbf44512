"""Parameter values as YAML: on the command line and in files.

ROS reads YAML by rules of its own: every plain word is tried as bool, integer and number of C, then it is a
string; a list holds one type; a key may come twice, and the later value wins."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from rclpy.names import validate_node_name

_BOOLS = {
    word: value
    for words, value in (("y yes true on", True), ("n no false off", False))
    for lower in words.split()
    for word in (lower, lower.capitalize(), lower.upper())
}
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)")
_FLOAT = re.compile(
    r"[-+]?((\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|0[xX][0-9a-fA-F.]+([pP][-+]?\d+)?|inf(inity)?|nan)", re.I
)
_YAML_FLOATS = {".nan": math.nan, ".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf}


class _Invalid(ValueError):
    """A value that no parameter can have."""


def _plain(text: str) -> Any:
    """The value of a word without quotes."""
    if text in _BOOLS:
        return _BOOLS[text]
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-")
        octal = digits[0] == "0" and set(digits) <= set("01234567")
        base = 16 if digits[:2].lower() == "0x" else 8 if octal else 10
        value = -int(digits, base) if text[0] == "-" else int(digits, base)
        # As strtol and strtod have it: 08 is no octal number, but a decimal fraction is.
        is_long = -(2**63) <= value < 2**63 and (base != 10 or digits == "0" or digits[0] != "0")
        return value if is_long else float(value)
    if text.lower() in _YAML_FLOATS:
        return _YAML_FLOATS[text.lower()]
    if _FLOAT.fullmatch(text):
        value = float.fromhex(text) if "x" in text.lower() else float(text)
        named = text.lower().lstrip("+-")[0] in "in"
        return value if named or (math.isfinite(value) and (value or not re.search("[1-9]", text))) else text
    return text


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        if node.style is not None:
            return node.value
        if node.value in ("", "-"):
            raise _Invalid("no value")
        return _plain(node.value)
    if not isinstance(node, yaml.SequenceNode):
        raise _Invalid("a mapping is no value")
    if not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise _Invalid("lists hold plain values")
    items = [_value(item) for item in node.value]
    if len({type(item) for item in items}) > 1:
        raise _Invalid(f"a list holds values of one type, not {items}")
    return items


def _documents(text: str) -> list[yaml.Node]:
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise _Invalid("ROS reads no YAML aliases (*name)")
        return list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _Invalid(f"no YAML, line {line}: {error.problem}") from None


def parse_value(text: str) -> Any:
    """A parameter's value as typed on a command line; ValueError for what is none."""
    documents = _documents(text)
    if len(documents) != 1:
        raise _Invalid("no value")
    return _value(documents[0])


def load_parameter_file(path: str | Path) -> list[tuple[str, str, Any]]:
    """(node pattern, parameter name, value) of a YAML file with `ros__parameters` sections, in its order."""
    found: list[tuple[str, str, Any]] = []
    try:
        for document in _documents(Path(path).read_text()):
            if not isinstance(document, yaml.MappingNode):
                raise _Invalid("no mapping of node names at the top")
            for key, section in document.value:
                _walk(str(key.value), section, found)
    except (OSError, ValueError) as error:
        raise RuntimeError(f"parameter file {path}: {error}") from None
    return found


def _walk(pattern: str, section: yaml.Node, found: list[tuple[str, str, Any]]) -> None:
    if pattern == "ros__parameters" or not isinstance(section, yaml.MappingNode):
        raise _Invalid(f"{pattern!r} is no node with 'ros__parameters'")
    for key, node in section.value:
        if key.value == "ros__parameters":
            _check_pattern(pattern)
            found += _flat(pattern, node, "")
        else:
            _walk(f"{pattern.rstrip('/')}/{key.value}", node, found)


def _check_pattern(pattern: str) -> None:
    for part in pattern.removeprefix("/").split("/"):
        if part not in ("*", "**"):
            try:
                validate_node_name(part.replace("*", "x"))
            except Exception as error:
                raise _Invalid(f"{pattern!r} names no node: {str(error).splitlines()[0]}") from None


def _flat(pattern: str, node: yaml.Node, prefix: str) -> list[tuple[str, str, Any]]:
    """Nested mappings as one, names joined with dots. Empty lists have no type and are left out."""
    if not isinstance(node, yaml.MappingNode):
        raise _Invalid(f"'ros__parameters' of {pattern!r} is no mapping")
    found: list[tuple[str, str, Any]] = []
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode):
            found += _flat(pattern, value, f"{name}.")
            continue
        try:
            parsed = _value(value)
        except _Invalid as error:
            raise _Invalid(f"line {value.start_mark.line + 1}: {name}: {error}") from None
        if parsed != []:
            found.append((pattern, name, parsed))
    return found
