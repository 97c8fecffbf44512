"""`ros2 topic list | type | info | find | echo | pub`; `hz`, `bw` and `delay` are in topic_statistics."""

from __future__ import annotations

import argparse
import time
from typing import Any

from ros2cli import qos, topic_statistics
from ros2cli.main import CommandError, add_verb
from ros2cli.session import absolute, fill, find_type, hidden, interface, session, settle, wait_for


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    verb = add_verb(verbs, list_)
    verb.add_argument("-t", "--show-types", action="store_true")
    verb.add_argument("-c", "--count-topics", action="store_true")
    verb.add_argument("--include-hidden-topics", action="store_true")
    add_verb(verbs, type_).add_argument("topic")
    verb = add_verb(verbs, info)
    verb.add_argument("topic")
    verb.add_argument("-v", "--verbose", action="store_true", help="show the endpoints with their QoS")
    add_verb(verbs, find).add_argument("type", help="as std_msgs/msg/String")
    verb = add_verb(verbs, echo)
    verb.add_argument("topic")
    verb.add_argument("type", nargs="?", help="needed only while nobody publishes")
    verb.add_argument("--once", action="store_true", help="end after the first message")
    verb.add_argument("--field", help="show only this field, as pose.position.x")
    verb.add_argument("--no-arr", action="store_true", help="show only type and length of arrays")
    verb.add_argument(
        "--timeout", type=float, help="end with exit code 1 after so many seconds without a message"
    )
    qos.add_options(verb)
    verb = add_verb(verbs, pub)
    verb.add_argument("topic")
    verb.add_argument("type")
    verb.add_argument("values", nargs="?", default="{}", help="YAML, as '{data: 1}'")
    verb.add_argument("-r", "--rate", type=float, default=1.0, help="Hz (default 1)")
    verb.add_argument("-1", "--once", action="store_true", help="publish one message and end")
    verb.add_argument("-t", "--times", type=int, default=0, help="publish so many messages and end")
    verb.add_argument(
        "-w", "--wait-matching-subscriptions", type=int, help="default 1 with --once or --times"
    )
    verb.add_argument("-p", "--print", type=int, default=1, help="print every n-th message")
    qos.add_options(verb)
    topic_statistics.add_verbs(verbs)


def list_(args: argparse.Namespace) -> None:
    """List topics."""
    with session() as node:
        topics = settle(node, lambda: sorted(node.get_topic_names_and_types()))
    shown = [item for item in topics if args.include_hidden_topics or not hidden(item[0])]
    if args.count_topics:
        print(len(shown))
        return
    for name, types in shown:
        print(f"{name} [{', '.join(types)}]" if args.show_types else name)


def type_(args: argparse.Namespace) -> None:
    """Print the type of a topic."""
    with session() as node:
        print(find_type(node, args.topic, "topic"))


def info(args: argparse.Namespace) -> None:
    """Show type, publishers and subscriptions of a topic."""
    name = absolute(args.topic)
    with session() as node:
        print(f"Type: {find_type(node, name, 'topic')}")
        ends = settle(node, lambda: [_endpoints(node, name, kind) for kind in _ENDS], names=args.verbose)
    for title, found in zip(("Publisher", "Subscription"), ends, strict=True):
        print(f"\n{title} count: {len(found)}" if args.verbose else f"{title} count: {len(found)}")
        if args.verbose:
            print("".join(f"\n{end}\n" for end in found), end="")


_ENDS = ("publishers", "subscriptions")


def _endpoints(node: Any, topic: str, kind: str) -> list[str]:
    return sorted(str(end) for end in getattr(node, f"get_{kind}_info_by_topic")(topic))


def find(args: argparse.Namespace) -> None:
    """List the topics of a type."""
    wanted = args.type if args.type.count("/") == 2 else args.type.replace("/", "/msg/")
    with session() as node:
        topics = settle(node, lambda: sorted(node.get_topic_names_and_types()))
    print("".join(f"{name}\n" for name, types in topics if wanted in types), end="")


def echo(args: argparse.Namespace) -> int:
    """Print the messages of a topic."""
    import rclpy
    from rosidl_runtime_py import message_to_yaml

    printed = 0

    def on_message(message: Any) -> None:
        nonlocal printed
        if args.once and printed:
            return
        value = _field(message, args.field) if args.field else message
        text = (
            message_to_yaml(value, no_arr=args.no_arr)
            if hasattr(value, "get_fields_and_field_types")
            else f"{value}\n"
        )
        print(f"{text}---", flush=True)
        printed += 1

    with session() as node:
        topic_type = args.type or find_type(node, args.topic, "topic")
        message_class = interface(topic_type, "msg")
        profile = qos.matching_options(node, absolute(args.topic), args)
        node.create_subscription(message_class, absolute(args.topic), on_message, profile)
        quiet_since, seen = time.monotonic(), 0
        while not (args.once and printed):
            rclpy.spin_once(node, timeout_sec=0.1)
            if printed != seen:
                quiet_since, seen = time.monotonic(), printed
            elif args.timeout and time.monotonic() - quiet_since > args.timeout:
                raise CommandError(f"no message on '{absolute(args.topic)}' for {args.timeout:g} s")
    return 0


def _field(message: Any, path: str) -> Any:
    for name in path.split("."):
        if not hasattr(message, name):
            choices = ", ".join(getattr(message, "get_fields_and_field_types", dict)()) or "none"
            raise CommandError(f"no field '{name}' (of '{path}'), choices: {choices}")
        message = getattr(message, name)
    return message


def pub(args: argparse.Namespace) -> None:
    """Publish messages on a topic."""
    if args.rate <= 0:
        raise CommandError(f"--rate must be positive, got {args.rate:g}")
    message = fill(interface(args.type, "msg")(), args.values)
    times = 1 if args.once else args.times
    wanted = args.wait_matching_subscriptions
    with session() as node:
        publisher = node.create_publisher(type(message), absolute(args.topic), qos.from_options(args))
        for_ever = float("inf")
        matched = (1 if times else 0) if wanted is None else wanted
        if publisher.get_subscription_count() < matched:
            print(f"Waiting for at least {matched} matching subscription(s)...", flush=True)
            wait_for(lambda: publisher.get_subscription_count() >= matched, for_ever)
        count, begin = 0, time.monotonic()
        while not times or count < times:
            count += 1
            publisher.publish(message)
            if count % args.print == 0:
                print(f"publishing #{count}: {message!r}\n", flush=True)
            time.sleep(max(0.0, begin + count / args.rate - time.monotonic()) if count != times else 0.1)
