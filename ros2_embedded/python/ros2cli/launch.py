"""`ros2 launch package file.launch.py name:=value ...`"""

from __future__ import annotations

import argparse
from pathlib import Path

from ros2cli.main import CommandError
from ros2cli.session import check_environment

_SHOW = ("-s", "--show-args", "--show-arguments")
_KNOWN = {
    "launch-prefix",
    "sigterm_timeout",
    "sigkill_timeout",
}  # what actions themselves read


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(*_SHOW, dest="show", action="store_true", help="show the arguments and end")
    parser.add_argument("-d", "--debug", action="store_true", help="print the traceback of errors")
    parser.add_argument("-n", "--noninteractive", action="store_true", help="no terminal is attached")
    parser.add_argument("--launch-prefix", help="command put before every executable, as 'gdb --args'")
    parser.add_argument("package", help="package, or the path of a launch file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="launch file of the package, name:=value")
    parser.set_defaults(main=launch)


def launch(args: argparse.Namespace) -> int:
    path, texts = _launch_file(args.package, args.arguments)
    arguments = parse_arguments([text for text in texts if not text.startswith("-")])
    if args.launch_prefix:
        arguments["launch-prefix"] = args.launch_prefix

    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(path))
    declared = _load(source, path, args.debug).get_launch_arguments()
    if args.show or not set(_SHOW).isdisjoint(texts):
        print("Arguments (pass arguments as '<name>:=<value>'):\n")
        print("\n\n".join(argument.describe() for argument in declared) or "  No arguments.")
        return 0
    check_environment()
    _warn_of_unknown(path, arguments, {argument.name for argument in declared})
    service = LaunchService(argv=texts, noninteractive=args.noninteractive, debug=args.debug)
    include = IncludeLaunchDescription(source, launch_arguments=arguments.items())
    service.include_launch_description(LaunchDescription([include]))
    return service.run()


def parse_arguments(texts: list[str]) -> dict[str, str]:
    """{name: value} of `name:=value` texts; the last one wins. Raises CommandError."""
    values = {}
    for text in texts:
        name, separator, value = text.partition(":=")
        if not name or not separator:
            raise CommandError(f"launch argument '{text}' is not of the form name:=value")
        values[name] = value
    return values


def _launch_file(package: str, arguments: list[str]) -> tuple[Path, list[str]]:
    """The launch file and the arguments after it. Raises CommandError."""
    if Path(package).is_file():
        return Path(package).absolute(), arguments
    if package.endswith(".py"):
        raise CommandError(f"launch file '{package}' does not exist")

    from ament_index_python.packages import PackageNotFoundError, get_package_share_path

    try:
        share = get_package_share_path(package)
    except (PackageNotFoundError, LookupError, ValueError) as error:
        raise CommandError(str(error)) from None
    files = {path.name: path for path in sorted(share.rglob("*launch.py"))}
    choices = f"choices: {', '.join(files)}" if files else "it has none"
    if not arguments or ":=" in arguments[0]:
        raise CommandError(f"name a launch file of package '{package}', {choices}")
    if arguments[0] not in files:
        raise CommandError(f"no launch file '{arguments[0]}' in package '{package}' ({share}), {choices}")
    return files[arguments[0]], arguments[1:]


def _load(source, path: Path, debug: bool):
    from launch import LaunchContext

    try:
        return source.get_launch_description(LaunchContext())
    except Exception as error:
        if debug:
            raise
        kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        raise CommandError(f"cannot load {path}: {kind}{' '.join(str(error).split())}") from error


def _warn_of_unknown(path: Path, arguments: dict[str, str], declared: set[str]) -> None:
    from launch.logging import get_logger

    for name in sorted(arguments.keys() - declared - _KNOWN):
        choices = ", ".join(sorted(declared)) or "none"
        get_logger("launch").warning("%s declares no argument '%s', but: %s", path.name, name, choices)
