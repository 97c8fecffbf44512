"""The ROS 2 client library for Python, on Cyclone DDS; see README.md of the embedded runtime."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions, install_signal_handlers, uninstall_signal_handlers
from rclpy.utilities import (
    close_all,
    get_default_context,
    get_rmw_implementation_identifier,
    ok,
    try_shutdown,
)
from rclpy.utilities import shutdown as _shutdown

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.task import Future

__all__ = [
    "Context", "Future", "Parameter", "SignalHandlerOptions", "create_node", "get_default_context",
    "get_global_executor", "get_rmw_implementation_identifier", "init", "ok", "shutdown", "spin", "spin_once",
    "spin_until_future_complete", "try_shutdown",
]  # fmt: skip

# Names of the package that are loaded when first asked for: a launch needs the signal handling only.
_LATER = {"Parameter": "rclpy.parameter", "Future": "rclpy.task"}
_MODULES = ("executors", "node", "parameter", "task")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"rclpy.{name}")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'rclpy' has no attribute {name!r}")


_executor: Executor | None = None
atexit.register(close_all)


def init(
    *,
    args: Sequence[str] | None = None,
    context: Context | None = None,
    domain_id: int | None = None,
    signal_handler_options: SignalHandlerOptions | None = None,
) -> None:
    """Starts ROS in this process; `args` None means sys.argv."""
    target = get_default_context() if context is None else context
    if signal_handler_options is None:
        signal_handler_options = SignalHandlerOptions.ALL if context is None else SignalHandlerOptions.NO
    target.init(args, domain_id=domain_id)
    install_signal_handlers(signal_handler_options)


def get_global_executor() -> Executor:
    """The executor that `spin` uses when none is given."""
    global _executor
    if _executor is None or _executor._is_shutdown:
        from rclpy.executors import SingleThreadedExecutor

        executor = SingleThreadedExecutor()
        get_default_context().on_shutdown(_drop_executor)
        _executor = executor
    return _executor


def _drop_executor() -> None:
    global _executor
    if _executor is not None:
        _executor.shutdown()
        _executor = None


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Ends ROS in this process; RuntimeError if it was ended before."""
    _shutdown(context=context)
    if uninstall_handlers or (uninstall_handlers is None and context is None):
        uninstall_signal_handlers()


def create_node(node_name: str, **kwargs: Any) -> Node:
    """A node; keyword arguments as of `rclpy.node.Node`."""
    from rclpy.node import Node

    return Node(node_name, **kwargs)


def spin(node: Node, executor: Executor | None = None) -> None:
    """Runs a node's callbacks until shutdown. What a callback raises is raised here."""
    target = get_global_executor() if executor is None else executor
    try:
        target.add_node(node)
        while target.context.ok() and not target._is_shutdown:
            target.spin_once()
    finally:
        target.remove_node(node)


def spin_once(node: Node, *, executor: Executor | None = None, timeout_sec: float | None = None) -> None:
    """Runs one callback, if there is one in time. A node that the executor had before stays in it."""
    target = get_global_executor() if executor is None else executor
    added = target.add_node(node)
    try:
        target.spin_once(timeout_sec=timeout_sec)
    finally:
        if added:
            target.remove_node(node)


def spin_until_future_complete(
    node: Node, future: Future, executor: Executor | None = None, timeout_sec: float | None = None
) -> None:
    """Runs callbacks until the future is done or the time is over. A node that the executor had before
    stays in it."""
    target = get_global_executor() if executor is None else executor
    added = target.add_node(node)
    try:
        target.spin_until_future_complete(future, timeout_sec)
    finally:
        if added:
            target.remove_node(node)
