"""Things that cannot be used any more once they were destroyed."""

from __future__ import annotations

from typing import Any

from rclpy.exceptions import InvalidHandle


class Destroyable:
    """Base class of nodes and of what they make."""

    _destroyed = False

    def _mark_destroyed(self) -> None:
        self._destroyed = True

    def _check_alive(self) -> None:
        """Raises InvalidHandle once this was destroyed."""
        if self._destroyed:
            raise InvalidHandle("cannot use Destroyable because destruction was requested")


class EndOfNode(Destroyable):
    """A publisher, subscription, client or service."""

    _node: Any

    @property
    def logger_name(self) -> str:
        """The name of the logger of its node."""
        self._check_alive()
        return self._node.get_logger().name
