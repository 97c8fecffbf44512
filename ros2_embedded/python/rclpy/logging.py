"""Loggers: severity levels, throttling, once, and /rosout."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from rclpy.clock import Clock


class LoggingSeverity(IntEnum):
    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


_COLORS = {10: "\033[32m", 30: "\033[33m", 40: "\033[31m", 50: "\033[31m"}
_levels: dict[str, int] = {"": LoggingSeverity.INFO}
_sinks: dict[
    str, list[Callable[[int, str, str, str, str, int], None]]
] = {}  # /rosout publishers by logger name
_calls: dict[
    tuple[str, int], dict[str, Any]
] = {}  # what once, skip_first and throttling remember per line of code
_console = True


class RcutilsLogger:
    """A named logger; names form a tree by dots."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def get_child(self, name: str) -> RcutilsLogger:
        if not name:
            raise ValueError("Need non-empty name for child logger.")
        return RcutilsLogger(f"{self.name}.{name}" if self.name else name)

    def set_level(self, level: int) -> None:
        _levels[self.name] = LoggingSeverity(level)

    def get_effective_level(self) -> LoggingSeverity:
        name = self.name
        while name:
            if _levels.get(name):
                return LoggingSeverity(_levels[name])
            name = name.rpartition(".")[0]
        return LoggingSeverity(_levels[""])

    def is_enabled_for(self, severity: int) -> bool:
        return severity >= self.get_effective_level()

    def log(
        self,
        message: object,
        severity: int,
        *,
        once: bool = False,
        skip_first: bool = False,
        throttle_duration_sec: float | None = None,
        throttle_time_source_type: Clock | None = None,
        name: str | None = None,
        _frame: Any = None,
    ) -> bool:
        """Logs unless filtered out; whether it did. `once`, `skip_first` and throttling count per line of
        code."""
        if not self.is_enabled_for(severity):
            return False
        frame = _frame or sys._getframe(1)
        if once or skip_first or throttle_duration_sec is not None:
            seen = _calls.setdefault((frame.f_code.co_filename, frame.f_lineno), {"count": 0, "last": None})
            seen["count"] += 1
            if (skip_first and seen["count"] == 1) or (once and seen["count"] > 1 + skip_first):
                return False
            if throttle_duration_sec is not None:
                clock = throttle_time_source_type
                now = clock.now().nanoseconds / 1e9 if clock else time.monotonic()
                if seen["last"] is not None and 0 <= now - seen["last"] < throttle_duration_sec:
                    return False
                seen["last"] = now
        code = frame.f_code
        _write(name or self.name, int(severity), str(message), code.co_filename, code.co_name, frame.f_lineno)
        return True

    def debug(self, message: object, **kwargs: Any) -> bool:
        return self.log(message, LoggingSeverity.DEBUG, _frame=sys._getframe(1), **kwargs)

    def info(self, message: object, **kwargs: Any) -> bool:
        return self.log(message, LoggingSeverity.INFO, _frame=sys._getframe(1), **kwargs)

    def warning(self, message: object, **kwargs: Any) -> bool:
        return self.log(message, LoggingSeverity.WARN, _frame=sys._getframe(1), **kwargs)

    def warn(self, message: object, **kwargs: Any) -> bool:
        return self.log(message, LoggingSeverity.WARN, _frame=sys._getframe(1), **kwargs)

    def error(self, message: object, **kwargs: Any) -> bool:
        return self.log(message, LoggingSeverity.ERROR, _frame=sys._getframe(1), **kwargs)

    def fatal(self, message: object, **kwargs: Any) -> bool:
        return self.log(message, LoggingSeverity.FATAL, _frame=sys._getframe(1), **kwargs)


def _write(name: str, severity: int, message: str, file: str, function: str, line: int) -> None:
    if _console:
        now = time.time_ns()
        form = os.environ.get("RCUTILS_CONSOLE_OUTPUT_FORMAT", "[{severity}] [{time}] [{name}]: {message}")
        fields = {
            "severity": LoggingSeverity(severity).name, "name": name, "message": message, "file_name": file,
            "function_name": function, "line_number": line, "time_as_nanoseconds": now,
            "time": f"{now // 10**9}.{now % 10**9:09d}",
        }  # fmt: skip
        text = form
        for key, value in fields.items():
            if key != "message":
                text = text.replace(f"{{{key}}}", str(value))
        text = text.replace("{message}", message)
        stream = sys.stdout if os.environ.get("RCUTILS_LOGGING_USE_STDOUT") == "1" else sys.stderr
        wanted = os.environ.get("RCUTILS_COLORIZED_OUTPUT")
        colored = wanted == "1" if wanted else stream is not None and stream.isatty()
        if colored and severity in _COLORS:
            text = f"{_COLORS[severity]}{text}\033[0m"
        if stream is not None:
            try:
                stream.write(text + "\n")
                stream.flush()
            except (OSError, ValueError):  # a closed pipe must not end a node
                pass
    root = name
    while root:
        for sink in _sinks.get(root, ()):
            sink(severity, name, message, file, function, line)
        root = root.rpartition(".")[0]


def get_logger(name: str) -> RcutilsLogger:
    if not name:
        raise ValueError("Logger name must not be empty.")
    return RcutilsLogger(name)


def set_logger_level(name: str, level: int, detailed_error: bool = False) -> None:
    _levels[name] = LoggingSeverity(level)


def get_logger_level(name: str) -> LoggingSeverity:
    return LoggingSeverity(_levels.get(name, 0))


def get_logger_effective_level(name: str) -> LoggingSeverity:
    return RcutilsLogger(name).get_effective_level()


def get_logging_severity_from_string(log_severity: str) -> LoggingSeverity:
    return LoggingSeverity[log_severity.upper()]


def initialize(log_levels: dict[str, str] | None = None, console: bool = True) -> None:
    """Applies --log-level and --disable-stdout-logs."""
    global _console
    _console = console
    for name, level in (log_levels or {}).items():
        _levels[name] = LoggingSeverity[level.upper()]
