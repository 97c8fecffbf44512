"""Events of processes, and events that act on processes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from launch.event import Event


@dataclass(kw_only=True)
class RunningProcessEvent(Event):
    """What all events about a process carry."""

    action: Any
    name: str  # type: ignore[assignment]  # unique, as in "talker-1"
    cmd: list[str]
    cwd: str | None
    env: dict[str, str] | None = field(repr=False)
    pid: int

    @property
    def process_name(self) -> str:
        return self.name

    @property
    def execute_process_action(self) -> Any:
        return self.action


@dataclass(kw_only=True)
class ProcessStarted(RunningProcessEvent):
    """The process runs."""


@dataclass(kw_only=True)
class ProcessExited(RunningProcessEvent):
    """The process has ended; returncode is negative if a signal ended it."""

    returncode: int


@dataclass(kw_only=True)
class ProcessIO(RunningProcessEvent):
    """The process wrote `text` (bytes) to file descriptor `fd`: 1 stdout, 2 stderr."""

    text: bytes
    fd: int

    @property
    def from_stdout(self) -> bool:
        return self.fd == 1

    @property
    def from_stderr(self) -> bool:
        return self.fd == 2


@dataclass(kw_only=True)
class ShutdownProcess(Event):
    """Ends the processes whose action matches: SIGINT, then SIGTERM, then SIGKILL."""

    process_matcher: Callable[[Any], bool]


@dataclass(kw_only=True)
class SignalProcess(Event):
    """Sends a signal (number or name) to the processes whose action matches."""

    signal_number: int | str
    process_matcher: Callable[[Any], bool]

    @property
    def signal(self) -> signal.Signals:
        number = self.signal_number
        return signal.Signals[number] if isinstance(number, str) else signal.Signals(number)
