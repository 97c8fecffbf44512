"""Runs a launch and its tests."""

from __future__ import annotations

import threading
import traceback
import unittest
from collections.abc import Iterable
from typing import Any

from launch import LaunchDescription, LaunchService
from launch.actions import RegisterEventHandler, SetLaunchConfiguration
from launch.event_handlers import EventHandler, OnProcessExit, OnProcessIO, OnProcessStart

from launch_testing.actions import Ready
from launch_testing.loader import LaunchTest
from launch_testing.markers import is_kept_alive
from launch_testing.processes import ProcInfo, ProcOutput

_UNFINISHED_S = 10.0  # how long a test may go on after its processes have ended


class LaunchRun:
    """One launch: the tests run in a thread, the launch in this one."""

    def __init__(self, test: LaunchTest, arguments: Iterable[tuple[str, str]] = ()) -> None:
        self._test, self._arguments = test, dict(arguments)
        self._info, self._output = ProcInfo(), ProcOutput()
        self._service = LaunchService()
        self._thread: threading.Thread | None = None
        self.results: list[unittest.TestResult] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Fills `results` and `errors`."""
        description, values = self._test.describe()
        self._values: dict[str, Any] = {
            **self._test.parameters, **values, "proc_info": self._info, "proc_output": self._output,
            "launch_service": self._service, "test_args": self._arguments,
        }  # fmt: skip
        self._service.include_launch_description(LaunchDescription([*self._watch(), description]))
        idle_ends = not is_kept_alive(self._test.module.generate_test_description)
        if self._service.run(shutdown_when_idle=idle_ends):
            self.errors.append("the launch failed, see its output")
        self._finish_tests()
        self._run_suite(post_shutdown=True)

    def failures(self) -> list[str]:
        """What went wrong, one text for each failed test."""
        found = [item for result in self.results for item in (*result.errors, *result.failures)]
        return self.errors + [f"{case.id()}\n{text}" for case, text in found]

    def _watch(self) -> list[Any]:
        handlers = [
            OnProcessStart(on_start=lambda event, context: self._info.add(event)),
            OnProcessExit(on_exit=lambda event, context: self._info.add(event)),
            OnProcessIO(on_stdout=self._output.add, on_stderr=self._output.add),
            EventHandler(matcher=lambda event: isinstance(event, Ready), entities=self._start_tests),
        ]
        settings = [SetLaunchConfiguration(*item) for item in self._arguments.items()]
        return [*settings, *(RegisterEventHandler(handler) for handler in handlers)]

    def _start_tests(self, event: Ready, context) -> None:
        self._thread = threading.Thread(target=self._run_tests, name="launch_testing", daemon=True)
        self._thread.start()

    def _run_tests(self) -> None:
        try:
            self._run_suite(post_shutdown=False)
        except Exception:
            self.errors.append(traceback.format_exc())
        finally:
            self._service.shutdown()

    def _run_suite(self, post_shutdown: bool) -> None:
        suite, result = self._test.suite(post_shutdown, self._values), unittest.TestResult()
        suite.run(result)
        self.results.append(result)

    def _finish_tests(self) -> None:
        if self._thread is None:
            self.errors.append("the launch ended before it was ready to test")
            return
        self._thread.join(_UNFINISHED_S)
        if self._thread.is_alive():
            self.errors.append("the launch ended before the tests did")
