"""Actions that run lifecycle nodes and take them through their states."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from launch.action import Action, TaskAction
from launch.actions import EmitEvent, RegisterEventHandler
from launch.event_handlers import EventHandler
from launch.logging import get_logger
from launch.utilities import to_text

from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState, StateTransition, matches_node_name
from launch_ros.node import Node
from launch_ros.ros_adapters import get_ros_node

_POLL_S = 0.05  # nobody says when a service appears
# lifecycle_msgs/msg/Transition: label, and where success leads
_TRANSITIONS = {
    1: ("configure", "inactive"),
    2: ("cleanup", "unconfigured"),
    3: ("activate", "active"),
    4: ("deactivate", "inactive"),
    5: ("shutdown", "finalized"),
    6: ("shutdown", "finalized"),
    7: ("shutdown", "finalized"),
}


class LifecycleNode(Node):
    """Runs a lifecycle node: emits StateTransition events and obeys ChangeState events. With `autostart` it
    is configured and activated."""

    def __init__(self, *, name: Any, namespace: Any, autostart: bool = False, **kwargs: Any) -> None:
        super().__init__(name=name, namespace=namespace, **kwargs)
        self._autostart = autostart
        self.node_name = ""  # the full one, once executed

    @property
    def is_lifecycle_node(self) -> bool:
        return True

    def execute(self, context) -> list | None:
        if context.is_shutdown or self._task:
            return None
        namespace = self._full_namespace(context).rstrip("/")
        self.node_name = f"{namespace}/{to_text(context, self._node_name)}"
        self._connect(context)
        context.register_event_handler(EventHandler(matcher=self._is_told, entities=self._obey))
        super().execute(context)
        transitions = [1, 3] if self._autostart else []
        return [LifecycleTransition(lifecycle_node_names=[self.node_name], transition_ids=transitions)]

    def _connect(self, context) -> None:
        """Subscribes the events before anything asks for a change: see `_Change`."""
        from lifecycle_msgs.msg import TransitionEvent
        from lifecycle_msgs.srv import ChangeState as Change
        from lifecycle_msgs.srv import GetState

        loop, node = asyncio.get_running_loop(), get_ros_node(context)

        def on_transition(message: Any) -> None:
            event = StateTransition(action=self, msg=message)
            loop.call_soon_threadsafe(context.emit_event_sync, event)

        node.create_subscription(TransitionEvent, f"{self.node_name}/transition_event", on_transition, 100)
        self.get_state = node.create_client(GetState, f"{self.node_name}/get_state")
        self.change_state = node.create_client(Change, f"{self.node_name}/change_state")

    def _is_told(self, event: Any) -> bool:
        return isinstance(event, ChangeState) and event.lifecycle_node_matcher(self)

    def _obey(self, event: ChangeState, context) -> list[Action]:
        return [_Change(self, event.transition_id)]


class LifecycleTransition(Action):
    """Takes each of the nodes through the transitions, one after the other."""

    def __init__(
        self,
        *,
        lifecycle_node_names: Iterable[Any],
        transition_ids: Iterable[Any],
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.names, self.transition_ids = list(lifecycle_node_names), list(transition_ids)

    def execute(self, context) -> list[Action]:
        numbers = [int(to_text(context, number)) for number in self.transition_ids]
        return [
            action
            for name in self.names
            for action in _sequence(matches_node_name(to_text(context, name)), numbers)
        ]


def _sequence(matcher: Any, numbers: list[int]) -> list[Action]:
    """The first change now, the others when the node has arrived where the first one leads."""
    if not numbers:
        return []
    change = EmitEvent(event=ChangeState(lifecycle_node_matcher=matcher, transition_id=numbers[0]))
    goal_state, rest = _TRANSITIONS[numbers[0]][1], _sequence(matcher, numbers[1:])
    return [RegisterEventHandler(_OnArrival(matcher, goal_state, rest)), change] if rest else [change]


class _OnArrival(OnStateTransition):
    """Once, when a node that matches enters a state."""

    def __init__(self, matcher: Any, goal_state: str, actions: list[Action]) -> None:
        super().__init__(entities=actions, goal_state=goal_state, handle_once=True)
        self._node_matcher = matcher

    def matches(self, event: Any) -> bool:
        return super().matches(event) and self._node_matcher(event.action)


class _Change(TaskAction):
    """Asks a node for a transition, once it is there. A node that ends instead is not waited for."""

    def __init__(self, node: LifecycleNode, number: int) -> None:
        super().__init__()
        self._node, self._number = node, number

    async def run(self, context) -> None:
        from lifecycle_msgs.srv import ChangeState as Change
        from lifecycle_msgs.srv import GetState

        client, request = self._node.change_state, Change.Request()
        request.transition.id = self._number
        # Whoever answers this has discovered our subscription too, so that no transition event gets lost
        if await self._call(self._node.get_state, GetState.Request()) is None:
            return
        response = await self._call(client, request)
        if response is not None and not response.success:
            label = _TRANSITIONS.get(self._number, (str(self._number),))[0]
            get_logger("launch_ros").error(
                "Failed to make transition '%s' for LifecycleNode '%s'", label, self._node.node_name
            )

    async def _call(self, client: Any, request: Any) -> Any:
        """The response, or None if the node ended before it."""
        process = self._node.get_asyncio_future()
        while not client.service_is_ready():
            if process.done():
                return None
            await asyncio.sleep(_POLL_S)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future = loop.create_future()

        def on_done(future: Any) -> None:
            loop.call_soon_threadsafe(lambda: answer.done() or answer.set_result(future.result()))

        client.call_async(request).add_done_callback(on_done)
        await asyncio.wait({answer, process}, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
