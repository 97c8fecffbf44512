"""Substitutions: text computed while launching."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from launch.substitution import Substitution, SubstitutionFailure, TextSubstitution
from launch.utilities import describe, to_bool, to_text

__all__ = [
    "AllSubstitution",
    "AndSubstitution",
    "AnySubstitution",
    "Command",
    "EnvironmentVariable",
    "EqualsSubstitution",
    "FileContent",
    "FindExecutable",
    "IfElseSubstitution",
    "LaunchConfiguration",
    "LocalSubstitution",
    "NotEqualsSubstitution",
    "NotSubstitution",
    "OrSubstitution",
    "PathJoinSubstitution",
    "PythonExpression",
    "SubstitutionFailure",
    "TextSubstitution",
    "ThisLaunchFile",
    "ThisLaunchFileDir",
]


class LaunchConfiguration(Substitution):
    """The value of a launch argument or configuration."""

    def __init__(self, variable_name: Any, *, default: Any = None) -> None:
        self.variable_name = variable_name
        self.default = default

    def perform(self, context) -> str:
        name = to_text(context, self.variable_name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self.default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        return to_text(context, self.default)

    def describe(self) -> str:
        return f"LaunchConfig({describe(self.variable_name)})"


class EnvironmentVariable(Substitution):
    """The value of an environment variable."""

    def __init__(self, name: Any, *, default_value: Any = None) -> None:
        self.name = name
        self.default_value = default_value

    def perform(self, context) -> str:
        name = to_text(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default_value is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return to_text(context, self.default_value)

    def describe(self) -> str:
        return f"EnvVar({describe(self.name)})"


class PathJoinSubstitution(Substitution):
    """Path components joined with the path separator; each may itself be a list of parts of one component."""

    def __init__(self, substitutions: Iterable[Any]) -> None:
        self.substitutions = list(substitutions)

    def perform(self, context) -> str:
        return os.path.join(*(to_text(context, part) for part in self.substitutions))

    def __truediv__(self, other: Any) -> PathJoinSubstitution:
        return PathJoinSubstitution([*self.substitutions, other])

    def describe(self) -> str:
        return f"PathJoin({', '.join(describe(part) for part in self.substitutions)})"


class PythonExpression(Substitution):
    """The value of a Python expression; `python_modules` names the modules it may use (default `math`)."""

    def __init__(self, expression: Any, python_modules: Any = ("math",)) -> None:
        self.expression = expression
        self.python_modules = [python_modules] if isinstance(python_modules, str) else list(python_modules)

    def perform(self, context) -> str:
        from importlib import import_module

        names: dict[str, Any] = {}
        for name in (to_text(context, module) for module in self.python_modules):
            names[name] = import_module(name)
            names.update(vars(names[name]) if name == "math" else {})
        expression = to_text(context, self.expression)
        try:
            return str(eval(expression, {}, names))
        except Exception as error:
            raise SubstitutionFailure(f"cannot evaluate the expression '{expression}': {error}") from error

    def describe(self) -> str:
        return f"PythonExpr({describe(self.expression)})"


class FindExecutable(Substitution):
    """The path of a program on PATH."""

    def __init__(self, *, name: Any) -> None:
        self.name = name

    def perform(self, context) -> str:
        name = to_text(context, self.name)
        path = shutil.which(name, path=context.environment.get("PATH"))
        if path is None:
            raise SubstitutionFailure(f"executable '{name}' not found on the PATH")
        return path

    def describe(self) -> str:
        return f"FindExec({describe(self.name)})"


class Command(Substitution):
    """The output of a command. on_stderr: fail, ignore, warn or capture."""

    def __init__(self, command: Any, *, on_stderr: Any = "fail") -> None:
        self.command = command
        self.on_stderr = on_stderr

    def perform(self, context) -> str:
        command, on_stderr = to_text(context, self.command), to_text(context, self.on_stderr)
        try:
            result = subprocess.run(
                shlex.split(command), capture_output=True, text=True, env=context.environment
            )
        except OSError as error:
            raise SubstitutionFailure(f"cannot run '{command}': {error}") from error
        if result.returncode or (result.stderr and on_stderr == "fail"):
            raise SubstitutionFailure(
                f"command '{command}' failed (exit code {result.returncode}): {result.stderr.strip()}"
            )
        if result.stderr and on_stderr == "warn":
            from launch.logging import get_logger

            get_logger("launch").warning("command '%s': %s", command, result.stderr.strip())
        return result.stdout + (result.stderr if on_stderr == "capture" else "")

    def describe(self) -> str:
        return f"Command({describe(self.command)})"


class FileContent(Substitution):
    """The text of a file."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def perform(self, context) -> str:
        path = to_text(context, self.path)
        try:
            return Path(path).read_text()
        except OSError as error:
            raise SubstitutionFailure(f"cannot read '{path}': {error.strerror}") from error


