"""What tests may ask about the processes of a launch: `proc_info` and `proc_output`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from launch.events.process import ProcessExited, ProcessIO, ProcessStarted, RunningProcessEvent

Process = Any  # an action, a part of a process's name, or None for all


class _Record:
    """Events of processes, in order; waiting for them from another thread than the launch's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[Any] = []

    def add(self, event: RunningProcessEvent) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def of(self, process: Process, kind: type = RunningProcessEvent) -> list[Any]:
        """The events of that kind of the processes that match."""
        with self._changed:
            return [event for event in self._events if isinstance(event, kind) and _matches(event, process)]

    def processes(self) -> list[Any]:
        """The actions of the processes."""
        return list({id(event.action): event.action for event in self.of(None)}.values())

    def process_names(self) -> list[str]:
        return list(dict.fromkeys(event.process_name for event in self.of(None)))

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout)


class ProcInfo(_Record):
    """Starts and ends of the processes; `proc_info[process]` is how it ended."""

    def __getitem__(self, process: Process) -> ProcessExited:
        found = self.of(process, ProcessExited)
        if not found:
            raise KeyError(f"no process {describe(process)} has ended")
        return found[-1]

    def __iter__(self) -> Iterator[ProcessExited]:
        return iter(self.of(None, ProcessExited))

    def assertWaitForStartup(self, process: Process, timeout: float = 10.0) -> None:
        started = self.wait(lambda: bool(self.of(process, ProcessStarted)), timeout)
        assert started, f"process {describe(process)} has not started within {timeout:g} s"

    def assertWaitForShutdown(self, process: Process, timeout: float = 10.0) -> None:
        ended = self.wait(lambda: bool(self.of(process, ProcessExited)), timeout)
        assert ended, f"process {describe(process)} has not ended within {timeout:g} s"


class ProcOutput(_Record):
    """What the processes write; `proc_output[process]` is a list of ProcessIO events."""

    def __iter__(self) -> Iterator[ProcessIO]:
        return iter(self.of(None))

    def __getitem__(self, process: Process) -> list[ProcessIO]:
        return self.of(process)

    def text(self, process: Process, stream: str) -> str:
        """All that the processes have written to `stdout` or `stderr`."""
        wanted = [event for event in self.of(process) if event.from_stdout == (stream == "stdout")]
        return b"".join(event.text for event in wanted).decode(errors="replace")

    def waitFor(
        self, expected_output: Any, process: Process = None, timeout: float = 10.0, stream: str = "stderr"
    ) -> bool:
        """Whether text, a regular expression, or all of a list come in time."""
        return self.wait(lambda: contains(self.text(process, stream), expected_output), timeout)

    def assertWaitFor(
        self, expected_output: Any, process: Process = None, timeout: float = 10.0, **options: Any
    ) -> None:
        found = self.waitFor(expected_output, process, timeout, **options)
        assert found, f"{expected_output!r} was not in the output of {describe(process)} within {timeout:g} s"


def contains(text: str, expected: Any) -> bool:
    """Whether text, a regular expression or all of a list are in `text`."""
    if isinstance(expected, re.Pattern):
        return expected.search(text) is not None
    if isinstance(expected, str):
        return expected in text
    if isinstance(expected, Iterable):
        return all(contains(text, one) for one in expected)
    raise TypeError(f"expected text, a regular expression or a list of these, got {expected!r}")


def describe(process: Process) -> str:
    if process is None:
        return "any process"
    details = getattr(process, "process_details", None)
    return f"'{details['name']}'" if details else f"'{process}'"


def _matches(event: RunningProcessEvent, process: Process) -> bool:
    if process is None:
        return True
    return process in event.process_name if isinstance(process, str) else event.action is process
