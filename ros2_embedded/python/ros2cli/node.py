"""`ros2 node list | info`"""

from __future__ import annotations

import argparse

from ros2cli.main import add_verb
from ros2cli.session import hidden, node_names, require_node, session, settle

_SECTIONS = {
    "Subscribers": "get_subscriber_names_and_types_by_node",
    "Publishers": "get_publisher_names_and_types_by_node",
    "Service Servers": "get_service_names_and_types_by_node",
    "Service Clients": "get_client_names_and_types_by_node",
}
_ACTION_STATUS = "/_action/status"


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    verb = add_verb(verbs, list_)
    verb.add_argument("-a", "--all", action="store_true", help="show hidden nodes too")
    verb.add_argument("-c", "--count-nodes", action="store_true")
    add_verb(verbs, info).add_argument("node")


def list_(args: argparse.Namespace) -> None:
    """List nodes."""
    with session() as node:
        found = settle(node, lambda: node_names(node), names=True)
    names = [name for name in found if args.all or not hidden(name)]
    print(len(names) if args.count_nodes else "\n".join(names))


def info(args: argparse.Namespace) -> None:
    """Show topics, services and actions of a node."""
    with session() as node:
        name, namespace = require_node(node, args.node)
        look = {title: getattr(node, method) for title, method in _SECTIONS.items()}
        found = settle(node, lambda: {title: sorted(get(name, namespace)) for title, get in look.items()})
    print(f"{namespace.rstrip('/')}/{name}")
    for title, items in found.items():
        _print_section(title, [item for item in items if not hidden(item[0])])
    for title, source in (("Action Servers", "Publishers"), ("Action Clients", "Subscribers")):
        actions = [
            topic.removesuffix(_ACTION_STATUS) for topic, _ in found[source] if topic.endswith(_ACTION_STATUS)
        ]
        _print_section(title, [(action, []) for action in actions])


def _print_section(title: str, items: list) -> None:
    print(f"  {title}:")
    for topic, types in items:
        print(f"    {topic}: {', '.join(types)}" if types else f"    {topic}")
