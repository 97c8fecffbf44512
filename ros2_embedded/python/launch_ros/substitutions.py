"""Substitutions that look into the ament index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.substitution import Substitution, SubstitutionFailure
from launch.utilities import describe, to_text


class FindPackagePrefix(Substitution):
    """The install prefix of a package."""

    _find = staticmethod(get_package_prefix)

    def __init__(self, package: Any) -> None:
        self.package = package

    def perform(self, context) -> str:
        try:
            return self._find(to_text(context, self.package))
        except PackageNotFoundError as error:
            raise SubstitutionFailure(str(error)) from None

    def describe(self) -> str:
        return f"{type(self).__name__}({describe(self.package)})"


FindPackage = FindPackagePrefix


class FindPackageShare(FindPackagePrefix):
    """The share folder of a package."""

    _find = staticmethod(get_package_share_directory)


class ExecutableInPackage(Substitution):
    """The path of a program of a package."""

    def __init__(self, executable: Any, package: Any) -> None:
        self.executable, self.package = executable, package

    def perform(self, context) -> str:
        try:
            return find_executable(to_text(context, self.package), to_text(context, self.executable))
        except (PackageNotFoundError, FileNotFoundError) as error:
            raise SubstitutionFailure(str(error)) from None


def package_executables(package: str) -> list[str]:
    """The names of the programs of a package. Raises PackageNotFoundError."""
    folder = Path(get_package_prefix(package), "lib", package)
    return sorted(p.name for p in folder.glob("*") if p.is_file() and os.access(p, os.X_OK))


def find_executable(package: str, executable: str) -> str:
    """The path of the program. Raises PackageNotFoundError, or FileNotFoundError with the choices."""
    choices = package_executables(package)
    if executable not in choices:
        listed = f"choose from: {', '.join(choices)}" if choices else "it has none"
        raise FileNotFoundError(f"no executable '{executable}' in package '{package}', {listed}")
    return os.path.join(get_package_prefix(package), "lib", package, executable)
