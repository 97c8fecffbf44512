"""Messages as dictionaries, YAML and CSV."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import Any

import numpy as np

_EMPTY = "structure_needs_at_least_one_member"


def message_to_ordereddict(
    msg: Any,
    *,
    truncate_length: int | None = None,
    no_arr: bool = False,
    no_str: bool = False,
) -> OrderedDict[str, Any]:
    """Field names and plain values, nested messages as dictionaries."""
    return OrderedDict(
        (name, _plain(getattr(msg, name), kind, truncate_length, no_arr, no_str))
        for name, kind in msg.get_fields_and_field_types().items()
        if name != _EMPTY
    )


def _plain(value: Any, kind: str, limit: int | None, no_arr: bool, no_str: bool) -> Any:
    if isinstance(value, list | tuple | array | np.ndarray):
        if no_arr:
            words = kind.removeprefix("sequence<").rstrip(">").split("[")[0].split(",")[0]
            form = "sequence" if kind.startswith("sequence") else "array"
            return f"<{form} type: {words}, length: {len(value)}>"
        items = value.tolist() if hasattr(value, "tolist") else list(value)
        cut = limit is not None and len(items) > limit
        plain = [_plain(item, "", limit, no_arr, no_str) for item in (items[:limit] if cut else items)]
        return [*plain, "..."] if cut else plain
    if hasattr(value, "get_fields_and_field_types"):
        return message_to_ordereddict(value, truncate_length=limit, no_arr=no_arr, no_str=no_str)
    if isinstance(value, bytes):
        return value[0] if len(value) == 1 else list(value)
    if isinstance(value, str):
        if no_str:
            return f"<string length: <{len(value)}>>"
        return value[:limit] + "..." if limit is not None and len(value) > limit else value
    return value


def message_to_yaml(
    msg: Any,
    *,
    truncate_length: int | None = None,
    no_arr: bool = False,
    no_str: bool = False,
    flow_style: bool = False,
) -> str:
    """YAML as `ros2 topic echo` prints it."""
    import yaml

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    values = plain(message_to_ordereddict(msg, truncate_length=truncate_length, no_arr=no_arr, no_str=no_str))
    style = True if flow_style else False if values else None
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(
        values, Dumper=dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=style
    )


def message_to_csv(
    msg: Any, *, truncate_length: int | None = None, no_arr: bool = False, no_str: bool = False
) -> str:
    """Values in order, separated by commas."""

    def flat(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in flat(item)]
        return [text for item in value for text in flat(item)] if isinstance(value, list) else [str(value)]

    return ",".join(
        flat(message_to_ordereddict(msg, truncate_length=truncate_length, no_arr=no_arr, no_str=no_str))
    )
