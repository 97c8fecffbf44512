"""`ros2 service list | type | call`"""

from __future__ import annotations

import argparse
import time

from ros2cli.main import CommandError, add_verb
from ros2cli.session import absolute, call, fill, find_type, hidden, interface, session, settle


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    verb = add_verb(verbs, list_)
    verb.add_argument("-t", "--show-types", action="store_true")
    verb.add_argument("--include-hidden-services", action="store_true")
    add_verb(verbs, type_).add_argument("service")
    verb = add_verb(verbs, call_)
    verb.add_argument("service")
    verb.add_argument("type", nargs="?")
    verb.add_argument("values", nargs="?", default="{}", help="YAML, as '{data: true}'")
    verb.add_argument("-r", "--rate", type=float, help="repeat at this rate in Hz")


def list_(args: argparse.Namespace) -> None:
    """List services."""
    with session() as node:
        services = settle(node, lambda: sorted(node.get_service_names_and_types()))
    for name, types in services:
        if args.include_hidden_services or not hidden(name):
            print(f"{name} [{', '.join(types)}]" if args.show_types else name)


def type_(args: argparse.Namespace) -> None:
    """Print the type of a service."""
    with session() as node:
        print(find_type(node, args.service, "service"))


def call_(args: argparse.Namespace) -> None:
    """Call a service."""
    with session() as node:
        known = find_type(node, args.service, "service")
        service_type = interface(args.type or known, "srv")
        if args.type and args.type.replace("/srv/", "/") != known.replace("/srv/", "/"):
            raise CommandError(f"service '{absolute(args.service)}' has type {known}, not {args.type}")
        request = fill(service_type.Request(), args.values)
        while True:
            print(f"requester: making request: {request!r}\n", flush=True)
            print(f"response:\n{call(node, service_type, absolute(args.service), request)!r}\n", flush=True)
            if not args.rate:
                return
            time.sleep(1 / args.rate)
