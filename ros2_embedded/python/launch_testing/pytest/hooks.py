"""Collects modules whose generate_test_description() is marked `@pytest.mark.launch_test`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_MARKS = {"launch_test", "rostest"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--launch-args", action="extend", nargs="*", default=[], help="name:=value for launch tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    for mark in sorted(_MARKS):
        config.addinivalue_line("markers", f"{mark}: generate_test_description() of a launch test")


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    if "generate_test_description" not in module_path.read_text(errors="replace"):
        return None
    return LaunchTestModule.from_parent(parent, path=module_path)


class LaunchTestModule(pytest.Module):
    """A module that may be a launch test."""

    def collect(self) -> Iterator[Any]:
        marks = getattr(getattr(self.obj, "generate_test_description", None), "pytestmark", [])
        if _MARKS.isdisjoint(mark.name for mark in marks):
            yield from super().collect()
            return
        from launch_testing.loader import launch_tests

        for test in launch_tests(self.obj):
            yield LaunchTestItem.from_parent(self, name=test.name, test=test)


class LaunchTestFailed(Exception):
    """Some tests of a launch failed."""


class LaunchTestItem(pytest.Item):
    """One launch with all its tests."""

    def __init__(self, *, test: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._test = test

    def runtest(self) -> None:
        from launch_testing.runner import LaunchRun

        arguments = [text.partition(":=")[::2] for text in self.config.getoption("--launch-args")]
        run = LaunchRun(self._test, arguments)
        run.run()
        if failures := run.failures():
            raise LaunchTestFailed("\n".join(failures))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, LaunchTestFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}: {self.name}"
