"""Loggers: severity levels, throttling, once, and /rosout."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy import log_levels
from rclpy.clock import Clock
from rclpy.log_levels import LoggingSeverity

_COLORS = {10: "\033[32m", 30: "\033[33m", 40: "\033[31m", 50: "\033[31m"}
# /rosout publishers by logger name
_sinks: dict[str, list[Callable[[int, str, str, str, str, int], None]]] = {}
_system_clock = Clock()


class _Call:
    """One logging call in a program: what it says about itself, which may not change, and what its filters
    remember."""

    def __init__(self, severity: int, name: str, filters: dict[str, Any]) -> None:
        if "throttle_time_source_type" in filters and "throttle_duration_sec" not in filters:
            raise TypeError("throttle_time_source_type needs throttle_duration_sec, too")
        clock = filters.get("throttle_time_source_type", _system_clock)
        if not isinstance(clock, Clock):
            raise ValueError(f"throttle_time_source_type {clock!r} is not a clock")
        self.severity, self.name, self.filters, self.clock = severity, name, filters, clock
        self.last_ns = 0  # when throttling let a message pass
        self.skipped = self.logged = False

    def check(self, severity: int, name: str, filters: dict[str, Any]) -> None:
        """ValueError if the same line of code now asks for something else."""
        for what, before, now in (
            ("Logger severity", self.severity, severity),
            ("Logger name", self.name, name),
            ("Requested logging filters", self.filters.keys(), filters.keys()),
            ("Logging filter parameters", self.filters, filters),
        ):
            if before != now:
                raise ValueError(f"{what} cannot be changed between calls.")

    def passes(self) -> bool:
        """Whether every filter lets the message pass; each one counts only what reaches it."""
        if duration := self.filters.get("throttle_duration_sec"):
            now = self.clock.now().nanoseconds
            if now < self.last_ns + duration * 1e9:
                return False
            self.last_ns = now
        if self.filters.get("skip_first") and not self.skipped:
            self.skipped = True
            return False
        if self.filters.get("once"):
            first, self.logged = not self.logged, True
            return first
        return True


class RcutilsLogger:
    """A named logger; names form a tree by dots."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._calls: dict[tuple[str, int, int], _Call] = {}  # by file, line and instruction

    def get_child(self, name: str) -> RcutilsLogger:
        if not name:
            raise ValueError("Child logger name must not be empty.")
        return RcutilsLogger(f"{self.name}.{name}" if self.name else name)

    def set_level(self, level: int) -> None:
        log_levels.levels[self.name] = LoggingSeverity(level)

    def get_effective_level(self) -> LoggingSeverity:
        name = self.name
        while name:
            if log_levels.levels.get(name):
                return LoggingSeverity(log_levels.levels[name])
            name = name.rpartition(".")[0]
        return LoggingSeverity(log_levels.levels[""])

    def is_enabled_for(self, severity: int) -> bool:
        return LoggingSeverity(severity) >= self.get_effective_level()

    def log(self, message: str, severity: int, *, name: str | None = None, **filters: Any) -> bool:
        """Logs unless filtered out; whether it did. Filters, each counting per call in the program: `once`,
        `skip_first`, `throttle_duration_sec` (with a clock as `throttle_time_source_type`).

        TypeError for what is no text and for unknown filters; ValueError if the same call changes its
        severity, name or filters."""
        return self._log(sys._getframe(1), message, severity, name, filters)

    def _log(
        self, frame: Any, message: str, severity: int, name: str | None, filters: dict[str, Any]
    ) -> bool:
        if not self.is_enabled_for(severity):
            return False
        known = ("throttle_duration_sec", "throttle_time_source_type", "skip_first", "once")
        if unknown := set(filters) - set(known):
            raise TypeError(f"{unknown.pop()!r} is none of the logging options {', '.join(known)}")
        filters = {key: value for key, value in filters.items() if value}
        name, code = name or self.name, frame.f_code
        place = (code.co_filename, frame.f_lineno, frame.f_lasti)
        if place not in self._calls:
            self._calls[place] = _Call(severity, name, filters)
        call = self._calls[place]
        call.check(severity, name, filters)
        if not call.passes():
            return False
        if not isinstance(message, str):
            raise TypeError(f"only text can be logged, not {message!r}: use str()")
        _write(name, int(severity), message, code.co_filename, code.co_name, frame.f_lineno)
        return True

    def debug(self, message: str, **kwargs: Any) -> bool:
        return self._log(sys._getframe(1), message, LoggingSeverity.DEBUG, kwargs.pop("name", None), kwargs)

    def info(self, message: str, **kwargs: Any) -> bool:
        return self._log(sys._getframe(1), message, LoggingSeverity.INFO, kwargs.pop("name", None), kwargs)

    def warning(self, message: str, **kwargs: Any) -> bool:
        return self._log(sys._getframe(1), message, LoggingSeverity.WARN, kwargs.pop("name", None), kwargs)

    warn = warning

    def error(self, message: str, **kwargs: Any) -> bool:
        return self._log(sys._getframe(1), message, LoggingSeverity.ERROR, kwargs.pop("name", None), kwargs)

    def fatal(self, message: str, **kwargs: Any) -> bool:
        return self._log(sys._getframe(1), message, LoggingSeverity.FATAL, kwargs.pop("name", None), kwargs)


def _write(name: str, severity: int, message: str, file: str, function: str, line: int) -> None:
    if log_levels.console_shows():
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
    log_levels.levels[name] = LoggingSeverity(level)


def get_logger_level(name: str) -> LoggingSeverity:
    return LoggingSeverity(log_levels.levels.get(name, 0))


def get_logger_effective_level(name: str) -> LoggingSeverity:
    return RcutilsLogger(name).get_effective_level()


def get_logging_severity_from_string(log_severity: str) -> LoggingSeverity:
    """RuntimeError for what is no severity."""
    if log_severity.upper() not in LoggingSeverity.__members__:
        raise RuntimeError(f"{log_severity!r} is none of {', '.join(LoggingSeverity.__members__)}")
    return LoggingSeverity[log_severity.upper()]


def get_logging_directory() -> Path:
    """Where a real ROS 2 would write its log files; the embedded runtime writes none."""
    home = os.environ.get("ROS_HOME") or Path.home() / ".ros"
    return Path(os.environ.get("ROS_LOG_DIR") or Path(home) / "log").expanduser().absolute()


def initialize() -> None:
    """Logging needs no preparation here."""


def shutdown() -> None:
    """Forgets every level that was set."""
    log_levels.forget()


def clear_config() -> None:
    shutdown()
    initialize()
