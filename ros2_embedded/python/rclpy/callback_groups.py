"""Which callbacks may run at the same time."""

from __future__ import annotations

import threading
import weakref
from typing import Any


class CallbackGroup:
    """Base class; use one of the two below."""

    def __init__(self) -> None:
        self.entities: weakref.WeakSet[Any] = weakref.WeakSet()

    def add_entity(self, entity: Any) -> None:
        self.entities.add(entity)

    def has_entity(self, entity: Any) -> bool:
        return entity in self.entities

    def can_execute(self, entity: Any) -> bool:
        raise NotImplementedError

    def beginning_execution(self, entity: Any) -> bool:
        raise NotImplementedError

    def ending_execution(self, entity: Any) -> None:
        raise NotImplementedError


class ReentrantCallbackGroup(CallbackGroup):
    """Callbacks run in parallel without restriction."""

    def can_execute(self, entity: Any) -> bool:
        return True

    def beginning_execution(self, entity: Any) -> bool:
        return True

    def ending_execution(self, entity: Any) -> None:
        pass


class MutuallyExclusiveCallbackGroup(CallbackGroup):
    """One callback at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._active: Any = None

    def can_execute(self, entity: Any) -> bool:
        return self._active is None

    def beginning_execution(self, entity: Any) -> bool:
        with self._lock:
            if self._active is None:
                self._active = entity
                return True
            return False

    def ending_execution(self, entity: Any) -> None:
        with self._lock:
            if self._active is entity:
                self._active = None
