"""`rclpy.init` for one test, with nodes that are destroyed after it."""

from __future__ import annotations

from typing import Any

import pytest
import rclpy
from rclpy.node import Node


class Ros:
    """A running context; what is made through it is destroyed with it."""

    def __init__(self) -> None:
        self._made: list[Any] = []
        rclpy.init(args=["test"])

    def restart(self, *args: str) -> None:
        """`rclpy.init` anew, with arguments."""
        self.end()
        rclpy.init(args=["test", *args])

    def node(self, name: str = "n", **options: Any) -> Node:
        self._made.append(Node(name, **options))
        return self._made[-1]

    def keep(self, thing: Any) -> Any:
        """Destroys a node or an action client or server after the test, too."""
        self._made.append(thing)
        return thing

    def end(self) -> None:
        while self._made:
            thing = self._made.pop()
            (thing.destroy_node if isinstance(thing, Node) else thing.destroy)()
        rclpy.try_shutdown()


@pytest.fixture
def ros():
    running = Ros()
    yield running
    running.end()
