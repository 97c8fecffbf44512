"""A hidden node for one command, and what commands ask of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ros2cli.main import CommandError

_POLL_S = 0.05
_SETTLED_S = 0.4  # a graph that has not changed for so long is taken as complete
_ALONE_S = 1.0  # an empty one only later: on a busy machine the others need time to answer
_NAMES_S = 6.0  # Fast DDS tells its node names 3 s after discovery: twice that
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


def settle(node: Any, look: Callable[[], T], names: bool = False) -> T:
    """What `look()` returns once that has stopped changing and every process has been heard of: nobody says
    when discovery is over. With `names` it is about nodes, which some processes announce last."""
    graph, start = node.context.graph, time.monotonic()
    result, since = look(), start
    while time.monotonic() - start < _NAMES_S:
        alone = len(node.context.participant.participants()) < 2
        quiet_s = _ALONE_S if alone else _SETTLED_S
        if time.monotonic() - since >= quiet_s and not graph.unheard(names):
            break
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


def spin_until_done(node: Any, future: Any, timeout_s: float = float("inf")) -> bool:
    """Whether the future is done in time; in short steps, because a wait inside Cyclone hides Ctrl-C."""
    import rclpy

    end = time.monotonic() + timeout_s
    while not future.done() and time.monotonic() < end:
        rclpy.spin_until_future_complete(node, future, timeout_sec=min(0.1, end - time.monotonic()))
    return future.done()


def absolute(name: str) -> str:
    """A name as it stands in the graph."""
    return name if name.startswith("/") else f"/{name}"


def hidden(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("/"))


def find_type(node: Any, name: str, kind: str) -> str:
    """The type of a topic, service or action in the graph. Raises CommandError listing what there is."""
    from rclpy.action import get_action_names_and_types

    names = {
        "topic": node.get_topic_names_and_types,
        "service": node.get_service_names_and_types,
        "action": lambda: get_action_names_and_types(node),
    }[kind]
    types = wait_for(lambda: dict(names()).get(absolute(name)))
    if not types:
        choices = ", ".join(sorted(known for known, _ in names() if not hidden(known))) or "none"
        raise CommandError(f"no {kind} '{absolute(name)}', choices: {choices}")
    return types[0]


def interface(name: str, kind: str) -> Any:
    """The class of an interface such as std_msgs/msg/String; std_msgs/String will do. Raises CommandError."""
    from rosidl_runtime_py.utilities import get_action, get_message, get_service

    if name.count("/") == 1:
        name = name.replace("/", f"/{kind}/")
    try:
        return {"msg": get_message, "srv": get_service, "action": get_action}[kind](name)
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
    known = wait_for(lambda: full in node_names(node))
    if not known and full not in settle(node, lambda: node_names(node), names=True):
        raise CommandError(f"no node '{full}', choices: {', '.join(node_names(node)) or 'none'}")
    return split_name(full)


def split_name(full: str) -> tuple[str, str]:
    """(name, namespace) of a fully qualified node name."""
    namespace, _, short = full.rpartition("/")
    return short, namespace or "/"


def for_each(names: list[str], show: Callable[[str], None]) -> int:
    """Shows each; one that fails (one line) does not keep the others from view. Returns the exit code."""
    code = 0
    for name in names:
        try:
            show(name)
        except CommandError as error:
            print(error, file=sys.stderr)
            code = 1
    return code


def call(node: Any, service_type: Any, name: str, request: Any, answer_s: float = float("inf")) -> Any:
    """The response of a service. Raises CommandError if there is no server, or no answer in time."""
    client = node.create_client(service_type, name)
    require_server(client)
    future = client.call_async(request)
    if not spin_until_done(node, future, answer_s):
        raise CommandError(f"service '{name}' did not answer within {answer_s:g} s")
    return future.result()


def require_server(client: Any, timeout_s: float = 5.0) -> None:
    """Waits for the server of a client. Raises CommandError if there is none, or none that we can reach."""
    from rclpy.service import FOREIGN

    wait_for(lambda: client.service_is_ready() or client._foreign(), timeout_s)
    if client._foreign():
        raise CommandError(f"service '{client.service_name}' belongs to a foreign node: {FOREIGN}")
    if not client.service_is_ready():
        raise CommandError(f"service '{client.service_name}' is not available")
