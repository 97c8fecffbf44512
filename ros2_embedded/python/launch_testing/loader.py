"""From a module to the launch tests in it."""

from __future__ import annotations

import functools
import inspect
import unittest
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from launch import LaunchDescription, LaunchDescriptionEntity

from launch_testing.actions import ReadyToTest

_FIXTURES = ("setUpClass", "tearDownClass", "setUp", "tearDown")


def post_shutdown_test() -> Callable[[type], type]:
    """Decorates a TestCase that runs after the processes have ended."""

    def decorate(case: type) -> type:
        case.post_shutdown = True  # type: ignore[attr-defined]
        return case

    return decorate


def parametrize(argnames: str | Iterable[str], argvalues: Iterable[Any]) -> Callable[[Any], Any]:
    """Decorates generate_test_description(): one launch for each value, given to it and to the tests."""
    names = [name.strip() for name in argnames.split(",")] if isinstance(argnames, str) else list(argnames)
    values = [dict(zip(names, value if len(names) > 1 else [value], strict=True)) for value in argvalues]

    def decorate(function: Any) -> Any:
        known = getattr(function, "parameters", [{}])
        function.parameters = [{**one, **other} for other in known for one in values]
        return function

    return decorate


@dataclass(frozen=True)
class LaunchTest:
    """One launch and the tests of it."""

    module: ModuleType
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        return "launch" + (f"[{'-'.join(map(str, self.parameters.values()))}]" if self.parameters else "")

    def describe(self) -> tuple[LaunchDescription, dict[str, Any]]:
        """The description, and what else it gives to the tests. Raises ValueError if it can never begin."""
        found = self.module.generate_test_description(**self.parameters)
        description, values = found if isinstance(found, tuple) else (found, {})
        if not any(isinstance(entity, ReadyToTest) for entity in _walk(description)):
            raise ValueError(f"{self.module.__file__}: the test description has no ReadyToTest action")
        return description, values

    def suite(self, post_shutdown: bool, values: dict[str, Any]) -> unittest.TestSuite:
        """The tests of the module, with `values` as attributes and as arguments of those names."""
        loader, suite = unittest.TestLoader(), unittest.TestSuite()
        for case in vars(self.module).values():
            if not (isinstance(case, type) and issubclass(case, unittest.TestCase)):
                continue
            if getattr(case, "post_shutdown", False) == post_shutdown:
                names = loader.getTestCaseNames(case)
                suite.addTests(loader.loadTestsFromTestCase(_bound(case, names, values)))
        return suite


def launch_tests(module: ModuleType) -> list[LaunchTest]:
    parameters = getattr(module.generate_test_description, "parameters", [{}])
    return [LaunchTest(module, values) for values in parameters]


def _walk(entity: LaunchDescriptionEntity) -> Iterable[LaunchDescriptionEntity]:
    yield entity
    for child in entity.sub_entities():
        yield from _walk(child)


def _bound(case: type, names: Iterable[str], values: dict[str, Any]) -> type:
    """A subclass whose methods get the arguments that they name; the class itself serves other launches."""
    members: dict[str, Any] = {**values, "__module__": case.__module__}
    for name in (*_FIXTURES, *names):
        found = inspect.getattr_static(case, name)
        function = getattr(found, "__func__", found)
        given = {key: values[key] for key in inspect.signature(function).parameters if key in values}
        if given and isinstance(found, classmethod):
            members[name] = classmethod(functools.partial(function, **given))
        elif given:
            members[name] = functools.partialmethod(function, **given)
    return type(case.__name__, (case,), members)
