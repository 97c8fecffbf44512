"""`ros2 pkg list | prefix | executables`"""

from __future__ import annotations

import argparse

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_packages_with_prefixes

from ros2cli.main import CommandError, add_verb


def register(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="verb", required=True)
    add_verb(verbs, list_)
    verb = add_verb(verbs, prefix)
    verb.add_argument("package")
    verb.add_argument("--share", action="store_true", help="show the share folder")
    verb = add_verb(verbs, executables)
    verb.add_argument("package", nargs="?")
    verb.add_argument("--full-path", action="store_true")


def list_(args: argparse.Namespace) -> None:
    """List all packages."""
    print("\n".join(sorted(get_packages_with_prefixes())))


def prefix(args: argparse.Namespace) -> None:
    """Print the install prefix of a package."""
    path = _prefix(args.package)
    print(f"{path}/share/{args.package}" if args.share else path)


def executables(args: argparse.Namespace) -> None:
    """List the executables of one package or of all."""
    from launch_ros.substitutions import package_executables

    if args.package:
        _prefix(args.package)
    for package in [args.package] if args.package else sorted(get_packages_with_prefixes()):
        for name in package_executables(package):
            print(f"{_prefix(package)}/lib/{package}/{name}" if args.full_path else f"{package} {name}")


def _prefix(package: str) -> str:
    try:
        return get_package_prefix(package)
    except (PackageNotFoundError, LookupError, ValueError) as error:
        raise CommandError(str(error)) from None
