"""`ros2 lifecycle nodes | get | list | set`"""

from __future__ import annotations

import argparse
from typing import Any

from ros2cli.main import CommandError, add_verb
from ros2cli.session import absolute, call, for_each, hidden, session, settle, wait_for

_GET_STATE = "lifecycle_msgs/srv/GetState"


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    verb = add_verb(verbs, nodes)
    verb.add_argument("-a", "--all", action="store_true", help="show hidden nodes too")
    verb.add_argument("-c", "--count-nodes", action="store_true")
    add_verb(verbs, get).add_argument("node", nargs="?")
    verb = add_verb(verbs, list_)
    verb.add_argument("node")
    verb.add_argument("-a", "--all", action="store_true", help="show those of other states too")
    verb = add_verb(verbs, set_)
    verb.add_argument("node")
    verb.add_argument("transition", help="label or number, as configure")


def nodes(args: argparse.Namespace) -> None:
    """List nodes with a life cycle."""
    with session() as node:
        found = settle(node, lambda: _lifecycle_nodes(node))
    shown = [name for name in found if args.all or not hidden(name)]
    print(len(shown) if args.count_nodes else "\n".join(shown))


def get(args: argparse.Namespace) -> int:
    """Print the state of a node or of all nodes."""
    with session() as node:
        if args.node:
            print(_state(node, _require(node, args.node)))
            return 0
        names = settle(node, lambda: _lifecycle_nodes(node))
        return for_each(names, lambda name: print(f"{name}: {_state(node, name)}"))


def list_(args: argparse.Namespace) -> None:
    """List the transitions that a node can make now."""
    with session() as node:
        for transition in _transitions(node, _require(node, args.node), args.all):
            print(f"- {transition.transition.label} [{transition.transition.id}]")
            print(f"\tStart: {transition.start_state.label}\n\tGoal: {transition.goal_state.label}")


def set_(args: argparse.Namespace) -> None:
    """Make a node change its state."""
    with session() as node:
        name = _require(node, args.node)
        available = [description.transition for description in _transitions(node, name)]
        wanted = [t for t in available if args.transition in (t.label, str(t.id))]
        if not wanted:
            choices = ", ".join(f"{t.label} [{t.id}]" for t in available) or "none"
            raise CommandError(f"no transition '{args.transition}' now, choices: {choices}")
        if not _call(node, name, "ChangeState", transition=wanted[0]).success:
            raise CommandError(f"transition '{wanted[0].label}' of node '{name}' failed")
    print("Transitioning successful")


def _lifecycle_nodes(node: Any) -> list[str]:
    services = node.get_service_names_and_types()
    return sorted(name.removesuffix("/get_state") for name, types in services if _GET_STATE in types)


def _require(node: Any, name: str) -> str:
    """The full name of a lifecycle node. Raises CommandError listing them."""
    full = absolute(name)
    if not wait_for(lambda: full in _lifecycle_nodes(node)):
        choices = ", ".join(_lifecycle_nodes(node)) or "none"
        raise CommandError(f"no node '{full}' with a life cycle, choices: {choices}")
    return full


def _state(node: Any, name: str) -> str:
    state = _call(node, name, "GetState").current_state
    return f"{state.label} [{state.id}]"


def _transitions(node: Any, name: str, everything: bool = False) -> list[Any]:
    path = "get_transition_graph" if everything else "get_available_transitions"
    return _call(node, name, "GetAvailableTransitions", path).available_transitions


_PATHS = {"GetState": "get_state", "ChangeState": "change_state"}


def _call(node: Any, name: str, service: str, path: str = "", **fields: Any) -> Any:
    """Calls one of the lifecycle services of the node; a transition takes as long as it takes."""
    from importlib import import_module

    service_type = getattr(import_module("lifecycle_msgs.srv"), service)
    request = service_type.Request(**fields)
    return call(node, service_type, f"{name}/{path or _PATHS[service]}", request)
