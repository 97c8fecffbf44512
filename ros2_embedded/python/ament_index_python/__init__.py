"""The ament index: which packages lie under which prefix of AMENT_PREFIX_PATH."""

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
    get_package_share_path,
    get_packages_with_prefixes,
)
from ament_index_python.resources import get_resource, get_resources, get_search_paths, has_resource

__all__ = [
    "PackageNotFoundError",
    "get_package_prefix",
    "get_package_share_directory",
    "get_package_share_path",
    "get_packages_with_prefixes",
    "get_resource",
    "get_resources",
    "get_search_paths",
    "has_resource",
]
