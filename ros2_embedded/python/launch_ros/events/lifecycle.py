"""Events of lifecycle nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from launch.event import Event

from launch_ros.events.matchers import matches_node_name

__all__ = ["ChangeState", "StateTransition", "matches_node_name"]


class ChangeState(Event):
    """Makes the lifecycle nodes that match take a transition (a number of lifecycle_msgs/msg/Transition)."""

    name = "launch_ros.events.lifecycle.ChangeState"

    def __init__(self, *, lifecycle_node_matcher: Callable[[Any], bool], transition_id: int) -> None:
        self.lifecycle_node_matcher, self.transition_id = lifecycle_node_matcher, transition_id


class StateTransition(Event):
    """A lifecycle node went from one state to another; `msg` is its lifecycle_msgs/msg/TransitionEvent."""

    name = "launch_ros.events.lifecycle.StateTransition"

    def __init__(self, *, action: Any, msg: Any) -> None:
        self.action, self.msg = action, msg

    @property
    def transition(self) -> str:
        return self.msg.transition.label

    @property
    def start_state(self) -> str:
        return self.msg.start_state.label

    @property
    def goal_state(self) -> str:
        return self.msg.goal_state.label
