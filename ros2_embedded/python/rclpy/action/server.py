"""Action servers."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

from action_msgs.msg import GoalInfo, GoalStatus, GoalStatusArray
from action_msgs.srv import CancelGoal

from rclpy.callback_groups import CallbackGroup, ReentrantCallbackGroup
from rclpy.exceptions import RCLError
from rclpy.qos import QoSProfile, qos_profile_action_status_default, qos_profile_services_default
from rclpy.task import Future, await_or_execute
from rclpy.type_support import check_for_type_support

if TYPE_CHECKING:
    from rclpy.node import Node

RESULT_TIMEOUT = 900


class GoalResponse(Enum):
    REJECT = 1
    ACCEPT = 2


class CancelResponse(Enum):
    REJECT = 1
    ACCEPT = 2


class GoalEvent(IntEnum):
    EXECUTE = 1
    CANCEL_GOAL = 2
    SUCCEED = 3
    ABORT = 4
    CANCELED = 5


_S = GoalStatus
_NEXT = {
    (_S.STATUS_ACCEPTED, GoalEvent.EXECUTE): _S.STATUS_EXECUTING,
    (_S.STATUS_ACCEPTED, GoalEvent.CANCEL_GOAL): _S.STATUS_CANCELING,
    (_S.STATUS_EXECUTING, GoalEvent.CANCEL_GOAL): _S.STATUS_CANCELING,
    (_S.STATUS_EXECUTING, GoalEvent.SUCCEED): _S.STATUS_SUCCEEDED,
    (_S.STATUS_EXECUTING, GoalEvent.ABORT): _S.STATUS_ABORTED,
    (_S.STATUS_CANCELING, GoalEvent.SUCCEED): _S.STATUS_SUCCEEDED,
    (_S.STATUS_CANCELING, GoalEvent.ABORT): _S.STATUS_ABORTED,
    (_S.STATUS_CANCELING, GoalEvent.CANCELED): _S.STATUS_CANCELED,
}
_CANCELABLE = (_S.STATUS_ACCEPTED, _S.STATUS_EXECUTING)
_ACTIVE = (*_CANCELABLE, _S.STATUS_CANCELING)


class ServerGoalHandle:
    """One accepted goal."""

    def __init__(self, server: ActionServer, info: GoalInfo, request: Any) -> None:
        self._server, self._info, self._request = server, info, request
        self._status = _S.STATUS_ACCEPTED
        self._lock = threading.Lock()
        self._result: Future = Future()
        self._finished_at: float | None = None

    @property
    def request(self) -> Any:
        return self._request

    @property
    def goal_id(self) -> Any:
        return self._info.goal_id

    @property
    def status(self) -> int:
        return self._status

    @property
    def is_active(self) -> bool:
        return self._status in _ACTIVE

    @property
    def is_cancel_requested(self) -> bool:
        return self._status == _S.STATUS_CANCELING

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServerGoalHandle) and self.goal_id == other.goal_id

    __hash__ = None  # type: ignore[assignment]

    def _update(self, event: GoalEvent) -> None:
        """RCLError if the goal's state does not allow it."""
        with self._lock:
            following = _NEXT.get((self._status, event))
            if following is None:
                raise RCLError(f"goal in state {self._status} cannot {event.name.lower()}")
            self._status = following
        self._server._publish_status()

    def execute(self, execute_callback: Callable[..., Any] | None = None) -> None:
        """Runs the execute callback in the executor, also for a goal that is to be cancelled."""
        if not self.is_cancel_requested:
            self._update(GoalEvent.EXECUTE)
        self._server._start(self, execute_callback)

    def publish_feedback(self, feedback: Any) -> None:
        self._server._publish_feedback(self, feedback)

    def succeed(self) -> None:
        self._update(GoalEvent.SUCCEED)

    def abort(self) -> None:
        self._update(GoalEvent.ABORT)

    def canceled(self) -> None:
        self._update(GoalEvent.CANCELED)

    def destroy(self) -> None:
        self._server._forget(self)


def default_goal_callback(goal_request: Any) -> GoalResponse:
    return GoalResponse.ACCEPT


