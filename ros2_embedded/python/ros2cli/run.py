"""`ros2 run package executable ...`"""

from __future__ import annotations

import argparse
import os
import shlex

from ros2cli.main import CommandError
from ros2cli.session import check_environment


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", default="", help="command put before the executable, as 'gdb --args'")
    parser.add_argument("package")
    parser.add_argument("executable")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="given to the executable")
    parser.set_defaults(main=run)


def run(args: argparse.Namespace) -> int:
    """Becomes the executable, so that signals and the exit code are its own."""
    from ament_index_python.packages import PackageNotFoundError
    from launch_ros.substitutions import find_executable

    try:
        path = find_executable(args.package, args.executable)
    except (PackageNotFoundError, FileNotFoundError, LookupError, ValueError) as error:
        raise CommandError(str(error)) from None
    check_environment()
    command = [*shlex.split(args.prefix), path, *args.arguments]
    os.execvp(command[0], command)
