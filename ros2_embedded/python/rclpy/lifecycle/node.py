"""Nodes with a life cycle."""

from __future__ import annotations

import threading
import traceback
from typing import Any, NamedTuple

from lifecycle_msgs.msg import State as StateMsg
from lifecycle_msgs.msg import Transition, TransitionDescription, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import RCLError
from rclpy.lifecycle.managed_entity import ManagedEntity, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.node import Node

S, T = StateMsg, Transition
SUCCESS, FAILURE, ERROR = TransitionCallbackReturn


class LifecycleState(NamedTuple):
    label: str
    state_id: int

    def to_msg(self) -> StateMsg:
        return StateMsg(id=self.state_id, label=self.label)


STATES = {
    number: LifecycleState(label, number)
    for number, label in (
        (S.PRIMARY_STATE_UNKNOWN, "unknown"),
        (S.PRIMARY_STATE_UNCONFIGURED, "unconfigured"),
        (S.PRIMARY_STATE_INACTIVE, "inactive"),
        (S.PRIMARY_STATE_ACTIVE, "active"),
        (S.PRIMARY_STATE_FINALIZED, "finalized"),
        (S.TRANSITION_STATE_CONFIGURING, "configuring"),
        (S.TRANSITION_STATE_CLEANINGUP, "cleaningup"),
        (S.TRANSITION_STATE_SHUTTINGDOWN, "shuttingdown"),
        (S.TRANSITION_STATE_ACTIVATING, "activating"),
        (S.TRANSITION_STATE_DEACTIVATING, "deactivating"),
        (S.TRANSITION_STATE_ERRORPROCESSING, "errorprocessing"),
    )
}


class Step(NamedTuple):
    """A transition: its number and label, the states it leads from and to."""

    number: int
    label: str
    start: int
    goal: int


_UNCONFIGURED, _INACTIVE = S.PRIMARY_STATE_UNCONFIGURED, S.PRIMARY_STATE_INACTIVE
_ACTIVE, _FINALIZED = S.PRIMARY_STATE_ACTIVE, S.PRIMARY_STATE_FINALIZED
_DOWN, _BROKEN = S.TRANSITION_STATE_SHUTTINGDOWN, S.TRANSITION_STATE_ERRORPROCESSING
_ASKED = (
    Step(T.TRANSITION_CONFIGURE, "configure", _UNCONFIGURED, S.TRANSITION_STATE_CONFIGURING),
    Step(T.TRANSITION_CLEANUP, "cleanup", _INACTIVE, S.TRANSITION_STATE_CLEANINGUP),
    Step(T.TRANSITION_ACTIVATE, "activate", _INACTIVE, S.TRANSITION_STATE_ACTIVATING),
    Step(T.TRANSITION_DEACTIVATE, "deactivate", _ACTIVE, S.TRANSITION_STATE_DEACTIVATING),
    Step(T.TRANSITION_UNCONFIGURED_SHUTDOWN, "shutdown", _UNCONFIGURED, _DOWN),
    Step(T.TRANSITION_INACTIVE_SHUTDOWN, "shutdown", _INACTIVE, _DOWN),
    Step(T.TRANSITION_ACTIVE_SHUTDOWN, "shutdown", _ACTIVE, _DOWN),
)
# Where a callback's success, failure and error lead; the numbers of these transitions follow one another.
_ENDS = (
    (T.TRANSITION_ON_CONFIGURE_SUCCESS, S.TRANSITION_STATE_CONFIGURING, (_INACTIVE, _UNCONFIGURED, _BROKEN)),
    (T.TRANSITION_ON_CLEANUP_SUCCESS, S.TRANSITION_STATE_CLEANINGUP, (_UNCONFIGURED, _INACTIVE, _BROKEN)),
    (T.TRANSITION_ON_ACTIVATE_SUCCESS, S.TRANSITION_STATE_ACTIVATING, (_ACTIVE, _INACTIVE, _BROKEN)),
    (T.TRANSITION_ON_DEACTIVATE_SUCCESS, S.TRANSITION_STATE_DEACTIVATING, (_INACTIVE, _ACTIVE, _BROKEN)),
    (T.TRANSITION_ON_SHUTDOWN_SUCCESS, _DOWN, (_FINALIZED, _FINALIZED, _BROKEN)),
    (T.TRANSITION_ON_ERROR_SUCCESS, _BROKEN, (_UNCONFIGURED, _FINALIZED, _FINALIZED)),
)
STEPS = (
    *_ASKED,
    *(
        Step(first + i, result.to_label(), start, goal)
        for first, start, goals in _ENDS
        for i, (result, goal) in enumerate(zip(TransitionCallbackReturn, goals, strict=True))
    ),
)


