"""Loggers of launch: errors to stderr, the rest to stdout, all to ROS_LOG_DIR/launch.log if that is set."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path

_FORMAT = logging.Formatter("[%(levelname)s] [%(name)s]: %(message)s")


class _ScreenHandler(logging.Handler):
    """Looks the streams up anew for each line, so that whoever replaces sys.stdout sees the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more: shutting down must still go on
            print(
                self.format(record),
                file=sys.stderr if record.levelno >= logging.ERROR else sys.stdout,
                flush=True,
            )


def get_logger(name: str = "launch") -> logging.Logger:
    """The logger of that name; it writes to the screen and to the log file."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        logger.propagate = False
        logger.setLevel(logging.INFO)
        for handler in (_ScreenHandler(), _log_file()):
            if handler:
                handler.setFormatter(_FORMAT)
                logger.addHandler(handler)
    return logger


def write_output(name: str, line: str, to_screen: bool) -> None:
    """A line that a process wrote."""
    text = f"[{name}] {line}"
    if to_screen:
        try:
            print(text, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # said once, then the launch shuts down
            raise
    log_file = _log_file()
    if log_file:
        log_file.emit(logging.makeLogRecord({"msg": text, "levelname": "INFO", "name": name}))


_log_files: dict[str, logging.Handler] = {}


def _log_file() -> logging.Handler | None:
    """Nothing is written below the home folder unasked: only with ROS_LOG_DIR set is there a log file."""
    folder = os.environ.get("ROS_LOG_DIR")
    if not folder:
        return None
    if folder not in _log_files:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _log_files[folder] = logging.FileHandler(Path(folder) / "launch.log")
    return _log_files[folder]
