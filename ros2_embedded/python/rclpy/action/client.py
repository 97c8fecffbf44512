"""Action clients."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal
from unique_identifier_msgs.msg import UUID

from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSProfile, qos_profile_action_status_default, qos_profile_services_default
from rclpy.task import Future
from rclpy.type_support import check_for_type_support

if TYPE_CHECKING:
    from rclpy.node import Node


class ClientGoalHandle:
    """A goal as its sender sees it."""

    def __init__(self, client: ActionClient, goal_id: UUID, response: Any) -> None:
        self._client, self._goal_id, self._response = client, goal_id, response
        self._status = GoalStatus.STATUS_UNKNOWN

    @property
    def goal_id(self) -> UUID:
        return self._goal_id

    @property
    def stamp(self) -> Any:
        return self._response.stamp

    @property
    def accepted(self) -> bool:
        return self._response.accepted

    @property
    def status(self) -> int:
        return self._status

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientGoalHandle) and self._goal_id == other._goal_id

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        number = bytes(self._goal_id.uuid).hex()
        return f"ClientGoalHandle <id={number}, accepted={self.accepted}, status={self.status}>"

    def get_result_async(self) -> Future:
        """The future of a response with `status` and `result`; then no more feedback is handed on."""
        request = self._client._type.Impl.GetResultService.Request(goal_id=self._goal_id)
        future = self._client._result.call_async(request)
        feedback = self._client._feedback_callbacks
        future._when_done(lambda _: feedback.pop(bytes(self._goal_id.uuid), None))
        return future

    def get_result(self) -> Any:
        return self._client._wait(self.get_result_async())

    def cancel_goal_async(self) -> Future:
        """The future of an action_msgs/srv/CancelGoal response."""
        return self._client._cancel.call_async(CancelGoal.Request(goal_info=GoalInfo(goal_id=self._goal_id)))

    def cancel_goal(self) -> Any:
        return self._client._wait(self.cancel_goal_async())


class ActionClient:
    """Sends goals to an action server."""

    def __init__(
        self,
        node: Node,
        action_type: Any,
        action_name: str,
        *,
        callback_group: CallbackGroup | None = None,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_sub_qos_profile: QoSProfile | int = 10,
        status_sub_qos_profile: QoSProfile = qos_profile_action_status_default,
    ) -> None:
        check_for_type_support(action_type)
        self._node, self._type = node, action_type
        self._feedback_callbacks: dict[bytes, Callable[[Any], Any]] = {}
        self._handles: WeakValueDictionary[bytes, ClientGoalHandle] = WeakValueDictionary()
        self._statuses: dict[bytes, int] = {}
        base, impl = f"{action_name}/_action", action_type.Impl
        self._goal, self._result, self._cancel = (
            node.create_client(kind, f"{base}/{name}", callback_group=callback_group, qos_profile=qos)
            for kind, name, qos in (
                (impl.SendGoalService, "send_goal", goal_service_qos_profile),
                (impl.GetResultService, "get_result", result_service_qos_profile),
                (CancelGoal, "cancel_goal", cancel_service_qos_profile),
            )
        )
        self._subscriptions = [
            node.create_subscription(kind, f"{base}/{name}", callback, qos, callback_group=callback_group)
            for kind, name, callback, qos in (
                (impl.FeedbackMessage, "feedback", self._on_feedback, feedback_sub_qos_profile),
                (GoalStatusArray, "status", self._on_status, status_sub_qos_profile),
            )
        ]

    def send_goal_async(
        self, goal: Any, feedback_callback: Callable[[Any], Any] | None = None, goal_uuid: UUID | None = None
    ) -> Future:
        """The future of a ClientGoalHandle; `feedback_callback` gets messages with goal_id and feedback."""
        if not isinstance(goal, self._type.Goal):
            raise TypeError(f"Expected {self._type.Goal}, got {type(goal)}")
        goal_id = goal_uuid or UUID(uuid=list(uuid.uuid4().bytes))
        key = bytes(goal_id.uuid)
        if feedback_callback is not None:
            self._feedback_callbacks[key] = feedback_callback
        future = Future()

        def answered(sent: Future) -> None:
            handle = ClientGoalHandle(self, goal_id, sent.result())
            if handle.accepted:
                self._handles[key] = handle
                handle._status = self._statuses.get(key, GoalStatus.STATUS_UNKNOWN)
            else:
                self._feedback_callbacks.pop(key, None)
            future._set_executor(self._node.executor)  # which runs the done callbacks
            future.set_result(handle)

        request = self._type.Impl.SendGoalService.Request(goal_id=goal_id, goal=goal)
        self._goal.call_async(request)._when_done(answered)
        return future

    def send_goal(self, goal: Any, **kwargs: Any) -> Any:
        """Sends a goal and waits for its result; an executor must spin in another thread."""
        handle = self._wait(self.send_goal_async(goal, **kwargs))
        return handle.get_result() if handle is not None else None

    def _wait(self, future: Future) -> Any:
        done = threading.Event()
        future._when_done(lambda _: done.set())
        while not done.wait(0.1):
            if not self._node.context.ok():
                return None
        return future.result()

    def _on_feedback(self, message: Any) -> Any:
        callback = self._feedback_callbacks.get(bytes(message.goal_id.uuid))
        return callback(message) if callback is not None else None

    def _on_status(self, message: GoalStatusArray) -> None:
        # Kept, because a short goal may have ended before the answer to its request is handled.
        self._statuses = {bytes(s.goal_info.goal_id.uuid): s.status for s in message.status_list}
        for key, status in self._statuses.items():
            handle = self._handles.get(key)
            if handle is not None:
                handle._status = status

    def server_is_ready(self) -> bool:
        clients = (self._goal, self._result, self._cancel)
        return all(c.service_is_ready() for c in clients) and all(
            s.get_publisher_count() for s in self._subscriptions
        )

    def wait_for_server(self, timeout_sec: float | None = None) -> bool:
        end = None if timeout_sec is None else time.monotonic() + timeout_sec
        while self._node.context.ok():
            if self.server_is_ready():
                return True
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(0.01)
        return False

    def destroy(self) -> None:
        for client in (self._goal, self._result, self._cancel):
            client.destroy()
        for subscription in self._subscriptions:
            subscription.destroy()
