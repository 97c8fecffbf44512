"""Assertions about output and exit codes, for tests after and during a launch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from launch.events.process import ProcessExited

from launch_testing.processes import Process, ProcInfo, ProcOutput, contains, describe

EXIT_OK = 0
EXIT_FORCED = 1
EXIT_SIGINT, EXIT_SIGQUIT, EXIT_SIGKILL, EXIT_SIGSEGV = 130, 131, 137, 139


def assertExitCodes(
    proc_info: ProcInfo, allowable_exit_codes: Iterable[int] = (EXIT_OK,), process: Process = None
) -> None:
    """All processes (or those that match) have ended with one of the codes."""
    ended = proc_info.of(process, ProcessExited)
    assert ended or process is None, f"no process {describe(process)} has ended"
    for event in ended:
        assert event.returncode in allowable_exit_codes, (
            f"process '{event.process_name}' ended with exit code {event.returncode},"
            f" not one of {sorted(allowable_exit_codes)}"
        )


def assertInStdout(proc_output: ProcOutput, expected_output: Any, process: Process = None) -> None:
    """Text, a regular expression, or all of a list are in what the process wrote."""
    _assert_in(proc_output, expected_output, process, "stdout")


def assertInStderr(proc_output: ProcOutput, expected_output: Any, process: Process = None) -> None:
    """As assertInStdout."""
    _assert_in(proc_output, expected_output, process, "stderr")


def _assert_in(proc_output: ProcOutput, expected: Any, process: Process, stream: str) -> None:
    text = proc_output.text(process, stream)
    assert contains(text, expected), f"{expected!r} is not in the {stream} of {describe(process)}:\n{text}"


class SequentialStdout:
    """Finds text after text."""

    def __init__(self, text: str, process: Process) -> None:
        self._rest, self._process = text, process

    def assertInStdout(self, msg: str) -> None:
        assert msg in self._rest, f"{msg!r} is not in the rest of the stdout of {describe(self._process)}"
        self._rest = self._rest.split(msg, 1)[1]


@contextmanager
def assertSequentialStdout(proc_output: ProcOutput, process: Process) -> Iterator[SequentialStdout]:
    """`with assertSequentialStdout(proc_output, process) as cm: cm.assertInStdout("a")`, and so on."""
    yield SequentialStdout(proc_output.text(process, "stdout"), process)
