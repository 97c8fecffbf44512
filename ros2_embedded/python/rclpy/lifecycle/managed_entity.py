"""Things that follow the transitions of a lifecycle node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import IntEnum
from typing import Any


class TransitionCallbackReturn(IntEnum):
    SUCCESS = 97
    FAILURE = 98
    ERROR = 99


class ManagedEntity:
    """Base class; override the transitions that matter."""

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS


class SimpleManagedEntity(ManagedEntity):
    """Enabled while the node is active."""

    def __init__(self) -> None:
        self._enabled = False

    @property
    def is_activated(self) -> bool:
        return self._enabled

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        self._enabled = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        self._enabled = False
        return TransitionCallbackReturn.SUCCESS

    @staticmethod
    def when_enabled(wrapped: Callable[..., Any]) -> Callable[..., Any]:
        """A method that does nothing while the entity is not enabled."""

        @functools.wraps(wrapped)
        def call(self: SimpleManagedEntity, *args: Any, **kwargs: Any) -> Any:
            return wrapped(self, *args, **kwargs) if self._enabled else None

        return call
