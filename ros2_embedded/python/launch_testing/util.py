"""Helpers for test descriptions."""

from __future__ import annotations

import sys

from launch.actions import ExecuteProcess

__all__ = ["KeepAliveProc"]


class KeepAliveProc(ExecuteProcess):
    """A process that does nothing until the launch ends, to keep it going."""

    def __init__(self) -> None:
        wait = "import signal; signal.signal(signal.SIGINT, lambda *_: exit()); signal.pause()"
        super().__init__(cmd=[sys.executable, "-c", wait], name="keep_alive")
