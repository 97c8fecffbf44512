"""A hidden node for one command, and what commands ask of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ros2cli.main import CommandError

_POLL_S = 0.05
_SETTLED_S = 0.4  # a graph that has not changed for so long is taken as complete
DISCOVERY_S = 3.0  # the longest wait for something that should be there
T = TypeVar("T")


@contextmanager
def session() -> Iterator[Any]:
    """A node that `ros2 node list` does not show; Ctrl-C raises KeyboardInterrupt. CommandError if no node
    can be made in this environment."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        name = f"_ros2cli_{os.getpid()}"
        node = rclpy.create_node(name, enable_rosout=False, start_parameter_services=False)
    except RuntimeError as error:
        raise CommandError(str(error)) from None
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def check_environment() -> None:
    """CommandError where every node that this environment is given to would fail."""
    from rclpy.context import environment_domain_id

    try:
        domain_id = environment_domain_id()
        if os.environ.get("CYCLONEDDS_URI"):
            from embedded_dds.dds import Participant

            Participant(domain_id).close()
    except RuntimeError as error:
        raise CommandError(str(error)) from None


def settle(look: Callable[[], T]) -> T:
    """What `look()` returns once that has stopped changing: nobody says when discovery is over."""
    result, since, start = look(), time.monotonic(), time.monotonic()
    while time.monotonic() - since < _SETTLED_S and time.monotonic() - start < DISCOVERY_S:
        time.sleep(_POLL_S)
        latest = look()
        if latest != result:
            result, since = latest, time.monotonic()
    return result


def wait_for(look: Callable[[], T], timeout_s: float = DISCOVERY_S) -> T:
    """What `look()` returns as soon as that is true, or after the timeout."""
    end = time.monotonic() + timeout_s
    while not (result := look()) and time.monotonic() < end:
        time.sleep(_POLL_S)
    return result


def absolute(name: str) -> str:
    """A name as it stands in the graph."""
    return name if name.startswith("/") else f"/{name}"


def hidden(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("/"))


def find_type(node: Any, name: str, kind: str) -> str:
    """The type of a topic or service in the graph. Raises CommandError listing what there is."""
    names = node.get_topic_names_and_types if kind == "topic" else node.get_service_names_and_types
    types = wait_for(lambda: dict(names()).get(absolute(name)))
    if not types:
        choices = ", ".join(sorted(known for known, _ in names() if not hidden(known))) or "none"
        raise CommandError(f"no {kind} '{absolute(name)}', choices: {choices}")
    return types[0]


def interface(name: str, kind: str) -> Any:
    """The class of an interface such as std_msgs/msg/String; std_msgs/String will do. Raises CommandError."""
    from rosidl_runtime_py.utilities import get_message, get_service

    if name.count("/") == 1:
        name = name.replace("/", f"/{kind}/")
    try:
        return {"msg": get_message, "srv": get_service}[kind](name)
    except (ValueError, LookupError, AttributeError, ImportError) as error:
        raise CommandError(f"unknown type '{name}': {error}") from None


def fill(message: Any, text: str) -> Any:
    """The message with fields set from YAML text. Raises CommandError."""
    import yaml
    from rosidl_runtime_py import set_message_fields

    try:
        values = yaml.safe_load(text) or {}
        if not isinstance(values, dict):
            raise ValueError("expected a mapping such as '{data: 1}'")
        set_message_fields(message, values)
    except (yaml.YAMLError, AttributeError, ValueError, TypeError, AssertionError) as error:
        raise CommandError(f"cannot fill {type(message).__name__} from '{text}': {error}") from None
    return message


def node_names(node: Any) -> list[str]:
    """Fully qualified names of the nodes in the graph."""
    return sorted(
        f"{namespace.rstrip('/')}/{name}"
        for name, namespace in node.get_node_names_and_namespaces()
        if not name.startswith("_ros2cli_")
    )


def require_node(node: Any, name: str) -> tuple[str, str]:
    """(name, namespace) of a node in the graph. Raises CommandError listing the nodes."""
    full = absolute(name)
    if not wait_for(lambda: full in node_names(node)):
        raise CommandError(f"no node '{full}', choices: {', '.join(node_names(node)) or 'none'}")
    namespace, _, short = full.rpartition("/")
    return short, namespace or "/"


def call(node: Any, service_type: Any, name: str, request: Any, timeout_s: float = 5.0) -> Any:
    """The response of a service. Raises CommandError if there is none in time."""
    import rclpy

    client = node.create_client(service_type, name)
    if not client.wait_for_service(timeout_sec=timeout_s):
        raise CommandError(f"service '{name}' is not available")
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=timeout_s)
    if not future.done():
        raise CommandError(f"service '{name}' did not answer within {timeout_s:g} s")
    return future.result()
