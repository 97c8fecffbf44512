"""The one way to be a program: a dataclass as command line, errors in one line, Ctrl-C ends cleanly."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from hilam_core.errors import ConfigError, HilamError
from hilam_core.files import replacing

Presets = Mapping[str, Mapping[str, Any]]


def run_program(main: Callable[[Any], None], config_type: type, presets: Presets | None = None) -> None:
    """Parse the command line into the dataclass `config_type` and call `main` with it.

    presets: settings by name, for `--preset NAME`; other options change them further.

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
        chosen = preset_of(sys.argv[1:], config_type, presets or {})
        defaults = {} if chosen is None else {"default": chosen}
        main(tyro.cli(config_type, description=sys.modules[main.__module__].__doc__, **defaults))
    except (HilamError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept; the same command continues", file=sys.stderr)
        sys.exit(130)


def preset_of(arguments: list[str], config_type: type, presets: Presets) -> Any:
    """The settings of `--preset NAME` among the arguments; None where there is none.

    Raises:
        ConfigError: an unknown name.
    """
    given = [after for option, after in pairwise(arguments) if option == "--preset"]
    given += [argument.partition("=")[2] for argument in arguments if argument.startswith("--preset=")]
    if not presets or not given:
        return None
    if given[-1] not in presets:
        raise ConfigError(f"unknown preset {given[-1]!r}; choices: {', '.join(presets)}")
    return config_type(preset=given[-1], **presets[given[-1]])


def conclude_bench(lines: list[str], out: Path | None, short: list[str]) -> None:
    """End a benchmark: write the table to `out` where it is given; exit with what fell short, if anything."""
    if out is not None:
        with replacing(out) as draft:
            draft.write_text("\n".join(lines) + "\n")
    if short:
        sys.exit("\n".join(short))
