"""Where included launch descriptions come from: Python launch files."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from launch.launch_description import LaunchDescription
from launch.utilities import describe, to_text


class InvalidLaunchFileError(RuntimeError):
    """The launch file is missing or has no generate_launch_description()."""


class LaunchDescriptionSource:
    """Loads a launch description when it is reached."""

    def __init__(self, launch_description: LaunchDescription | None = None, location: Any = None) -> None:
        self.path: str | None = None  # of the file, once loaded
        self._location = location
        self._launch_description = launch_description

    @property
    def location(self) -> str:
        return describe(self._location) if self._location is not None else "<script>"

    def get_launch_description(self, context) -> LaunchDescription:
        """The description, Raises InvalidLaunchFileError and what the file raises."""
        if self._launch_description is not None:
            return self._launch_description
        self.path = to_text(context, self._location)
        description = load_python_launch_file(self.path)
        if isinstance(self._location, (str, os.PathLike)):  # else the next context may lead to another file
            self._launch_description = description
        return description


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A `.launch.py` file."""

    def __init__(self, launch_file_path: Any) -> None:
        super().__init__(location=launch_file_path)


class AnyLaunchDescriptionSource(PythonLaunchDescriptionSource):
    """A launch file; only Python ones are supported here."""


def load_python_launch_file(path: str) -> LaunchDescription:
    """Runs generate_launch_description() of the file."""
    if not Path(path).is_file():
        raise InvalidLaunchFileError(f"launch file '{path}' does not exist")
    if Path(path).suffix != ".py":
        raise InvalidLaunchFileError(
            f"launch file '{path}': only Python launch files (.launch.py) are supported"
        )
    module = ModuleType("launch_file")
    module.__file__ = path
    exec(compile(Path(path).read_text(), path, "exec"), module.__dict__)
    if not hasattr(module, "generate_launch_description"):
        raise InvalidLaunchFileError(f"launch file '{path}' has no generate_launch_description()")
    return module.generate_launch_description()
