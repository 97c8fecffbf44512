"""Event handlers of lifecycle nodes."""

from __future__ import annotations

from typing import Any

from launch.event import Event
from launch.event_handlers import EventHandler

from launch_ros.events.lifecycle import StateTransition

__all__ = ["OnStateTransition"]


class OnStateTransition(EventHandler):
    """When a lifecycle node (None: any) goes through a transition, or from or into a state, by label."""

    def __init__(
        self,
        *,
        entities: Any,
        target_lifecycle_node: Any = None,
        transition: str | None = None,
        start_state: str | None = None,
        goal_state: str | None = None,
        **kwargs: Any,
    ) -> None:
        def matches(event: Event) -> bool:
            return isinstance(event, StateTransition) and all(
                wanted is None or wanted == found
                for wanted, found in (
                    (target_lifecycle_node, event.action),
                    (transition, event.transition),
                    (start_state, event.start_state),
                    (goal_state, event.goal_state),
                )
            )

        super().__init__(matcher=matches, entities=entities, **kwargs)
