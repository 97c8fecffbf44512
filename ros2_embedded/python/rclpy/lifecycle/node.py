"""Nodes with a life cycle."""

from __future__ import annotations

import threading
import traceback
from typing import Any, NamedTuple

from lifecycle_msgs.msg import State as StateMsg
from lifecycle_msgs.msg import Transition, TransitionDescription, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState

from rclpy.lifecycle.managed_entity import ManagedEntity, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.node import Node

S, T = StateMsg, Transition
SUCCESS, FAILURE, ERROR = TransitionCallbackReturn


class LifecycleState(NamedTuple):
    state_id: int
    label: str

    def to_msg(self) -> StateMsg:
        return StateMsg(id=self.state_id, label=self.label)


State = LifecycleState

STATES = {
    number: LifecycleState(number, label)
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
    """A transition to ask for: where it starts, what it passes through, where success and failure lead."""

    number: int
    label: str
    start: int
    through: int
    success: int
    failure: int


_UNCONFIGURED, _INACTIVE = S.PRIMARY_STATE_UNCONFIGURED, S.PRIMARY_STATE_INACTIVE
_ACTIVE, _FINALIZED = S.PRIMARY_STATE_ACTIVE, S.PRIMARY_STATE_FINALIZED
_DOWN = S.TRANSITION_STATE_SHUTTINGDOWN
STEPS = (
    Step(
        T.TRANSITION_CONFIGURE, "configure",
        _UNCONFIGURED, S.TRANSITION_STATE_CONFIGURING, _INACTIVE, _UNCONFIGURED,
    ),
    Step(
        T.TRANSITION_CLEANUP, "cleanup",
        _INACTIVE, S.TRANSITION_STATE_CLEANINGUP, _UNCONFIGURED, _INACTIVE,
    ),
    Step(T.TRANSITION_ACTIVATE, "activate", _INACTIVE, S.TRANSITION_STATE_ACTIVATING, _ACTIVE, _INACTIVE),
    Step(
        T.TRANSITION_DEACTIVATE, "deactivate",
        _ACTIVE, S.TRANSITION_STATE_DEACTIVATING, _INACTIVE, _ACTIVE,
    ),
    Step(T.TRANSITION_UNCONFIGURED_SHUTDOWN, "shutdown", _UNCONFIGURED, _DOWN, _FINALIZED, _FINALIZED),
    Step(T.TRANSITION_INACTIVE_SHUTDOWN, "shutdown", _INACTIVE, _DOWN, _FINALIZED, _FINALIZED),
    Step(T.TRANSITION_ACTIVE_SHUTDOWN, "shutdown", _ACTIVE, _DOWN, _FINALIZED, _FINALIZED),
)  # fmt: skip


class LifecycleNode(Node):
    """A node in one of the states unconfigured, inactive, active, finalized.

    Override `on_configure` and the like; they return a TransitionCallbackReturn. An exception counts as ERROR
    and leads through `on_error` to unconfigured (SUCCESS) or finalized. Call `super().on_activate(state)` so
    that managed entities follow."""

    def __init__(self, node_name: str, *, enable_communication_interface: bool = True, **kwargs: Any) -> None:
        super().__init__(node_name, **kwargs)
        self.__state = STATES[_UNCONFIGURED]
        self.__entities: list[ManagedEntity] = []
        self.__changing = threading.RLock()
        self.__events = None
        if enable_communication_interface:
            self.__events = self.create_publisher(TransitionEvent, "~/transition_event", 10)
            self.create_service(ChangeState, "~/change_state", self.__on_change_state)
            self.create_service(GetState, "~/get_state", self.__on_get_state)
            self.create_service(GetAvailableStates, "~/get_available_states", self.__on_get_states)
            for name in ("get_available_transitions", "get_transition_graph"):
                everything = name == "get_transition_graph"
                self.create_service(
                    GetAvailableTransitions, f"~/{name}", self.__transitions_callback(everything)
                )

    @property
    def current_state(self) -> LifecycleState:
        return self.__state

    def create_lifecycle_publisher(self, *args: Any, **kwargs: Any) -> LifecyclePublisher:
        publisher = self.create_publisher(*args, **kwargs, publisher_class=LifecyclePublisher)
        self.add_managed_entity(publisher)  # type: ignore[arg-type]
        return publisher  # type: ignore[return-value]

    def add_managed_entity(self, entity: ManagedEntity) -> None:
        self.__entities.append(entity)
        if self.__state.state_id == _ACTIVE:
            entity.on_activate(self.__state)

    def __each(self, what: str, state: LifecycleState) -> TransitionCallbackReturn:
        for entity in list(self.__entities):
            result = getattr(entity, what)(state)
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
        return FAILURE

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
        with self.__changing:
            step = next((step for step in self.__available() if step.label == label), None)
            if step is None:
                choices = ", ".join(step.label for step in self.__available()) or "nothing"
                raise RuntimeError(f"cannot {label} a node that is {self.__state.label}; it can {choices}")
            return self.__take(step)

    def __take(self, step: Step) -> TransitionCallbackReturn:
        before = self.__state
        self.__enter(step.through, step.number, step.label)
        result = self.__call(f"on_{step.label}", before)
        if result == ERROR:
            number = T.TRANSITION_ON_CONFIGURE_ERROR
            self.__enter(S.TRANSITION_STATE_ERRORPROCESSING, number, "transition_error")
            recovered = self.__call("on_error", before) == SUCCESS
            target, label = _UNCONFIGURED if recovered else _FINALIZED, "error"
        else:
            target, label = (step.success, "success") if result == SUCCESS else (step.failure, "failure")
        self.__enter(target, step.number, f"transition_{label}")
        return result

    def __call(self, what: str, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = getattr(self, what)(state)
        except Exception:
            self.get_logger().error(f"{what} raised\n{traceback.format_exc()}")
            return ERROR
        if result not in tuple(TransitionCallbackReturn):
            self.get_logger().error(f"{what} returned {result!r}, not a TransitionCallbackReturn")
            return ERROR
        return TransitionCallbackReturn(result)

    def __enter(self, state_id: int, number: int, label: str) -> None:
        start, self.__state = self.__state, STATES[state_id]
        if self.__events is not None and self.context.ok():
            self.__events.publish(
                TransitionEvent(
                    timestamp=self.get_clock().now().nanoseconds,
                    transition=Transition(id=number, label=label),
                    start_state=start.to_msg(),
                    goal_state=self.__state.to_msg(),
                )
            )

    def __on_change_state(self, request: Any, response: Any) -> Any:
        wanted = request.transition
        with self.__changing:
            for step in self.__available():
                if step.label == wanted.label or (not wanted.label and step.number == wanted.id):
                    response.success = self.__take(step) == SUCCESS
                    return response
        self.get_logger().warning(f"no transition {wanted.label or wanted.id!r} from {self.__state.label}")
        return response

    def __on_get_state(self, request: Any, response: Any) -> Any:
        response.current_state = self.__state.to_msg()
        return response

    def __on_get_states(self, request: Any, response: Any) -> Any:
        response.available_states = [state.to_msg() for state in STATES.values()]
        return response

    def __transitions_callback(self, everything: bool) -> Any:
        def answer(request: Any, response: Any) -> Any:
            response.available_transitions = [
                TransitionDescription(
                    transition=Transition(id=step.number, label=step.label),
                    start_state=STATES[step.start].to_msg(),
                    goal_state=STATES[step.through].to_msg(),
                )
                for step in (STEPS if everything else self.__available())
            ]
            return response

        return answer
