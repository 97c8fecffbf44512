"""Nodes in launch files."""

from launch_ros import actions, event_handlers, events, parameter_descriptions, substitutions

__all__ = ["actions", "event_handlers", "events", "parameter_descriptions", "substitutions"]
