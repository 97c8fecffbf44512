"""The default context and small helpers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rclpy import arguments
from rclpy.constants import S_TO_NS
from rclpy.context import Context, running_contexts

_default: Context | None = None


def get_default_context(*, shutting_down: bool = False) -> Context:
    """The context that is used where none is given; after a shutdown a new one."""
    global _default
    if _default is None:
        _default = Context()
    found = _default
    if shutting_down:
        _default = None
    return found


def ok(*, context: Context | None = None) -> bool:
    return (context or get_default_context()).ok()


def shutdown(*, context: Context | None = None) -> None:
    (context or get_default_context(shutting_down=True)).shutdown()


def try_shutdown(*, context: Context | None = None) -> None:
    (context or get_default_context(shutting_down=True)).try_shutdown()


def close_all() -> None:
    """Leaves the domain at interpreter exit: participants must not be dropped by garbage collection."""
    for context in running_contexts():
        context.try_shutdown()


def remove_ros_args(args: Sequence[str] | None = None) -> list[str]:
    """Arguments without `--ros-args` sections."""
    return arguments.parse(sys.argv if args is None else args).remaining


def get_rmw_implementation_identifier() -> str:
    return "rmw_cyclonedds_cpp"


def get_available_rmw_implementations() -> set[str]:
    return {get_rmw_implementation_identifier()}


def timeout_sec_to_nsec(timeout_sec: float | None) -> int:
    return -1 if timeout_sec is None or timeout_sec < 0 else int(float(timeout_sec) * S_TO_NS)
