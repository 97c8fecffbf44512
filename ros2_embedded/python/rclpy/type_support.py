"""Whether a class is a ROS interface of the kind that is wanted."""

from __future__ import annotations

from typing import Any


def check_for_type_support(msg_or_srv_type: Any) -> None:
    """AttributeError for what is no interface class at all."""
    if not isinstance(getattr(msg_or_srv_type, "_ros_name", None), str):
        raise AttributeError(
            f"{msg_or_srv_type!r} has no type support. This might be a ROS 1 message type but it should be a "
            "ROS 2 message type."
        )


def check_is_valid_msg_type(msg_type: Any) -> None:
    """AttributeError for what is no interface class, RuntimeError for a service or action."""
    check_for_type_support(msg_type)
    if not hasattr(msg_type, "get_fields_and_field_types"):
        raise RuntimeError(f"message type {msg_type!r} is not valid, this might be a service or action")


def check_is_valid_srv_type(srv_type: Any) -> None:
    """AttributeError for what is no interface class, RuntimeError for a message or action."""
    check_for_type_support(srv_type)
    if not (hasattr(srv_type, "Request") and hasattr(srv_type, "Response")):
        raise RuntimeError(f"service type {srv_type!r} is not valid, this might be a message or action")
