"""Interface classes by name."""

from __future__ import annotations

from typing import Any

from embedded_dds.definitions import DefinitionError
from embedded_dds.types import interface_class


def get_interface(identifier: str) -> Any:
    """The class of `package/msg/Name`, `package/srv/Name` or `package/action/Name`; `package/Name` is a
    message."""
    parts = identifier.split("/")
    full = f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else identifier
    try:
        return interface_class(full)
    except DefinitionError as error:
        if parts and "no interface" in str(error):
            raise ModuleNotFoundError(str(error)) from None
        raise ValueError(str(error)) from None


def _of_kind(identifier: str, kind: str) -> Any:
    parts = identifier.split("/")
    if len(parts) == 2:
        identifier = f"{parts[0]}/{kind}/{parts[1]}"
    elif len(parts) != 3 or parts[1] != kind:
        raise ValueError(f"Expected {identifier!r} to be like package/{kind}/Name")
    return get_interface(identifier)


def get_message(identifier: str) -> Any:
    return _of_kind(identifier, "msg")


def get_service(identifier: str) -> Any:
    return _of_kind(identifier, "srv")


def get_action(identifier: str) -> Any:
    return _of_kind(identifier, "action")
