"""Fields of a message from plain values, as typed in YAML."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from embedded_dds.definitions import Field, load
from embedded_dds.types import message_class


def set_message_fields(
    msg: Any, values: dict[str, Any], expand_header_auto: bool = False, expand_time_now: bool = False
) -> list[Any]:
    """Sets fields by name; AttributeError for a name that is none, ValueError or AssertionError for a value
    that does not fit. With the `expand` options `header: auto` and `stamp: now` are left to the caller: the
    messages they stand for are returned."""
    if not isinstance(values, dict):
        raise TypeError(f"{type(msg).__name__} needs a mapping of fields, not {values!r}")
    fields = {item.name: item for item in load(msg._ros_name).fields}
    stamps: list[Any] = []
    for name, value in values.items():
        if name not in fields:
            known = ", ".join(fields)
            raise AttributeError(f"{type(msg).__name__} has no field {name!r}; it has {known}")
        item = fields[name]
        if expand_header_auto and value == "auto" and item.base == "std_msgs/msg/Header":
            stamps.append(getattr(msg, name).stamp)
        elif expand_time_now and value == "now" and item.base == "builtin_interfaces/msg/Time":
            stamps.append(getattr(msg, name))
        elif item.kind == "scalar" and item.nested:
            stamps += set_message_fields(getattr(msg, name), value, expand_header_auto, expand_time_now)
        else:
            setattr(msg, name, _convert(item, value))
    return stamps


def _convert(item: Field, value: Any) -> Any:
    if item.kind == "scalar":
        return _scalar(item.base, value)
    if isinstance(value, bytes | array | np.ndarray) and not item.nested:
        return value if not isinstance(value, np.ndarray) or item.kind == "array" else value.tolist()
    if not isinstance(value, list | tuple):
        raise ValueError(f"field {item.name!r} needs a list, not {value!r}")
    if not item.nested:
        return [_scalar(item.base, element) for element in value]
    made = []
    for element in value:
        made.append(message_class(item.base)())
        set_message_fields(made[-1], element)
    return made


def _scalar(base: str, value: Any) -> Any:
    if base.startswith("float") and not isinstance(value, bool):
        return float(value)
    if base == "string":
        return str(value)
    if base == "byte" and isinstance(value, int):
        return bytes([value])
    if base == "bool" and value in (0, 1):
        return bool(value)
    return value
