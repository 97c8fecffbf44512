"""The one way to be a program: a dataclass as command line, errors in one line, Ctrl-C ends cleanly."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable
from typing import Any

from hilam_core.errors import HilamError


def run_program(main: Callable[[Any], None], config_type: type) -> None:
    """Parse the command line into the dataclass `config_type` and call `main` with it.

    A HilamError, or an OSError that nobody explained better, becomes one line and exit code 1. Ctrl-C and
    SIGTERM become exit code 130, also in a program that a shell started in the background, where SIGINT is
    ignored. Every program keeps what is finished and continues when the same command is given again.
    """
    import tyro

    if not dataclasses.is_dataclass(config_type):
        raise TypeError(f"{config_type} is not a dataclass")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        main(tyro.cli(config_type, description=sys.modules[main.__module__].__doc__))
    except (HilamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; the same command continues", file=sys.stderr)
        sys.exit(130)
