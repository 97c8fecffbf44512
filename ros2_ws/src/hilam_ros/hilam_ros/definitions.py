"""Message definitions as bags carry them, read off the message classes: the same on every ROS 2 runtime."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module

_SCALARS = {"double": "float64", "float": "float32", "boolean": "bool", "octet": "byte"}


def message_class(name: str) -> type:
    """The class of "sensor_msgs/msg/Image"; ImportError or AttributeError where it is not installed."""
    package, _, short = name.split("/")
    return getattr(import_module(f"{package}.msg"), short)


@cache
def definition(name: str) -> str:
    """A message's fields in .msg syntax, followed by those of all messages in it."""
    found: dict[str, str] = {}

    def collect(message: str) -> None:
        lines = []
        found[message] = ""
        for field, spelling in message_class(message).get_fields_and_field_types().items():
            base, suffix = _field(spelling)
            lines.append(f"{base}{suffix} {field}")
            if "/" in base and (nested := base.replace("/", "/msg/")) not in found:
                collect(nested)
        found[message] = "\n".join(lines)

    collect(name)
    own = found.pop(name)
    nested = (f"{'=' * 80}\nMSG: {key.replace('/msg/', '/')}\n{text}" for key, text in found.items())
    return "\n".join([own, *nested]) + "\n"


def _field(spelling: str) -> tuple[str, str]:
    """(type, what follows it) in .msg syntax: `sequence<double, 3>` is `float64`, `[<=3]`."""
    if sequence := re.fullmatch(r"sequence<(.+?)(?:, (\d+))?>", spelling):
        return _base(sequence[1]), f"[<={sequence[2]}]" if sequence[2] else "[]"
    if array := re.fullmatch(r"(.+)\[(\d+)\]", spelling):
        return _base(array[1]), f"[{array[2]}]"
    return _base(spelling), ""


def _base(spelling: str) -> str:
    bounded = re.fullmatch(r"(w?string)<(\d+)>", spelling)
    return f"{bounded[1]}<={bounded[2]}" if bounded else _SCALARS.get(spelling, spelling)
