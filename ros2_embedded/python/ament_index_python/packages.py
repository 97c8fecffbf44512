"""Packages in the ament index."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.resources import get_resources, has_resource


class PackageNotFoundError(KeyError):
    """No prefix of AMENT_PREFIX_PATH holds the package; the message names it and the closest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


def get_packages_with_prefixes() -> dict[str, str]:
    """{package: prefix} of all packages."""
    return get_resources("packages")


def get_package_prefix(package_name: str) -> str:
    """The install prefix of the package. Raises ValueError (not a name) or PackageNotFoundError."""
    if not package_name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"{package_name!r} is not a package name")
    prefix = has_resource("packages", package_name)
    if not prefix:
        raise PackageNotFoundError(_not_found(package_name))
    return str(prefix)


def get_package_share_directory(package_name: str, print_warning: bool = True) -> str:
    """`<prefix>/share/<package>`; raises like get_package_prefix."""
    return os.path.join(get_package_prefix(package_name), "share", package_name)


def get_package_share_path(package_name: str, print_warning: bool = True) -> Path:
    """get_package_share_directory as a Path."""
    return Path(get_package_share_directory(package_name))


def _not_found(package_name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(package_name, get_packages_with_prefixes(), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "is its workspace's setup.bash sourced?"
    searched = os.environ.get("AMENT_PREFIX_PATH", "")
    return f"package '{package_name}' not found, searching: {searched.split(os.pathsep)}; {hint}"