class LocalSubstitution(Substitution):
    """An attribute path below `context.locals`, as `event.returncode` while an event is handled."""

    def __init__(self, expression: str, description: str | None = None) -> None:
        self.expression = expression

    def perform(self, context) -> str:
        value = context.locals
        for name in self.expression.split("."):
            try:
                value = getattr(value, name)
            except AttributeError:
                raise SubstitutionFailure(f"no local '{self.expression}' in this launch context") from None
        return str(value)


class ThisLaunchFile(Substitution):
    """The path of the launch file in which it stands."""

    def perform(self, context) -> str:
        path = getattr(context.locals, "current_launch_file_path", None)
        if path is None:
            raise SubstitutionFailure(f"{type(self).__name__} used outside of a launch file")
        return path


class ThisLaunchFileDir(ThisLaunchFile):
    """The folder of the launch file in which it stands."""

    def perform(self, context) -> str:
        return str(Path(super().perform(context)).parent)


class EqualsSubstitution(Substitution):
    """`true` if both sides are equal: as text, as booleans or as numbers."""

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right

    def _equal(self, context) -> bool:
        left, right = to_text(context, self.left), to_text(context, self.right)
        if left == right:
            return True
        truth = {"true": "1", "false": "0"}
        left, right = (truth.get(side.lower(), side) for side in (left, right))
        try:
            return float(left) == float(right)
        except ValueError:
            return False

    def perform(self, context) -> str:
        return str(self._equal(context)).lower()

    def describe(self) -> str:
        name = type(self).__name__.removesuffix("Substitution")
        return f"{name}({describe(self.left)}, {describe(self.right)})"


class NotEqualsSubstitution(EqualsSubstitution):
    """`true` if the sides differ."""

    def perform(self, context) -> str:
        return str(not self._equal(context)).lower()


class AndSubstitution(EqualsSubstitution):
    """`true` if both sides are true."""

    def perform(self, context) -> str:
        return str(to_bool(context, self.left) and to_bool(context, self.right)).lower()


class OrSubstitution(EqualsSubstitution):
    """`true` if one side is true."""

    def perform(self, context) -> str:
        return str(to_bool(context, self.left) or to_bool(context, self.right)).lower()


class AllSubstitution(Substitution):
    """`true` if all values are true."""

    _combine = staticmethod(all)

    def __init__(self, *args: Any) -> None:
        self.args = args

    def perform(self, context) -> str:
        return str(self._combine(to_bool(context, value) for value in self.args)).lower()

    def describe(self) -> str:
        return f"{type(self).__name__}({', '.join(describe(value) for value in self.args)})"


class AnySubstitution(AllSubstitution):
    """`true` if one of the values is true."""

    _combine = staticmethod(any)


class NotSubstitution(Substitution):
    """`true` if the value is false."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def perform(self, context) -> str:
        return str(not to_bool(context, self.value)).lower()


class IfElseSubstitution(Substitution):
    """One of two values, chosen by a condition."""

    def __init__(self, condition: Any, if_value: Any = "", else_value: Any = "") -> None:
        self.condition, self.if_value, self.else_value = condition, if_value, else_value

    def perform(self, context) -> str:
        return to_text(context, self.if_value if to_bool(context, self.condition) else self.else_value)
