"""Conditions that user code triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedded_dds import dds

from rclpy.destroyable import Destroyable

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.context import Context


class GuardCondition(Destroyable):
    """Runs its callback in the executor after `trigger`."""

    rank = 1

    def __init__(
        self,
        callback: Callable[[], Any] | None,
        callback_group: CallbackGroup | None,
        context: Context | None = None,
    ) -> None:
        from rclpy.utilities import get_default_context

        self._guard = dds.Guard((context or get_default_context()).participant)
        self.entity = self._guard.entity
        self.callback, self.callback_group = callback, callback_group

    def trigger(self) -> None:
        self._check_alive()
        self._guard.set()

    def take(self) -> Callable[[], Any] | None:
        return self.callback if self._guard.clear() else None

    def destroy(self) -> None:
        self._mark_destroyed()
        self._guard.close()
