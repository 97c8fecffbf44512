"""A context: arguments, the DDS participant, and whether we are still running."""

from __future__ import annotations

import inspect
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy import arguments, log_levels
from rclpy.exceptions import NotInitializedException, RCLError

if TYPE_CHECKING:
    from embedded_dds.dds import Participant
    from embedded_dds.graph import Graph

_LAST_DOMAIN = 232  # of the next one the ports would be above 65535


def environment_domain_id() -> int:
    """ROS_DOMAIN_ID, 0 if it is not set; RuntimeError if it is no domain."""
    text = os.environ.get("ROS_DOMAIN_ID") or "0"
    if not (text.isdecimal() and int(text) <= _LAST_DOMAIN):
        raise RuntimeError(f"ROS_DOMAIN_ID is {text!r}, not a number from 0 to {_LAST_DOMAIN}")
    return int(text)


class Context:
    """What `rclpy.init` initialises, once; as a context manager it initialises itself. One DDS participant
    per context, made with the first node."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._started = self._running = False
        self._callbacks: list[Callable[[], Callable[[], None] | None]] = []
        self._wakers: weakref.WeakSet[Any] = weakref.WeakSet()  # executors: things with a `wake` method
        self._participant: Participant | None = None
        self._graph: Graph | None = None
        self._domain_id = 0
        self.arguments = arguments.Arguments()

    def init(
        self,
        args: Sequence[str] | None = None,
        *,
        initialize_logging: bool = True,
        domain_id: int | None = None,
    ) -> None:
        """Starts the context; `args` None means sys.argv. RuntimeError if it was started before."""
        import sys

        with self._lock:
            if self._started:
                raise RuntimeError("Context.init() must only be called once")
            if domain_id is None:
                domain_id = environment_domain_id()
            if not 0 <= domain_id <= _LAST_DOMAIN:
                raise RuntimeError(f"Domain id ({domain_id}) must be between 0 and {_LAST_DOMAIN}")
            self._domain_id = domain_id
            self.arguments = arguments.parse(sys.argv if args is None else args)
            if initialize_logging:
                log_levels.configure(self.arguments.log_levels, self.arguments.stdout)
            self._started = self._running = True
            _contexts.add(self)

    def ok(self) -> bool:
        return self._running

    @property
    def started(self) -> bool:
        """Whether `init` was ever called."""
        return self._started

    def get_domain_id(self) -> int:
        if not self._started:
            raise RuntimeError("Context must be initialized before it can have a domain id")
        return self._domain_id

    @property
    def participant(self) -> Participant:
        return self._open()[0]

    @property
    def graph(self) -> Graph:
        return self._open()[1]

    def _open(self) -> tuple[Participant, Graph]:
        from embedded_dds.dds import Participant
        from embedded_dds.graph import Graph

        with self._lock:
            if not self._running:
                raise NotInitializedException()
            if self._participant is None or self._graph is None:
                self._participant = Participant(self._domain_id)
                self._graph = Graph(self._participant)
            return self._participant, self._graph

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """Calls `callback` at shutdown, once; at once if that has happened already."""
        if not callable(callback):
            raise TypeError(f"callback should be a callable, got {callback!r}")
        if self._started and not self._running:
            callback()
            return
        weak = weakref.WeakMethod(callback) if inspect.ismethod(callback) else lambda: callback
        with self._lock:
            self._callbacks.append(weak)

    def stop(self) -> None:
        """Ends spinning, keeps the participant: what a signal does. Safe in a signal handler."""
        self._running = False
        self.wake()

    def wake(self) -> None:
        for waker in list(self._wakers):
            waker.wake()

    def shutdown(self) -> None:
        """Ends spinning and leaves the domain; RuntimeError if the context does not run."""
        if not self._started:
            raise RuntimeError("Context must be initialized before it can be shutdown")
        if not self._running:
            raise RCLError("the context was shut down already")
        self.try_shutdown()

    def try_shutdown(self) -> None:
        """`shutdown`, or nothing if that happened already."""
        self.stop()
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
            participant, self._participant = self._participant, None
            graph, self._graph = self._graph, None
        for weak in callbacks:
            callback = weak()
            if callback is not None:
                callback()
        if graph is not None:
            graph.close()
        if participant is not None:
            participant.close()
        _contexts.discard(self)

    def __enter__(self) -> Context:
        self.init()
        return self

    def __exit__(self, *_: object) -> None:
        self.try_shutdown()


_contexts: set[Context] = set()


def running_contexts() -> list[Context]:
    return list(_contexts)