def default_handle_accepted_callback(goal_handle: ServerGoalHandle) -> None:
    goal_handle.execute()


def default_cancel_callback(cancel_request: Any) -> CancelResponse:
    return CancelResponse.REJECT


class ActionServer:
    """Offers an action. `execute_callback(goal_handle)` ends the goal and returns the result.

    It is a task of the executor: beside it, callbacks run only with a MultiThreadedExecutor, or if it is a
    coroutine function."""

    def __init__(
        self,
        node: Node,
        action_type: Any,
        action_name: str,
        execute_callback: Callable[[ServerGoalHandle], Any],
        *,
        callback_group: CallbackGroup | None = None,
        goal_callback: Callable[[Any], GoalResponse] = default_goal_callback,
        handle_accepted_callback: Callable[[ServerGoalHandle], None] = default_handle_accepted_callback,
        cancel_callback: Callable[[ServerGoalHandle], CancelResponse] = default_cancel_callback,
        goal_service_qos_profile: QoSProfile = qos_profile_services_default,
        result_service_qos_profile: QoSProfile = qos_profile_services_default,
        cancel_service_qos_profile: QoSProfile = qos_profile_services_default,
        feedback_pub_qos_profile: QoSProfile | int = 10,
        status_pub_qos_profile: QoSProfile = qos_profile_action_status_default,
        result_timeout: float = RESULT_TIMEOUT,
    ) -> None:
        check_for_type_support(action_type)
        self._node, self._type, self._result_timeout = node, action_type, result_timeout
        self._goals: dict[bytes, ServerGoalHandle] = {}
        self._lock = threading.Lock()
        self.register_execute_callback(execute_callback)
        self.register_goal_callback(goal_callback)
        self.register_cancel_callback(cancel_callback)
        self.register_handle_accepted_callback(handle_accepted_callback)
        base, impl = f"{action_name}/_action", action_type.Impl
        self._feedback = node.create_publisher(
            impl.FeedbackMessage, f"{base}/feedback", feedback_pub_qos_profile
        )
        self._status = node.create_publisher(GoalStatusArray, f"{base}/status", status_pub_qos_profile)
        # Waiting for a result must not keep the group of the other two busy.
        self._services = [
            node.create_service(kind, f"{base}/{name}", callback, callback_group=group, qos_profile=qos)
            for kind, name, callback, group, qos in (
                (impl.SendGoalService, "send_goal", self._on_goal, callback_group, goal_service_qos_profile),
                (CancelGoal, "cancel_goal", self._on_cancel, callback_group, cancel_service_qos_profile),
                (
                    impl.GetResultService, "get_result", self._on_result,
                    ReentrantCallbackGroup(), result_service_qos_profile,
                ),
            )
        ]  # fmt: skip

    def register_execute_callback(self, execute_callback: Callable[[ServerGoalHandle], Any]) -> None:
        if not callable(execute_callback):
            raise TypeError("Failed to register goal execution callback: not callable")
        self._execute = execute_callback

    def register_goal_callback(self, goal_callback: Callable[[Any], GoalResponse] | None) -> None:
        self._accept = goal_callback or default_goal_callback

    def register_cancel_callback(self, cancel_callback: Callable[[Any], CancelResponse] | None) -> None:
        self._may_cancel = cancel_callback or default_cancel_callback

    def register_handle_accepted_callback(
        self, handle_accepted_callback: Callable[[ServerGoalHandle], None] | None
    ) -> None:
        self._accepted = handle_accepted_callback or default_handle_accepted_callback

    def _current_goals(self) -> list[ServerGoalHandle]:
        """Goals without those whose results have been available for `result_timeout`."""
        now = time.monotonic()
        with self._lock:
            self._goals = {
                key: goal
                for key, goal in self._goals.items()
                if goal._finished_at is None or now - goal._finished_at < self._result_timeout
            }
            return list(self._goals.values())

    def _find(self, goal_id: Any) -> ServerGoalHandle | None:
        wanted = bytes(goal_id.uuid)
        return next((goal for goal in self._current_goals() if bytes(goal.goal_id.uuid) == wanted), None)

    async def _on_goal(self, request: Any, response: Any) -> Any:
        if self._find(request.goal_id) is not None:
            return response
        accepted = await await_or_execute(self._accept, request.goal)
        if not isinstance(accepted, GoalResponse):
            self._node.get_logger().warning("Goal request callback did not return a GoalResponse: rejected")
        if accepted != GoalResponse.ACCEPT:
            return response
        response.accepted, response.stamp = True, self._node.get_clock().now().to_msg()
        handle = ServerGoalHandle(self, GoalInfo(goal_id=request.goal_id, stamp=response.stamp), request.goal)
        with self._lock:
            self._goals[bytes(request.goal_id.uuid)] = handle
        self._publish_status()
        self._node.executor.create_task(await_or_execute, self._accepted, handle)
        return response

    async def _on_cancel(self, request: Any, response: Any) -> Any:
        """Asks for every goal that is meant; those that the callback rejects are missing in the response."""
        wanted, before = request.goal_info.goal_id, _nanoseconds(request.goal_info.stamp)
        named = self._find(wanted) if any(wanted.uuid) else None
        if any(wanted.uuid) and named is None:
            response.return_code = CancelGoal.Response.ERROR_UNKNOWN_GOAL_ID
        elif named is not None and named.status not in _CANCELABLE:
            response.return_code = CancelGoal.Response.ERROR_GOAL_TERMINATED
        everything = not any(wanted.uuid) and not before
        for goal in self._current_goals():
            meant = everything or goal is named or (before and _nanoseconds(goal._info.stamp) <= before)
            if not meant or goal.status not in _CANCELABLE:
                continue
            if await await_or_execute(self._may_cancel, goal) == CancelResponse.ACCEPT:
                with contextlib.suppress(RCLError):  # it ended meanwhile
                    goal._update(GoalEvent.CANCEL_GOAL)
                    response.goals_canceling.append(goal._info)
        return response

    async def _on_result(self, request: Any, response: Any) -> Any:
        goal = self._find(request.goal_id)
        if goal is None:
            response.status = _S.STATUS_UNKNOWN
            return response
        response.result = await goal._result
        response.status = goal.status
        return response

    def _start(self, goal: ServerGoalHandle, callback: Callable[..., Any] | None) -> None:
        self._node.executor.create_task(self._run, goal, callback or self._execute)

    async def _run(self, goal: ServerGoalHandle, callback: Callable[..., Any]) -> None:
        try:
            result = await await_or_execute(callback, goal)
        except Exception as error:
            self._node.get_logger().error(
                f"Error raised in execute callback: {error}\n{traceback.format_exc()}"
            )
            result = self._type.Result()
        if goal.is_active:
            self._node.get_logger().warning("Goal state not set, assuming aborted.")
            goal.abort()
        if not isinstance(result, self._type.Result):
            raise TypeError(f"execute callback returned {result!r}, not a {self._type.Result}")
        goal._finished_at = time.monotonic()
        goal._result.set_result(result)

    def _forget(self, goal: ServerGoalHandle) -> None:
        with self._lock:
            self._goals.pop(bytes(goal.goal_id.uuid), None)

    def _publish_feedback(self, goal: ServerGoalHandle, feedback: Any) -> None:
        if not isinstance(feedback, self._type.Feedback):
            raise TypeError(f"Expected {self._type.Feedback}, got {type(feedback)}")
        self._feedback.publish(self._type.Impl.FeedbackMessage(goal_id=goal.goal_id, feedback=feedback))

    def _publish_status(self) -> None:
        if self._node.context.ok():
            goals = self._current_goals()
            statuses = [GoalStatus(goal_info=goal._info, status=goal.status) for goal in goals]
            self._status.publish(GoalStatusArray(status_list=statuses))

    @property
    def action_type(self) -> Any:
        return self._type

    def destroy(self) -> None:
        for service in self._services:
            service.destroy()
        self._feedback.destroy()
        self._status.destroy()


def _nanoseconds(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec
