"""One message, without a callback."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSProfile

if TYPE_CHECKING:
    from rclpy.node import Node


def wait_for_message(
    msg_type: type, node: Node, topic: str, *, qos_profile: QoSProfile | int = 1, time_to_wait: float = -1
) -> tuple[bool, Any]:
    """(True, message) or, after `time_to_wait` seconds (negative: never), (False, None)."""
    end = None if time_to_wait < 0 else time.monotonic() + time_to_wait
    subscription = node.create_subscription(msg_type, topic, lambda _: None, qos_profile)
    try:
        while node.context.ok() and (end is None or time.monotonic() < end):
            found = subscription._take_one()
            if found is not None:
                return True, found[0]
            time.sleep(0.001)
        return False, None
    finally:
        node.destroy_subscription(subscription)
