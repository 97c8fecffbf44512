"""`ros2 action list | info | type | send_goal`"""

from __future__ import annotations

import argparse
import signal
from typing import Any

from ros2cli.main import CommandError, add_verb
from ros2cli.session import (
    absolute,
    fill,
    find_type,
    interface,
    node_names,
    require_server,
    session,
    settle,
    spin_until_done,
    split_name,
    wait_for,
)

_CANCEL_S = 5.0  # how long a goal may take to be accepted and cancelled after Ctrl-C


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    verb = add_verb(verbs, list_)
    verb.add_argument("-t", "--show-types", action="store_true")
    verb.add_argument("-c", "--count-actions", action="store_true")
    verb = add_verb(verbs, info)
    verb.add_argument("action")
    verb.add_argument("-t", "--show-types", action="store_true")
    add_verb(verbs, type_).add_argument("action")
    verb = add_verb(verbs, send_goal)
    verb.add_argument("action")
    verb.add_argument("type")
    verb.add_argument("goal", nargs="?", default="{}", help="YAML, as '{order: 3}'")
    verb.add_argument("-f", "--feedback", action="store_true", help="print the feedback too")


def list_(args: argparse.Namespace) -> None:
    """List actions."""
    from rclpy.action import get_action_names_and_types

    with session() as node:
        actions = settle(node, lambda: get_action_names_and_types(node))
    if args.count_actions:
        print(len(actions))
        return
    print("".join(f"{_line(name, types, args.show_types)}\n" for name, types in actions), end="")


def info(args: argparse.Namespace) -> None:
    """Show the clients and servers of an action."""
    from rclpy.action import (
        get_action_client_names_and_types_by_node,
        get_action_server_names_and_types_by_node,
    )

    sides = {
        "clients": get_action_client_names_and_types_by_node,
        "servers": get_action_server_names_and_types_by_node,
    }
    name = absolute(args.action)
    with session() as node:
        find_type(node, name, "action")
        found = settle(
            node, lambda: {side: _nodes_with(node, name, get) for side, get in sides.items()}, names=True
        )
    print(f"Action: {name}")
    for side, nodes in found.items():
        print(f"Action {side}: {len(nodes)}")
        for node_name, types in nodes:
            print(f"    {_line(node_name, types, args.show_types)}")


def type_(args: argparse.Namespace) -> None:
    """Print the type of an action."""
    with session() as node:
        print(find_type(node, args.action, "action"))


def send_goal(args: argparse.Namespace) -> int:
    """Send a goal, print its result; Ctrl-C cancels it."""
    from rclpy.action import ActionClient

    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # it must not leave a moving arm either
    action_type = interface(args.type, "action")
    goal = fill(action_type.Goal(), args.goal)
    with session() as node:
        _check_type(node, args)  # before our own client is in the graph too
        client = ActionClient(node, action_type, absolute(args.action))
        require_server(client._goal)
        if not wait_for(client.server_is_ready):
            raise CommandError(f"action '{absolute(args.action)}' is not available")
        print(f"Sending goal:\n{_indented(goal)}\n", flush=True)
        on_feedback = _print_feedback if args.feedback else None
        sent = client.send_goal_async(goal, feedback_callback=on_feedback)
        try:
            return _follow(node, sent)
        except KeyboardInterrupt:
            _cancel(node, sent)
            raise


def _check_type(node: Any, args: argparse.Namespace) -> None:
    """CommandError if there is no such action, or one of another type."""
    known = find_type(node, args.action, "action")
    if args.type.replace("/action/", "/") != known.replace("/action/", "/"):
        raise CommandError(f"action '{absolute(args.action)}' has type {known}, not {args.type}")


def _follow(node: Any, sent: Any) -> int:
    """Prints what becomes of a goal. Returns the exit code."""
    from action_msgs.msg import GoalStatus

    spin_until_done(node, sent)
    handle = sent.result()
    if not handle.accepted:
        raise CommandError("the goal was rejected")
    print(f"Goal accepted with ID: {bytes(handle.goal_id.uuid).hex()}\n", flush=True)
    future = handle.get_result_async()
    spin_until_done(node, future)
    answer = future.result()
    print(f"Result:\n{_indented(answer.result)}\n")
    names = {v: k for k, v in vars(GoalStatus).items() if k.startswith("STATUS_") and isinstance(v, int)}
    print(f"Goal finished with status: {names[answer.status].removeprefix('STATUS_')}")
    return 0 if answer.status == GoalStatus.STATUS_SUCCEEDED else 1


def _cancel(node: Any, sent: Any) -> None:
    """Cancels the goal, also one that is being accepted: nobody else would end it."""
    print("Canceling goal...", flush=True)
    if spin_until_done(node, sent, _CANCEL_S) and not sent.result().accepted:
        return
    cancelled = sent.result().cancel_goal_async() if sent.done() else sent
    if not sent.done() or not spin_until_done(node, cancelled, _CANCEL_S):
        raise CommandError(f"the server did not answer within {_CANCEL_S:g} s: the goal may still be pursued")
    if not cancelled.result().goals_canceling:
        raise CommandError("the server did not cancel the goal")
    print("Goal canceled.", flush=True)


def _print_feedback(message: Any) -> None:
    print(f"Feedback:\n{_indented(message.feedback)}\n", flush=True)


def _nodes_with(node: Any, action: str, get: Any) -> list[tuple[str, list[str]]]:
    """Nodes that `get` (a query by node) says to have the action, with its types."""
    found = []
    for full in node_names(node):
        types = dict(get(node, *split_name(full))).get(action)
        if types:
            found.append((full, types))
    return found


def _line(name: str, types: list[str], show_types: bool) -> str:
    return f"{name} [{', '.join(types)}]" if show_types else name


def _indented(message: Any) -> str:
    from rosidl_runtime_py import message_to_yaml

    return "\n".join(f"    {line}" for line in message_to_yaml(message).splitlines())
