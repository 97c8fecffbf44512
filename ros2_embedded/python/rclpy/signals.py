"""SIGINT and SIGTERM end every context.

Python runs signal handlers in the main thread, which may be waiting inside Cyclone. So a helper thread reads
the interpreter's wake-up descriptor and wakes the executors; the main thread comes back to Python and handles
the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from enum import IntEnum
from typing import Any

from rclpy.context import running_contexts


class SignalHandlerOptions(IntEnum):
    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


_previous: dict[int, Any] = {}
_wakeup: tuple[int, int] | None = None
_options = SignalHandlerOptions.NO
_REPEAT_S = 1.0  # Ctrl-C may come twice, from the terminal and from a launch: not into the clean-up
_handled_at = float("-inf")


def _handle(number: int, frame: Any) -> None:
    global _handled_at
    repeated = time.monotonic() - _handled_at < _REPEAT_S
    for context in running_contexts():
        context.stop()
    previous = _previous.get(number)
    if callable(previous) and not repeated:  # for SIGINT usually the one that raises KeyboardInterrupt
        _handled_at = time.monotonic()
        previous(number, frame)


def _watch(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(descriptor, 64):
            for context in running_contexts():
                context.wake()


def install_signal_handlers(options: SignalHandlerOptions = SignalHandlerOptions.ALL) -> None:
    """Only the main thread can; elsewhere this does nothing."""
    global _wakeup, _options, _handled_at
    if threading.current_thread() is not threading.main_thread() or options == SignalHandlerOptions.NO:
        return
    uninstall_signal_handlers()
    if _wakeup is None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        _wakeup = read, write
        threading.Thread(target=_watch, args=(read,), name="rclpy-signals", daemon=True).start()
    signal.set_wakeup_fd(_wakeup[1], warn_on_full_buffer=False)
    for flag, number in (
        (SignalHandlerOptions.SIGINT, signal.SIGINT),
        (SignalHandlerOptions.SIGTERM, signal.SIGTERM),
    ):
        if options & flag:
            _previous[number] = signal.signal(number, _handle)
    _options, _handled_at = options, float("-inf")


def uninstall_signal_handlers() -> None:
    global _options
    if threading.current_thread() is not threading.main_thread():
        return
    for number, previous in _previous.items():
        if signal.getsignal(number) is _handle:
            signal.signal(number, previous)
    if _previous:
        signal.set_wakeup_fd(-1)
    _previous.clear()
    _options = SignalHandlerOptions.NO


def get_current_signal_handlers_options() -> SignalHandlerOptions:
    return _options
