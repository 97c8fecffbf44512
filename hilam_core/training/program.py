"""What every program in `training/` starts with: a dataclass as command line, errors in one line."""

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any

import tyro

from hilam_core.errors import HilamError


def run_program(main: Callable[[Any], None], config_type: type, *more_errors: type[Exception]) -> None:
    """Parse the command line into `config_type`, call `main`; user errors become one line and exit 1."""
    if not dataclasses.is_dataclass(config_type):
        raise TypeError(f"{config_type} is not a dataclass")
    user_errors: tuple[type[Exception], ...] = (HilamError, *more_errors)
    try:
        main(tyro.cli(config_type, description=sys.modules[main.__module__].__doc__))
    except user_errors as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def is_main_process() -> bool:
    """Whether this process writes the checkpoint: rank 0 of torchrun's, or the only one."""
    return os.environ.get("RANK", "0") == "0"
