"""`ros2 interface list | show`"""

from __future__ import annotations

import argparse
import sys

from ros2cli.main import CommandError, add_verb


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    add_verb(verbs, list_)
    add_verb(verbs, show).add_argument("type", help="as sensor_msgs/msg/Image, or - to read it from stdin")


def list_(args: argparse.Namespace) -> None:
    """List messages, services and actions."""
    from embedded_dds.definitions import interfaces, packages

    for title, kind in (("Messages", "msg"), ("Services", "srv"), ("Actions", "action")):
        print(f"{title}:")
        for package in packages():
            print("".join(f"    {package}/{kind}/{name}\n" for name in interfaces(package, kind)), end="")


def show(args: argparse.Namespace) -> None:
    """Print a definition."""
    from embedded_dds.definitions import DefinitionError, text

    name = sys.stdin.readline().strip() if args.type == "-" else args.type
    if name.count("/") == 1:
        name = name.replace("/", "/msg/")
    if name.count("/") != 2:
        raise CommandError(f"'{name}' is not an interface name such as sensor_msgs/msg/Image")
    try:
        print(text(name))
    except DefinitionError as error:
        raise CommandError(str(error)) from None
