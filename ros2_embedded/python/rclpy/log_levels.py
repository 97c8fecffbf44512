"""Which messages are logged: a level for each logger, and whether the console shows them."""

from __future__ import annotations

from enum import IntEnum


class LoggingSeverity(IntEnum):
    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


levels: dict[str, int] = {"": LoggingSeverity.INFO}  # by logger name; "" is the root
_console = True


def configure(log_levels: dict[str, str], console: bool) -> None:
    """Applies --log-level and --disable-stdout-logs."""
    global _console
    _console = console
    for name, level in log_levels.items():
        levels[name] = LoggingSeverity[level.upper()]


def console_shows() -> bool:
    """Whether messages go to the console."""
    return _console


def forget() -> None:
    """Forgets every level that was set."""
    levels.clear()
    levels[""] = LoggingSeverity.INFO
