"""Marks for generate_test_description()."""

from __future__ import annotations

from typing import Any

_KEEP_ALIVE = "keep_alive"


def keep_alive(function: Any) -> Any:
    """The launch goes on when all its processes have ended, until the tests have."""
    setattr(function, _KEEP_ALIVE, True)
    return function


def is_kept_alive(function: Any) -> bool:
    return getattr(function, _KEEP_ALIVE, False)
