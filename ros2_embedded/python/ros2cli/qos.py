"""QoS of what commands publish and subscribe."""

from __future__ import annotations

import argparse
from typing import Any


def add_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--qos-reliability", choices=["reliable", "best_effort"])
    verb.add_argument("--qos-durability", choices=["volatile", "transient_local"])
    verb.add_argument("--qos-depth", type=int, default=10)


def from_options(args: argparse.Namespace) -> Any:
    return _profile(args.qos_reliability, args.qos_durability, args.qos_depth)


def matching_options(node: Any, topic: str, args: argparse.Namespace) -> Any:
    return matching(node, topic, args.qos_reliability, args.qos_durability, args.qos_depth)


def matching(
    node: Any, topic: str, reliability: str | None = None, durability: str | None = None, depth: int = 100
) -> Any:
    """The strictest QoS with which every present publisher of the topic is heard, unless given."""
    ends = node.get_publishers_info_by_topic(topic)
    if ends and not reliability:
        reliable = all(end.qos_profile.reliability.name == "RELIABLE" for end in ends)
        reliability = "reliable" if reliable else "best_effort"
    if ends and not durability:
        latched = all(end.qos_profile.durability.name == "TRANSIENT_LOCAL" for end in ends)
        durability = "transient_local" if latched else "volatile"
    return _profile(reliability, durability, depth)


def _profile(reliability: str | None, durability: str | None, depth: int) -> Any:
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy[(reliability or "reliable").upper()],
        durability=DurabilityPolicy[(durability or "volatile").upper()],
    )
