"""`ros2 <command> ...`: finds the module of the command, and turns errors into one line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib import import_module

COMMANDS = {
    "action": "List actions, send goals",
    "bag": "Record topics, play recordings",
    "doctor": "Check installation, environment, network and graph",
    "interface": "Show message, service and action definitions",
    "launch": "Run a launch file",
    "lifecycle": "Show and change the states of lifecycle nodes",
    "node": "List nodes, show what a node offers",
    "param": "List, get, set, dump the parameters of nodes",
    "pkg": "List packages, find prefixes and executables",
    "run": "Run an executable of a package",
    "service": "List and call services",
    "topic": "List, show, measure and publish topics",
}


class CommandError(Exception):
    """A wrong argument or a missing thing: printed in one line, exit code 1."""


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="ros2", description="Embedded ROS 2 command line")
    commands = parser.add_subparsers(metavar="command", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if argv[:1] == [name]:  # the others' modules stay unloaded: start-up stays fast
            import_module(f"ros2cli.{name}").register(command)
    if not argv:
        parser.print_help()
        return 0
    args = parser.parse_args(argv)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        return args.main(args) or 0
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # as `ros2 topic list | head` does
        return 0


def _interrupt(number: int, frame: object) -> None:
    """Ctrl-C, once: while the command ends, more of them are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def add_verb(verbs, function) -> argparse.ArgumentParser:
    """The parser of a verb, named after the function and described by its docstring."""
    summary = (function.__doc__ or "").strip().splitlines()[0]
    parser = verbs.add_parser(function.__name__.strip("_"), help=summary, description=summary)
    parser.set_defaults(main=function)
    return parser
