"""Actions: goals, feedback, results, cancelling, failing."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from action_msgs.msg import GoalInfo, GoalStatus
from action_msgs.srv import CancelGoal
from rclpy.action import (
    ActionClient,
    ActionServer,
    CancelResponse,
    GoalResponse,
    get_action_client_names_and_types_by_node,
    get_action_names_and_types,
    get_action_server_names_and_types_by_node,
)
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from test_msgs.action import Fibonacci
from unique_identifier_msgs.msg import UUID
from waiting import LIMIT_S, executor_until

Code = CancelGoal.Response


class Pair:
    """A server and a client, each in a node of its own, and the executor of both."""

    def __init__(self, ros, executor):
        self.ros, self.executor = ros, executor
        self.server_node, self.client_node = ros.node("server"), ros.node("client")
        executor.add_node(self.server_node)
        executor.add_node(self.client_node)
        self.client = ros.keep(ActionClient(self.client_node, Fibonacci, "count"))

    def serve(self, execute, **options):
        server = ActionServer(self.server_node, Fibonacci, "count", execute, **options)
        self.ros.keep(server)
        assert self.until(self.client.server_is_ready)
        return server

    def until(self, condition):
        return executor_until(self.executor, condition)

    def result(self, future):
        assert self.until(future.done)
        return future.result()

    def goal(self, order=3, **options):
        return self.result(self.client.send_goal_async(Fibonacci.Goal(order=order), **options))


@pytest.fixture(params=[SingleThreadedExecutor, MultiThreadedExecutor])
def pair(ros, request):
    executor = request.param(**({"num_threads": 3} if request.param is MultiThreadedExecutor else {}))
    yield Pair(ros, executor)
    executor.shutdown()


def count(goal):
    feedback = Fibonacci.Feedback()
    for i in range(goal.request.order):
        feedback.sequence.append(i)
        goal.publish_feedback(feedback)
    goal.succeed()
    return Fibonacci.Result(sequence=feedback.sequence)


def test_goal_feedback_and_result(pair):
    pair.serve(count)
    seen = []
    handle = pair.goal(4, feedback_callback=lambda message: seen.append(list(message.feedback.sequence)))
    assert handle.accepted and len(handle.goal_id.uuid) == 16 and handle.stamp.sec > 0
    assert pair.until(lambda: len(seen) == 4) and seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    answer = pair.result(handle.get_result_async())
    assert list(answer.result.sequence) == [0, 1, 2, 3] and answer.status == GoalStatus.STATUS_SUCCEEDED
    assert pair.until(lambda: handle.status == GoalStatus.STATUS_SUCCEEDED)


def test_rejected_goals(pair):
    pair.serve(count, goal_callback=lambda goal: GoalResponse.REJECT)
    assert not pair.goal().accepted


@pytest.mark.parametrize("answer", [None, True, "ACCEPT"])
def test_a_goal_callback_must_return_a_response(pair, answer):
    pair.serve(count, goal_callback=lambda goal: answer)
    assert not pair.goal().accepted


def test_a_goal_callback_that_raises_ends_spin(pair):
    def fail(goal):
        raise KeyError("in the goal callback")

    pair.serve(count, goal_callback=fail)
    with pytest.raises(KeyError, match="in the goal callback"):
        pair.goal()


def test_the_same_goal_twice(pair):
    pair.serve(count)
    own = UUID(uuid=list(range(16)))
    assert pair.goal(goal_uuid=own).accepted
    assert list(pair.client_node.get_name()) and not pair.goal(goal_uuid=own).accepted


def test_an_execute_callback_that_raises_aborts(pair):
    def fail(goal):
        raise KeyError("counting failed")

    pair.serve(fail)
    answer = pair.result(pair.goal().get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED and answer.result == Fibonacci.Result()


def test_a_goal_without_an_end_is_aborted(pair):
    pair.serve(lambda goal: Fibonacci.Result(sequence=[7]))
    answer = pair.result(pair.goal().get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED and list(answer.result.sequence) == [7]


def test_aborting(pair):
    def give_up(goal):
        goal.abort()
        return Fibonacci.Result(sequence=[1])

    pair.serve(give_up)
    answer = pair.result(pair.goal().get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED and list(answer.result.sequence) == [1]


def test_the_end_is_said_without_a_result(pair):
    """In Jazzy `succeed`, `abort` and `canceled` take nothing."""
    errors = []

    def wrong(goal):
        try:
            goal.succeed(Fibonacci.Result())
        except TypeError as error:
            errors.append(error)
        goal.succeed()
        return Fibonacci.Result()

    pair.serve(wrong)
    assert pair.result(pair.goal().get_result_async()).status == GoalStatus.STATUS_SUCCEEDED and errors


def test_impossible_transitions(pair):
    errors = []

    def wrong(goal):
        for step in (goal.canceled, goal.execute):
            try:
                step()
            except Exception as error:
                errors.append(error)
        goal.succeed()
        for step in (goal.succeed, goal.abort, goal.canceled):
            try:
                step()
            except Exception as error:
                errors.append(error)
        return Fibonacci.Result()

    pair.serve(wrong)
    answer = pair.result(pair.goal().get_result_async())
    assert answer.status == GoalStatus.STATUS_SUCCEEDED and len(errors) >= 4


def test_coroutine_callbacks(pair):
    async def accept(goal):
        return GoalResponse.ACCEPT

    async def execute(goal):
        goal.succeed()
        return Fibonacci.Result(sequence=[goal.request.order])

    pair.serve(execute, goal_callback=accept)
    assert list(pair.result(pair.goal(5).get_result_async()).result.sequence) == [5]


def test_accepted_goals_may_wait(pair):
    waiting = []
    pair.serve(count, handle_accepted_callback=waiting.append)
    handle = pair.goal(2)
    assert handle.accepted and pair.until(lambda: waiting)
    assert waiting[0].status == GoalStatus.STATUS_ACCEPTED and waiting[0].is_active
    future = handle.get_result_async()
    pair.executor.spin_once(timeout_sec=0.05)
    assert not future.done()
    waiting[0].execute()
    assert list(pair.result(future).result.sequence) == [0, 1]


# -- cancelling


class Waiting:
    """Goals that run until they are cancelled, without a thread of their own."""

    def __init__(self):
        self.goals, self.finish = [], []

    async def execute(self, goal):
        end = rclpy.Future()
        self.goals.append(goal)
        self.finish.append(end)
        await end
        goal.canceled() if goal.is_cancel_requested else goal.succeed()
        return Fibonacci.Result(sequence=[len(self.goals)])


def test_cancelling_a_goal(pair):
    waiting = Waiting()
    pair.serve(waiting.execute, cancel_callback=lambda goal: CancelResponse.ACCEPT)
    handle = pair.goal()
    assert pair.until(lambda: waiting.goals)
    answer = pair.result(handle.cancel_goal_async())
    assert answer.return_code == Code.ERROR_NONE
    assert [bytes(info.goal_id.uuid) for info in answer.goals_canceling] == [bytes(handle.goal_id.uuid)]
    assert waiting.goals[0].is_cancel_requested and waiting.goals[0].status == GoalStatus.STATUS_CANCELING
    future = handle.get_result_async()
    waiting.finish[0].set_result(None)
    assert pair.result(future).status == GoalStatus.STATUS_CANCELED


def test_a_rejected_cancel(pair):
    """The list of goals is empty; the code stays ERROR_NONE."""
    waiting = Waiting()
    pair.serve(waiting.execute, cancel_callback=lambda goal: CancelResponse.REJECT)
    handle = pair.goal()
    assert pair.until(lambda: waiting.goals)
    answer = pair.result(handle.cancel_goal_async())
    assert answer.return_code == Code.ERROR_NONE and list(answer.goals_canceling) == []
    assert not waiting.goals[0].is_cancel_requested
    waiting.finish[0].set_result(None)
    assert pair.result(handle.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED


def test_cancelling_is_rejected_by_default(pair):
    waiting = Waiting()
    pair.serve(waiting.execute)
    handle = pair.goal()
    assert pair.until(lambda: waiting.goals)
    assert list(pair.result(handle.cancel_goal_async()).goals_canceling) == []
    waiting.finish[0].set_result(None)
    pair.result(handle.get_result_async())


def test_cancelling_what_has_ended_or_never_was(pair):
    pair.serve(count, cancel_callback=lambda goal: CancelResponse.ACCEPT)
    handle = pair.goal()
    pair.result(handle.get_result_async())
    assert pair.result(handle.cancel_goal_async()).return_code == Code.ERROR_GOAL_TERMINATED
    service = pair.client_node.create_client(CancelGoal, "count/_action/cancel_goal")
    assert service.wait_for_service(LIMIT_S)
    unknown = CancelGoal.Request(goal_info=GoalInfo(goal_id=UUID(uuid=[9] * 16)))
    assert pair.result(service.call_async(unknown)).return_code == Code.ERROR_UNKNOWN_GOAL_ID


def test_cancelling_every_goal(pair):
    waiting = Waiting()
    pair.serve(waiting.execute, cancel_callback=lambda goal: CancelResponse.ACCEPT)
    handles = [pair.goal(i) for i in range(3)]
    assert pair.until(lambda: len(waiting.goals) == 3)
    service = pair.client_node.create_client(CancelGoal, "count/_action/cancel_goal")
    assert service.wait_for_service(LIMIT_S)
    answer = pair.result(service.call_async(CancelGoal.Request()))
    assert {bytes(i.goal_id.uuid) for i in answer.goals_canceling} == {bytes(h.goal_id.uuid) for h in handles}
    for end in waiting.finish:
        end.set_result(None)
    for handle in handles:
        assert pair.result(handle.get_result_async()).status == GoalStatus.STATUS_CANCELED


def test_cancelling_goals_up_to_a_time(pair):
    waiting = Waiting()
    pair.serve(waiting.execute, cancel_callback=lambda goal: CancelResponse.ACCEPT)
    first = pair.goal(1)
    assert pair.until(lambda: waiting.goals)
    between = pair.client_node.get_clock().now().to_msg()
    time.sleep(0.05)
    second = pair.goal(2)
    assert pair.until(lambda: len(waiting.goals) == 2)
    service = pair.client_node.create_client(CancelGoal, "count/_action/cancel_goal")
    assert service.wait_for_service(LIMIT_S)
    answer = pair.result(service.call_async(CancelGoal.Request(goal_info=GoalInfo(stamp=between))))
    assert [bytes(i.goal_id.uuid) for i in answer.goals_canceling] == [bytes(first.goal_id.uuid)]
    for end in waiting.finish:
        end.set_result(None)
    assert pair.result(second.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED


# -- results


def test_results_of_unknown_goals(pair):
    pair.serve(count)
    service_type = Fibonacci.Impl.GetResultService
    service = pair.client_node.create_client(service_type, "count/_action/get_result")
    assert service.wait_for_service(LIMIT_S)
    answer = pair.result(service.call_async(service_type.Request(goal_id=UUID(uuid=[9] * 16))))
    assert answer.status == GoalStatus.STATUS_UNKNOWN


def test_results_are_kept_for_a_while(pair):
    """For `result_timeout` seconds after the end; then the goal is unknown."""
    pair.serve(count, result_timeout=2.0)
    handle = pair.goal()
    assert pair.result(handle.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED
    pair.until(lambda: pair.result(handle.get_result_async()).status == GoalStatus.STATUS_UNKNOWN)
    assert pair.result(handle.get_result_async()).status == GoalStatus.STATUS_UNKNOWN


def test_results_are_kept_by_default(pair):
    """For ten seconds."""
    pair.serve(count)
    handle = pair.goal()
    for _ in range(2):
        assert pair.result(handle.get_result_async()).status == GoalStatus.STATUS_SUCCEEDED
        time.sleep(0.3)


# -- around


def test_waiting_for_a_server(pair):
    assert pair.client.wait_for_server(timeout_sec=0.2) is False and not pair.client.server_is_ready()
    pair.serve(count)
    assert pair.client.wait_for_server(timeout_sec=LIMIT_S) is True


def test_what_is_no_goal(pair):
    for wrong in (Fibonacci.Result(), "goal", None, 3):
        with pytest.raises(TypeError):
            pair.client.send_goal_async(wrong)
        with pytest.raises(TypeError):
            pair.client.send_goal(wrong)


def test_what_is_no_action_type(ros):
    node = ros.node()
    with pytest.raises(AttributeError):
        ActionClient(node, dict, "x")
    with pytest.raises(AttributeError):
        ActionServer(node, dict, "x", count)
    with pytest.raises(TypeError):
        ActionServer(node, Fibonacci, "x", None)


def test_the_graph_of_actions(pair):
    pair.serve(count)
    kind = ["test_msgs/action/Fibonacci"]
    assert pair.until(lambda: get_action_names_and_types(pair.client_node) == [("/count", kind)])
    assert get_action_server_names_and_types_by_node(pair.client_node, "server", "/") == [("/count", kind)]
    assert get_action_client_names_and_types_by_node(pair.client_node, "client", "/") == [("/count", kind)]
    assert get_action_client_names_and_types_by_node(pair.client_node, "server", "/") == []


def test_remapping_does_not_know_actions(ros):
    """Only their topics and services can be remapped, one by one."""
    ros.restart("--ros-args", "-r", "count:=other")
    pair = Pair(ros, SingleThreadedExecutor())
    pair.serve(count)
    assert pair.until(
        lambda: [name for name, _ in get_action_names_and_types(pair.client_node)] == ["/count"]
    )
    assert pair.goal().accepted
    pair.executor.shutdown()


def test_blocking_calls(ros):
    node, executor = ros.node("both"), MultiThreadedExecutor(3)
    executor.add_node(node)
    group = ReentrantCallbackGroup()
    ros.keep(ActionServer(node, Fibonacci, "count", count, callback_group=group))
    client = ros.keep(ActionClient(node, Fibonacci, "count", callback_group=group))
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    assert client.wait_for_server(LIMIT_S)
    answer = client.send_goal(Fibonacci.Goal(order=2))
    assert list(answer.result.sequence) == [0, 1] and answer.status == GoalStatus.STATUS_SUCCEEDED
    executor.shutdown()
    thread.join(LIMIT_S)
