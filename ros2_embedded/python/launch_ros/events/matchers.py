"""Matchers of nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def matches_node_name(node_name: str) -> Callable[[Any], bool]:
    """A matcher of the lifecycle node with this full name; without a slash it is taken as one."""
    full = node_name if node_name.startswith("/") else f"/{node_name}"
    return lambda action: action.node_name == full
