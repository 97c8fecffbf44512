"""Things that cannot be used any more once they were destroyed."""

from __future__ import annotations

from rclpy.exceptions import InvalidHandle


class Destroyable:
    """Base class of what a node makes, and of nodes."""

    _destroyed = False

    def _mark_destroyed(self) -> None:
        self._destroyed = True

    def _check_alive(self) -> None:
        """Raises InvalidHandle once this was destroyed."""
        if self._destroyed:
            raise InvalidHandle("cannot use Destroyable because destruction was requested")
