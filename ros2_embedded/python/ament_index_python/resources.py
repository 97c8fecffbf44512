"""Resources of the ament index: files `share/ament_index/resource_index/<type>/<name>` under a prefix."""

from __future__ import annotations

import os
from pathlib import Path

_INDEX = Path("share/ament_index/resource_index")


def get_search_paths() -> list[str]:
    """The existing folders of AMENT_PREFIX_PATH, first one wins. Raises LookupError if it is unset."""
    value = os.environ.get("AMENT_PREFIX_PATH")
    if not value:
        raise LookupError("AMENT_PREFIX_PATH is not set: source setup.bash first")
    return [path for path in dict.fromkeys(value.split(os.pathsep)) if path and Path(path).is_dir()]


def has_resource(resource_type: str, resource_name: str) -> str | bool:
    """The prefix that holds the resource, or False."""
    if not resource_name or os.sep in resource_name:
        raise ValueError(f"resource name {resource_name!r} must not be empty or contain {os.sep!r}")
    for prefix in get_search_paths():
        if (Path(prefix) / _INDEX / resource_type / resource_name).is_file():
            return prefix
    return False


def get_resource(resource_type: str, resource_name: str) -> tuple[str, str]:
    """(content, prefix) of the resource. Raises LookupError."""
    prefix = has_resource(resource_type, resource_name)
    if not prefix:
        raise LookupError(f"no resource {resource_name!r} of type {resource_type!r} in the ament index")
    return (Path(prefix) / _INDEX / resource_type / resource_name).read_text(), str(prefix)


def get_resources(resource_type: str) -> dict[str, str]:
    """{name: prefix} of all resources of the type."""
    found: dict[str, str] = {}
    for prefix in get_search_paths():
        folder = Path(prefix) / _INDEX / resource_type
        for entry in folder.iterdir() if folder.is_dir() else ():
            if entry.is_file() and not entry.name.startswith("."):
                found.setdefault(entry.name, prefix)
    return found
