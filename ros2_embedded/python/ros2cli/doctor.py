"""`ros2 doctor`: checks of the installation, the environment, this machine's network and the graph."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from ros2cli.main import CommandError
from ros2cli.session import check_environment, node_names, session, settle, wait_for

_WHEELS = ("cyclonedds", "numpy", "pyyaml", "rosbags")
_RANGES = ("LOCALHOST", "OFF", "SUBNET", "SYSTEM_DEFAULT")
# 20 Hz of 1080p images lose most frames under the kernel's 0.2 MB and none under 4 MB
_RECEIVE_BUFFER = 4 << 20
_HELLO_S = 30.0  # a second command starts and is discovered in 1 s on an idle machine, 15 s on a busy one
_VARIABLES = (
    "AMENT_PREFIX_PATH", "CYCLONEDDS_URI", "PYTHONPATH", "RMW_IMPLEMENTATION",
    "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_DISTRO", "ROS_DOMAIN_ID", "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS",
)  # fmt: skip


class Finding(NamedTuple):
    """Something that does not work, or with `fatal` False something worth knowing."""

    text: str
    fatal: bool = True


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-r", "--report", action="store_true", help="print versions and variables too")
    parser.set_defaults(main=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Returns 1 if a check failed."""
    if args.report:
        _report()
    failed = []
    for name, check in _CHECKS.items():
        findings = list(check())
        for finding in findings:
            print(f"[{'ERROR' if finding.fatal else 'WARN'}] {name}: {finding.text}", file=sys.stderr)
        if any(finding.fatal for finding in findings):
            failed.append(name)
            if name == "environment":
                break  # no node starts, so nothing further can be looked at
    if failed:
        print(f"{len(failed)} of {len(_CHECKS)} checks failed: {', '.join(failed)}")
        return 1
    print(f"All {len(_CHECKS)} checks passed")
    return 0


def _report() -> None:
    print(f"platform: {platform.platform()}\npython: {platform.python_version()} ({sys.executable})")
    for wheel in _WHEELS:
        print(f"{wheel}: {_version(wheel) or 'not installed'}")
    for variable in _VARIABLES:
        print(f"{variable}: {os.environ.get(variable, 'not set')}")


def _version(wheel: str) -> str | None:
    try:
        return version(wheel)
    except PackageNotFoundError:
        return None


def _check_packages() -> Iterator[Finding]:
    for wheel in _WHEELS:
        if _version(wheel) is None:
            yield Finding(f"the Python package {wheel} is not installed for {sys.executable}")
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix and not Path(prefix).is_dir():
            text = f"AMENT_PREFIX_PATH names {prefix}, which does not exist: source the workspace again"
            yield Finding(text, fatal=False)


def _check_environment() -> Iterator[Finding]:
    try:
        check_environment()
    except CommandError as error:
        yield Finding(str(error))
    wanted = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if wanted.upper() not in _RANGES:
        text = f"ROS_AUTOMATIC_DISCOVERY_RANGE is '{wanted}', not one of {', '.join(_RANGES)}"
        yield Finding(text, fatal=False)
    rmw = os.environ.get("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    if rmw != "rmw_cyclonedds_cpp":
        yield Finding(f"RMW_IMPLEMENTATION is '{rmw}'; there is only rmw_cyclonedds_cpp here", fatal=False)


def _check_network() -> Iterator[Finding]:
    limit = Path("/proc/sys/net/core/rmem_max")
    if limit.exists() and int(limit.read_text()) < _RECEIVE_BUFFER:
        yield Finding(
            f"receive buffers are limited to {int(limit.read_text())} bytes, large images at 20 Hz get lost:"
            f" sudo sysctl -w net.core.rmem_max={_RECEIVE_BUFFER}",
            fatal=False,
        )
    if not _hears_another_process():
        yield Finding(
            f"no message from another process of this machine within {_HELLO_S:g} s: is UDP on the"
            " loopback interface blocked, or the domain full?"
        )


def _hears_another_process() -> bool:
    import rclpy
    from std_msgs.msg import String

    heard: list[str] = []
    with session() as node:
        topic = f"/_ros2_doctor_{os.getpid()}"
        node.create_subscription(String, topic, lambda message: heard.append(message.data), 10)
        program = [sys.executable, "-c", "from ros2cli.main import main; main()"]
        command = [*program, "topic", "pub", topic, "std_msgs/msg/String", "{data: hello}"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as talker:
            try:
                wait_for(lambda: rclpy.spin_once(node, timeout_sec=0.1) or heard, _HELLO_S)
            finally:
                talker.kill()
    return bool(heard)


def _check_graph() -> Iterator[Finding]:
    with session() as node:
        names = settle(node, lambda: node_names(node), names=True)
        for name, count in Counter(names).items():
            if count > 1:
                yield Finding(f"{count} nodes have the name {name}")
        for name in _foreign(node):
            text = f"{name} is on another RMW: topics work, but its services, parameters and actions do not"
            yield Finding(text, fatal=False)
        for topic, types in node.get_topic_names_and_types():
            if len(types) > 1:
                yield Finding(f"topic {topic} has several types: {', '.join(types)}")
            yield from _incompatible(node, topic)


def _foreign(node: Any) -> list[str]:
    """Nodes whose services we cannot call."""
    from embedded_dds.dds import user_data_values

    owners = node.context.graph.owners()
    servers = [e for e in node.context.participant.endpoints(writers=False) if e.topic.startswith("rq/")]
    foreign = [end.gid for end in servers if "serviceid" not in user_data_values(end.qos.user_data)]
    keys = {owners[gid] for gid in foreign if gid in owners}
    return sorted(f"{key.namespace.rstrip('/')}/{key.name}" for key in keys)


def _incompatible(node: Any, topic: str) -> Iterator[Finding]:
    """Subscriptions that never hear a publisher of their topic."""
    from rclpy.qos import QoSCompatibility, qos_check_compatible

    ends = node.get_publishers_info_by_topic(topic), node.get_subscriptions_info_by_topic(topic)
    for publisher, subscription in product(*ends):
        verdict, reason = qos_check_compatible(publisher.qos_profile, subscription.qos_profile)
        if verdict == QoSCompatibility.ERROR:
            who = [f"{end.node_namespace.rstrip('/')}/{end.node_name}" for end in (publisher, subscription)]
            yield Finding(f"{who[1]} does not hear {who[0]} on {topic}: {reason.strip()}")


_CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "packages": _check_packages,
    "environment": _check_environment,
    "network": _check_network,
    "graph": _check_graph,
}