class LifecycleNodeMixin(ManagedEntity):
    """What a lifecycle node has beyond a Node; use it together with Node only."""

    def __init__(
        self, *, enable_communication_interface: bool = True, callback_group: CallbackGroup | None = None
    ) -> None:
        self.__state = STATES[_UNCONFIGURED]
        self.__entities: list[ManagedEntity] = []
        self.__changing = threading.RLock()
        self.__events = None
        if not enable_communication_interface:
            return
        self.__events = self.create_publisher(TransitionEvent, "~/transition_event", 10)  # type: ignore[attr-defined]
        for kind, name, callback in (
            (ChangeState, "change_state", self.__on_change_state),
            (GetState, "get_state", self.__on_get_state),
            (GetAvailableStates, "get_available_states", self.__on_get_states),
            (GetAvailableTransitions, "get_available_transitions", self.__on_get_transitions),
            (GetAvailableTransitions, "get_transition_graph", self.__on_get_graph),
        ):
            self.create_service(kind, f"~/{name}", callback, callback_group=callback_group)  # type: ignore[attr-defined]

    def create_lifecycle_publisher(self, *args: Any, **kwargs: Any) -> LifecyclePublisher:
        """A publisher that sends while the node is active; arguments as of `create_publisher`."""
        if "publisher_class" in kwargs:
            raise TypeError("create_lifecycle_publisher() chooses the publisher_class itself")
        publisher = self.create_publisher(*args, **kwargs, publisher_class=LifecyclePublisher)  # type: ignore[attr-defined]
        self.add_managed_entity(publisher)
        return publisher

    def destroy_lifecycle_publisher(self, publisher: LifecyclePublisher) -> bool:
        self.__entities = [entity for entity in self.__entities if entity is not publisher]
        return self.destroy_publisher(publisher)  # type: ignore[attr-defined]

    def add_managed_entity(self, entity: ManagedEntity) -> None:
        if not isinstance(entity, ManagedEntity):
            raise TypeError(f"Expected a rclpy.lifecycle.ManagedEntity instance, not {entity!r}")
        self.__entities.append(entity)

    def __each(self, what: str, state: LifecycleState) -> TransitionCallbackReturn:
        for entity in list(self.__entities):
            result = getattr(entity, what)(state)
            if not isinstance(result, TransitionCallbackReturn):
                raise TypeError(f"{what} of {entity!r} returned {result!r}, not a TransitionCallbackReturn")
            if result != SUCCESS:
                return result
        return SUCCESS

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.__each("on_configure", state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.__each("on_cleanup", state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.__each("on_shutdown", state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.__each("on_activate", state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.__each("on_deactivate", state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self.__each("on_error", state)

    def trigger_configure(self) -> TransitionCallbackReturn:
        return self.__trigger("configure")

    def trigger_cleanup(self) -> TransitionCallbackReturn:
        return self.__trigger("cleanup")

    def trigger_activate(self) -> TransitionCallbackReturn:
        return self.__trigger("activate")

    def trigger_deactivate(self) -> TransitionCallbackReturn:
        return self.__trigger("deactivate")

    def trigger_shutdown(self) -> TransitionCallbackReturn:
        return self.__trigger("shutdown")

    def __available(self) -> list[Step]:
        return [step for step in STEPS if step.start == self.__state.state_id]

    def __trigger(self, label: str) -> TransitionCallbackReturn:
        """Takes a transition; RCLError if it does not start at the current state."""
        with self.__changing:
            step = next((step for step in self.__available() if step.label == label), None)
            if step is None:
                choices = ", ".join(step.label for step in self.__available()) or "nothing"
                raise RCLError(f"cannot {label} a node that is {self.__state.label}; it can {choices}")
            return self.__take(step)

    def __take(self, step: Step) -> TransitionCallbackReturn:
        before = self.__state
        self.__enter(step.goal)
        result = self.__finish(f"on_{step.label}", before)
        if result == ERROR:
            self.__finish("on_error", before)
        return result

    def __finish(self, what: str, before: LifecycleState) -> TransitionCallbackReturn:
        """Calls the callback of the state we are passing through, and goes where its result leads."""
        result = self.__call(what, before)
        self.__enter(next(step.goal for step in self.__available() if step.label == result.to_label()))
        return result

    def __call(self, what: str, state: LifecycleState) -> TransitionCallbackReturn:
        logger = self.get_logger()  # type: ignore[attr-defined]
        try:
            result = getattr(self, what)(state)
        except Exception:
            logger.error(f"{what} raised\n{traceback.format_exc()}")
            return ERROR
        if not isinstance(result, TransitionCallbackReturn):
            logger.error(f"{what} returned {result!r}, not a TransitionCallbackReturn")
            return ERROR
        return result

    def __enter(self, state_id: int) -> None:
        start, self.__state = self.__state, STATES[state_id]
        if self.__events is not None and self.context.ok():  # type: ignore[attr-defined]
            self.__events.publish(
                TransitionEvent(start_state=start.to_msg(), goal_state=self.__state.to_msg())
            )

    def __on_change_state(self, request: Any, response: Any) -> Any:
        wanted = request.transition
        with self.__changing:
            for step in self.__available():
                if step.label == wanted.label or (not wanted.label and step.number == wanted.id):
                    response.success = self.__take(step) == SUCCESS
                    return response
        logger = self.get_logger()  # type: ignore[attr-defined]
        logger.warning(f"no transition {wanted.label or wanted.id!r} from {self.__state.label}")
        return response

    def __on_get_state(self, request: Any, response: Any) -> Any:
        response.current_state = self.__state.to_msg()
        return response

    def __on_get_states(self, request: Any, response: Any) -> Any:
        response.available_states = [state.to_msg() for state in STATES.values()]
        return response

    def __on_get_transitions(self, request: Any, response: Any) -> Any:
        response.available_transitions = [_description(step) for step in self.__available()]
        return response

    def __on_get_graph(self, request: Any, response: Any) -> Any:
        response.available_transitions = [_description(step) for step in STEPS]
        return response


def _description(step: Step) -> TransitionDescription:
    return TransitionDescription(
        transition=Transition(id=step.number, label=step.label),
        start_state=STATES[step.start].to_msg(),
        goal_state=STATES[step.goal].to_msg(),
    )


class LifecycleNode(LifecycleNodeMixin, Node):
    """A node in one of the states unconfigured, inactive, active, finalized.

    Override `on_configure` and the like; they return a TransitionCallbackReturn. An exception counts as ERROR
    and leads through `on_error` to unconfigured (SUCCESS) or finalized. Call `super().on_activate(state)` so
    that managed entities follow."""

    def __init__(self, node_name: str, *, enable_communication_interface: bool = True, **kwargs: Any) -> None:
        Node.__init__(self, node_name, **kwargs)
        LifecycleNodeMixin.__init__(self, enable_communication_interface=enable_communication_interface)
