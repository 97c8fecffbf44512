"""Waits that end as soon as they may; the limit is for machines with other work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import rclpy

LIMIT_S = 20.0


def spin_until(node: Any, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Spins the node until the condition holds; what the condition says in the end."""
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    return condition()


def executor_until(executor: Any, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """The same for an executor with its nodes."""
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    return condition()


def result_of(node: Any, future: Any, limit_s: float = LIMIT_S) -> Any:
    """The result of a future that comes while the node spins."""
    rclpy.spin_until_future_complete(node, future, timeout_sec=limit_s)
    assert future.done(), f"nothing within {limit_s} s"
    return future.result()
