"""`ros2 bag record | play | info`: rosbag2 folders (MCAP), messages as the bytes that are on the wire."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ros2cli import qos
from ros2cli.main import CommandError, add_verb
from ros2cli.session import absolute, hidden, session, settle

_LOOK_S = 0.3  # how often a recording looks for new topics
_CLOCK_HZ = 40.0  # as rosbag2


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    verb = add_verb(verbs, record)
    verb.add_argument("names", nargs="*", metavar="topic")
    verb.add_argument("--topics", nargs="+", default=[], help="the same as topics without --topics")
    verb.add_argument("-a", "--all", action="store_true", help="every topic, later ones too")
    verb.add_argument("-e", "--regex", help="topics whose whole name matches")
    verb.add_argument("--include-hidden-topics", action="store_true", help="with -a and -e hidden ones too")
    verb.add_argument("-o", "--output", type=Path, help="folder to make (default rosbag2_<date>-<time>)")
    verb.add_argument("-s", "--storage", choices=["mcap", "sqlite3"], default="mcap")
    verb = add_verb(verbs, play)
    verb.add_argument("bag", type=Path, help="folder of a bag, or one of its files")
    verb.add_argument("--topics", nargs="+", default=[], help="only these")
    verb.add_argument("-r", "--rate", type=float, default=1.0, help="2 is twice as fast as recorded")
    verb.add_argument("-l", "--loop", action="store_true", help="again and again until Ctrl-C")
    verb.add_argument("--start-offset", type=float, default=0.0, help="seconds to skip at the beginning")
    verb.add_argument("-m", "--remap", nargs="+", default=[], metavar="OLD:=NEW")
    help_text = f"publish /clock at so many Hz (default {_CLOCK_HZ:g})"
    verb.add_argument("--clock", type=float, nargs="?", const=_CLOCK_HZ, help=help_text)
    add_verb(verbs, info).add_argument("bag", type=Path, help="folder of a bag, or one of its files")


# Recording


def record(args: argparse.Namespace) -> None:
    """Record topics until Ctrl-C."""
    from rclpy.executors import SingleThreadedExecutor

    names = {absolute(name) for name in (*args.names, *args.topics)}
    if not (names or args.all or args.regex):
        raise CommandError("nothing to record: name topics, or give -a for all")
    path = args.output or Path(time.strftime("rosbag2_%Y_%m_%d-%H_%M_%S"))
    with _stop_signals() as stopped, session() as node, _writer(path, args.storage) as writer:
        recording = _Recording(node, writer, _choice(args, names))
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        print(f"Recording to '{path}', until Ctrl-C", flush=True)
        look_at = 0.0
        while not stopped:
            if time.monotonic() >= look_at:
                recording.look()
                look_at = time.monotonic() + _LOOK_S
            executor.spin_once(timeout_sec=0.1)
    for name in sorted(names - recording.connections.keys()):
        print(f"topic '{name}' was never published", file=sys.stderr)
    print(f"Recorded {recording.count} messages of {len(recording.connections)} topics to '{path}'")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM: an exception in the middle of a write would leave a
    broken file."""
    stopped: list[int] = []
    previous = {
        number: signal.signal(number, lambda received, frame: stopped.append(received))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _writer(path: Path, storage: str) -> Iterator[Any]:
    """A new bag. Raises CommandError if it cannot be made or written."""
    from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

    try:
        with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
            yield writer
    except (OSError, WriterError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(f"cannot write the bag '{path}': {reason}") from None


def _choice(args: argparse.Namespace, names: set[str]) -> Callable[[str], bool]:
    """Whether a topic is to be recorded."""

    def chosen(topic: str) -> bool:
        if topic in names:
            return True
        if hidden(topic) and not args.include_hidden_topics:
            return False
        return args.all or bool(args.regex and re.fullmatch(args.regex, topic))

    return chosen


class _Recording:
    """Subscribes the chosen topics as they appear, and writes what arrives."""

    def __init__(self, node: Any, writer: Any, chosen: Callable[[str], bool]) -> None:
        self._node, self._writer, self._chosen = node, writer, chosen
        self._seen: set[str] = set()
        self.connections: dict[str, Any] = {}
        self.count = 0

    def look(self) -> None:
        """Only published topics are subscribed: before that nobody knows what QoS to ask for."""
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._seen or not self._chosen(topic):
                continue
            publishers = self._node.get_publishers_info_by_topic(topic)
            if publishers:
                self._seen.add(topic)
                self._subscribe(topic, types[0], publishers)

    def _subscribe(self, topic: str, type_name: str, publishers: list[Any]) -> None:
        from embedded_dds.definitions import DefinitionError, full_text, type_hash
        from rosidl_runtime_py.utilities import get_interface

        try:
            message_class, definition = get_interface(type_name), full_text(type_name)
        except (DefinitionError, ImportError, ValueError) as error:
            print(f"topic '{topic}' is not recorded, its type is unknown: {error}", file=sys.stderr)
            return
        connection = self._writer.add_connection(
            topic, type_name, msgdef=definition, rihs01=type_hash(type_name),
            offered_qos_profiles=[_bag_qos(end.qos_profile) for end in publishers],
        )  # fmt: skip

        def on_message(data: bytes) -> None:
            self._writer.write(connection, time.time_ns(), data)
            self.count += 1

        self.connections[topic] = connection
        profile = qos.matching(self._node, topic, depth=1000)
        self._node.create_subscription(message_class, topic, on_message, profile, raw=True)
        print(f"Subscribed to topic '{topic}'", flush=True)


def _bag_qos(profile: Any) -> Any:
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    def span(duration: Any) -> Any:
        return QosTime(*divmod(duration.nanoseconds, 10**9))

    return Qos(
        QosHistory(int(profile.history)), profile.depth,
        QosReliability(int(profile.reliability)), QosDurability(int(profile.durability)),
        span(profile.deadline), span(profile.lifespan),
        QosLiveliness(int(profile.liveliness)), span(profile.liveliness_lease_duration), False,
    )  # fmt: skip


# Playing


def play(args: argparse.Namespace) -> None:
    """Publish the messages of a bag at the times they had."""
    if args.rate <= 0 or (args.clock is not None and args.clock <= 0):
        raise CommandError("--rate and --clock must be positive")
    names = {absolute(name) for name in args.topics}
    with _reader(args.bag) as reader, session() as node:
        connections = [c for c in reader.connections if not names or c.topic in names]
        if missing := names - {connection.topic for connection in connections}:
            choices = ", ".join(sorted(reader.topics)) or "none"
            raise CommandError(f"no topic {', '.join(sorted(missing))} in the bag, choices: {choices}")
        publishers = _publishers(node, connections, _remaps(args.remap))
        settle(node, lambda: [publisher.get_subscription_count() for publisher in publishers.values()])
        ticker = _Ticker(node, args.clock) if args.clock else None
        start = reader.start_time + int(args.start_offset * 1e9)
        played = [connection for connection in connections if connection.id in publishers]
        if not played or next(reader.messages(played, start), None) is None:
            raise CommandError(f"nothing to play in the bag '{args.bag}' after {args.start_offset:g} s")
        print(f"Playing '{args.bag}'", flush=True)
        while True:
            _play_once(reader.messages(played, start), start, args.rate, publishers, ticker)
            if not args.loop:
                break
        for publisher in publishers.values():
            publisher.wait_for_all_acked(_ack_limit())


def _play_once(messages: Any, start: int, rate: float, publishers: dict[int, Any], ticker: Any) -> None:
    begin = time.monotonic()
    for connection, stamp, data in messages:
        due = begin + (stamp - start) / 1e9 / rate
        while (left := due - time.monotonic()) > 0:
            if ticker:
                ticker.tick(stamp - int(left * 1e9 * rate))
            time.sleep(min(left, ticker.period_s) if ticker else left)
        publishers[connection.id].publish(data)


class _Ticker:
    """Publishes /clock, for nodes with use_sim_time."""

    def __init__(self, node: Any, rate_hz: float) -> None:
        from rosgraph_msgs.msg import Clock

        self.period_s, self._class = 1.0 / rate_hz, Clock
        self._publisher = node.create_publisher(Clock, "/clock", 10)

    def tick(self, nanoseconds: int) -> None:
        message = self._class()
        message.clock.sec, message.clock.nanosec = divmod(nanoseconds, 10**9)
        self._publisher.publish(message)


def _publishers(node: Any, connections: list[Any], remaps: dict[str, str]) -> dict[int, Any]:
    """Publishers by connection, without those of types unknown here."""
    from rosidl_runtime_py.utilities import get_interface

    found = {}
    for connection in connections:
        try:
            message_class = get_interface(connection.msgtype)
        except (ImportError, ValueError) as error:
            print(f"topic '{connection.topic}' is not played, its type is unknown: {error}", file=sys.stderr)
            continue
        topic = remaps.get(connection.topic, connection.topic)
        profile = _play_qos(connection.ext.offered_qos_profiles)
        found[connection.id] = node.create_publisher(message_class, topic, profile)
    return found


def _play_qos(offered: list[Any]) -> Any:
    """Best effort, or latched, only if every recorded publisher was."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    best_effort = bool(offered) and all(profile.reliability.name == "BEST_EFFORT" for profile in offered)
    latched = bool(offered) and all(profile.durability.name == "TRANSIENT_LOCAL" for profile in offered)
    return QoSProfile(
        depth=max([10, *(profile.depth for profile in offered)]),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _remaps(rules: list[str]) -> dict[str, str]:
    remaps = {}
    for rule in rules:
        old, separator, new = rule.partition(":=")
        if not (old and separator and new):
            raise CommandError(f"'{rule}' is not of the form /old:=/new")
        remaps[absolute(old)] = absolute(new)
    return remaps


def _ack_limit() -> Any:
    from rclpy.duration import Duration

    return Duration(seconds=2)  # a stopped subscriber must not keep the command


@contextmanager
def _reader(path: Path) -> Iterator[Any]:
    """An open bag. Raises CommandError if it is none."""
    from rosbags.rosbag2 import Reader, ReaderError

    try:
        reader = Reader(path)
        reader.open()
    except (OSError, ReaderError) as error:
        raise CommandError(f"cannot read the bag '{path}': {error}") from None
    try:
        yield reader
    finally:
        reader.close()


# What is in a bag


def info(args: argparse.Namespace) -> None:
    """Show what is in a bag."""
    with _reader(args.bag) as reader:
        files = sorted(args.bag.glob("*.*")) if args.bag.is_dir() else [args.bag]
        files = [file for file in files if file.name != "metadata.yaml"]
        rows = [
            ("Files", ", ".join(file.name for file in files)),
            ("Bag size", f"{sum(file.stat().st_size for file in files) / 1024:.1f} KiB"),
            ("Messages", str(reader.message_count)),
        ]
        if reader.message_count:
            rows += [
                ("Duration", f"{reader.duration / 1e9:.9f}s"),
                ("Start", _date(reader.start_time)),
                ("End", _date(reader.end_time)),
            ]
        for title, text in rows:
            print(f"{title + ':':<12} {text}")
        for name, topic in sorted(reader.topics.items()):
            print(f"Topic: {name} | Type: {topic.msgtype} | Count: {topic.msgcount}")


def _date(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    text = time.strftime("%b %e %Y %H:%M:%S", time.localtime(seconds))
    return f"{text}.{rest:09} ({nanoseconds / 1e9:.9f})"
