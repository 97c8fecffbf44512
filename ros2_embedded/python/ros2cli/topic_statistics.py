"""`ros2 topic hz | bw | delay`: what is measured of a topic while listening, once a second until Ctrl-C."""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

from ros2cli import qos
from ros2cli.main import CommandError, add_verb
from ros2cli.session import absolute, find_type, interface, session


def add_verbs(verbs: Any) -> None:
    for function, window in ((hz, 10000), (bw, 100), (delay, 10000)):
        verb = add_verb(verbs, function)
        verb.add_argument("topic")
        help_text = f"messages to average over (default {window})"
        verb.add_argument("-w", "--window", type=int, default=window, help=help_text)


def hz(args: argparse.Namespace) -> None:
    """Print the rate of a topic."""

    def report(arrivals: list[float]) -> str:
        gaps = [later - earlier for earlier, later in pairwise(arrivals)]
        return f"average rate: {1 / fmean(gaps):.3f}\n{_spread(gaps, len(arrivals))}"

    with session() as node:
        _measure(node, args, lambda data: time.perf_counter(), report)


def bw(args: argparse.Namespace) -> None:
    """Print the bandwidth of a topic, in serialised bytes."""

    def report(samples: list[tuple[float, int]]) -> str:
        sizes = [size for _, size in samples]
        rate = sum(sizes[1:]) / (samples[-1][0] - samples[0][0])
        mean, low, high = (_bytes(value) for value in (fmean(sizes), min(sizes), max(sizes)))
        return f"{_bytes(rate)}/s from {len(sizes)} messages\n\tsize mean: {mean} min: {low} max: {high}"

    with session() as node:
        _measure(node, args, lambda data: (time.perf_counter(), len(data)), report)


def delay(args: argparse.Namespace) -> None:
    """Print how old the stamps of a topic are on arrival."""

    def report(delays: list[float]) -> str:
        return f"average delay: {fmean(delays):.3f}\n{_spread(delays, len(delays))}"

    with session() as node:
        if "header" not in _message_class(node, args.topic).get_fields_and_field_types():
            raise CommandError(f"the messages of '{absolute(args.topic)}' have no header with a stamp")
        clock = node.get_clock()

        def sample(message: Any) -> float:
            stamp = message.header.stamp
            return clock.now().nanoseconds / 1e9 - (stamp.sec + stamp.nanosec / 1e9)

        _measure(node, args, sample, report, raw=False)


def _measure(
    node: Any,
    args: argparse.Namespace,
    sample: Callable[[Any], Any],
    report: Callable[[list[Any]], str],
    raw: bool = True,
) -> None:
    """Prints `report` of the last `sample(message)` every second, if there are new ones."""
    import rclpy

    samples: deque[Any] = deque(maxlen=max(2, args.window))
    arrived = reported = 0

    def on_message(message: Any) -> None:
        nonlocal arrived
        samples.append(sample(message))
        arrived += 1

    topic = absolute(args.topic)
    message_class = _message_class(node, topic)
    node.create_subscription(message_class, topic, on_message, qos.matching(node, topic), raw=raw)
    report_at = time.monotonic() + 1.0
    while True:
        rclpy.spin_once(node, timeout_sec=0.1)
        if time.monotonic() >= report_at:
            new = len(samples) > 1 and arrived > reported
            print(report(list(samples)) if new else "no new messages", flush=True)
            reported, report_at = arrived, report_at + 1.0


def _message_class(node: Any, topic: str) -> Any:
    return interface(find_type(node, topic, "topic"), "msg")


def _spread(values: list[float], window: int) -> str:
    low, high, deviation = min(values), max(values), pstdev(values)
    return f"\tmin: {low:.3f}s max: {high:.3f}s std dev: {deviation:.5f}s window: {window}"


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.2f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"
