"""The state of a running launch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager, ExitStack
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from launch.utilities import to_text


class LaunchContext:
    """Launch configurations, environment, event handlers and the event queue."""

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False) -> None:
        self.argv = list(argv or ())
        self.noninteractive = noninteractive
        self.launch_configurations: dict[str, str] = {}
        self.locals = SimpleNamespace()
        self.is_shutdown = False
        self.process_count = 0
        self.asyncio_loop: asyncio.AbstractEventLoop | None = None
        self._stacks: dict[str, list[dict]] = {"launch_configurations": [], "environment": [], "locals": []}
        self._event_handlers: list[Any] = []
        self._events: list[Any] = []
        self._event_added = asyncio.Event()
        self._resources: dict[str, Any] = {}
        self._closing = ExitStack()

    @property
    def environment(self) -> MutableMapping[str, str]:
        """The environment of processes started from now on."""
        return os.environ

    def perform_substitution(self, substitution: Any) -> str:
        return to_text(self, substitution)

    def extend_locals(self, extensions: dict[str, Any]) -> None:
        self.locals.__dict__.update(extensions)

    def get_locals_as_dict(self) -> dict[str, Any]:
        return vars(self.locals)

    def push(self, *names: str) -> None:
        """Saves `launch_configurations`, `environment` or `locals` until the matching pop."""
        for name in names:
            self._stacks[name].append(dict(self._mapping(name)))

    def pop(self, *names: str) -> None:
        """Raises RuntimeError if nothing was pushed."""
        for name in names:
            if not self._stacks[name]:
                raise RuntimeError(f"nothing was pushed that could restore the {name.replace('_', ' ')}")
            mapping, saved = self._mapping(name), self._stacks[name].pop()
            for key in [key for key in mapping if key not in saved]:
                del mapping[key]
            mapping.update(saved)

    def _mapping(self, name: str) -> MutableMapping:
        return vars(self.locals) if name == "locals" else getattr(self, name)

    def register_event_handler(self, event_handler: Any, append: bool = False) -> None:
        """Handlers registered last come first, unless appended."""
        self._event_handlers.insert(len(self._event_handlers) if append else 0, event_handler)

    def unregister_event_handler(self, event_handler: Any) -> None:
        """Raises ValueError if it is not registered."""
        self._event_handlers.remove(event_handler)

    def would_handle_event(self, event: Any) -> bool:
        return any(handler.matches(event) for handler in self._event_handlers)

    def emit_event_sync(self, event: Any) -> None:
        """Queues the event; call it from the launch's own thread."""
        self._events.append(event)
        self._event_added.set()

    async def emit_event(self, event: Any) -> None:
        self.emit_event_sync(event)

    def resource(self, name: str, make: Callable[[], AbstractContextManager]) -> Any:
        """What `make()` gives when first asked for under that name; closed when the launch ends."""
        if name not in self._resources:
            self._resources[name] = self._closing.enter_context(make())
        return self._resources[name]

    def temporary_folder(self) -> str:
        """A folder that lives as long as the launch, for generated parameter files."""
        return self.resource("temporary folder", lambda: TemporaryDirectory(prefix="launch_"))

    def close(self) -> None:
        """Removes what only the running launch needed."""
        self._resources.clear()
        self._closing.close()
