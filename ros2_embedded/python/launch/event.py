"""What event handlers receive."""

from __future__ import annotations


class Event:
    """Base class of everything that event handlers receive."""

    name = "launch.Event"
