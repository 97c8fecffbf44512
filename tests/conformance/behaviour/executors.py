"""Executors, futures, tasks, callback groups, guard conditions."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.task import Future, Task
from std_msgs.msg import Int32
from std_srvs.srv import SetBool, Trigger
from waiting import LIMIT_S, executor_until, result_of, spin_until

KINDS = [SingleThreadedExecutor, MultiThreadedExecutor]


# -- spinning


@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_in_callbacks_leave_spin(ros, kind):
    node, executor = ros.node(), kind()

    def fail():
        raise KeyError("from the callback")

    node.create_timer(0.01, fail)
    executor.add_node(node)
    with pytest.raises(KeyError, match="from the callback"):
        executor.spin()
    executor.shutdown()


def test_exceptions_in_coroutine_callbacks_leave_spin(ros):
    node = ros.node()

    async def fail():
        raise KeyError("from the callback")

    node.create_timer(0.01, fail)
    with pytest.raises(KeyError, match="from the callback"):
        rclpy.spin(node)


def test_nodes_of_an_executor(ros):
    a, b, executor = ros.node("a"), ros.node("b"), SingleThreadedExecutor()
    assert executor.add_node(a) is True and executor.add_node(a) is False and executor.add_node(b)
    assert set(executor.get_nodes()) == {a, b} and a.executor is executor
    executor.remove_node(b)
    executor.remove_node(b)
    assert executor.get_nodes() == [a]
    other = SingleThreadedExecutor()
    assert other.add_node(a) and a.executor is other and executor.get_nodes() == []
    a.executor = executor
    assert executor.get_nodes() == [a] and other.get_nodes() == []
    a.executor = None
    assert a.executor is None and executor.get_nodes() == []
    assert executor.shutdown() is True and other.shutdown() is True


def test_an_executor_with_a_context_manager(ros):
    node, calls = ros.node(), []
    node.create_timer(0.01, lambda: calls.append(1))
    with SingleThreadedExecutor() as executor:
        executor.add_node(node)
        assert executor_until(executor, lambda: calls)
    assert executor.get_nodes() == []


@pytest.mark.parametrize("kind", KINDS)
def test_shutting_down_while_spinning(ros, kind):
    executor = kind()
    executor.add_node(ros.node())
    threading.Timer(0.1, executor.shutdown).start()
    executor.spin()
    assert rclpy.ok()


def test_spin_once_runs_one_callback(ros):
    node, calls = ros.node(), []
    for _ in range(3):
        node.create_timer(0.01, lambda: calls.append(1))
    time.sleep(0.02)
    rclpy.spin_once(node, timeout_sec=1.0)
    assert len(calls) == 1


def test_the_global_executor_keeps_the_node(ros):
    node = ros.node()
    assert node.executor is None
    seen = []
    node.create_timer(0.01, lambda: seen.append(node.executor))
    assert spin_until(node, lambda: seen) and seen[0] is not None


def test_a_node_stays_in_the_executor_that_had_it_before(ros):
    node, executor = ros.node(), SingleThreadedExecutor()
    executor.add_node(node)
    rclpy.spin_once(node, executor=executor, timeout_sec=0.01)
    assert executor.get_nodes() == [node]
    rclpy.spin_until_future_complete(node, Future(), executor, timeout_sec=0.01)
    assert executor.get_nodes() == [node]
    executor.remove_node(node)
    rclpy.spin_once(node, executor=executor, timeout_sec=0.01)
    assert executor.get_nodes() == [], "not one that was added for the call"
    executor.shutdown()


def test_waiting_for_a_future(ros):
    node = ros.node()
    started = time.monotonic()
    rclpy.spin_until_future_complete(node, Future(), timeout_sec=0.1)
    assert 0.09 < time.monotonic() - started < LIMIT_S
    future = Future()
    threading.Timer(0.1, lambda: future.set_result("done")).start()
    rclpy.spin_until_future_complete(node, future, timeout_sec=LIMIT_S)
    assert future.result() == "done"
    started = time.monotonic()
    rclpy.spin_until_future_complete(node, Future(), timeout_sec=0)
    assert time.monotonic() - started < LIMIT_S


def test_a_cancelled_future_ends_the_wait(ros):
    node, future = ros.node(), Future()
    node.create_timer(0.1, future.cancel)
    rclpy.spin_until_future_complete(node, future, timeout_sec=LIMIT_S)
    assert future.cancelled()


def test_an_idle_executor_sleeps(ros):
    node = ros.node()
    rclpy.spin_once(node, timeout_sec=0.01)
    before = time.process_time()
    rclpy.spin_once(node, timeout_sec=0.5)
    assert time.process_time() - before < 0.1


def test_things_made_while_spinning_wake_the_executor(ros):
    node, calls, executor = ros.node(), [], SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    time.sleep(0.1)
    node.create_timer(0.01, lambda: calls.append(1))
    end = time.monotonic() + LIMIT_S
    while not calls and time.monotonic() < end:
        time.sleep(0.01)
    executor.shutdown()
    thread.join(LIMIT_S)
    assert calls


def test_one_thread_is_enough_for_a_warning(ros):
    with pytest.warns(UserWarning, match="single thread"):
        MultiThreadedExecutor(1).shutdown()


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_may_shut_the_executor_down(ros, kind):
    node, executor, calls = ros.node(), kind(), []
    node.create_timer(0.01, lambda: (calls.append(1), executor.shutdown()))
    executor.add_node(node)
    executor.spin()
    assert calls == [1] and rclpy.ok()


def test_a_task_that_was_begun_goes_on_in_the_next_spin(ros):
    """The functions of the package share one executor."""
    node, events, future = ros.node(), [], Future()

    async def work():
        await future
        events.append("done")

    rclpy.get_global_executor().create_task(work)
    rclpy.spin_once(node, timeout_sec=0.05)
    assert events == []
    future.set_result(None)
    assert spin_until(node, lambda: events)


def test_nodes_may_be_added_and_removed_while_spinning(ros):
    executor, calls = SingleThreadedExecutor(), []
    executor.add_node(ros.node("first"))
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    second = ros.node("second")
    second.create_timer(0.01, lambda: calls.append(1))
    executor.add_node(second)
    end = time.monotonic() + LIMIT_S
    while not calls and time.monotonic() < end:
        time.sleep(0.01)
    executor.remove_node(second)
    time.sleep(0.1)
    before = len(calls)
    time.sleep(0.1)
    executor.shutdown()
    thread.join(LIMIT_S)
    assert before > 0 and len(calls) == before


# -- futures


def test_the_life_of_a_future():
    future, seen = Future(), []
    assert (
        not future.done()
        and not future.cancelled()
        and future.result() is None
        and future.exception() is None
    )
    future.add_done_callback(lambda f: seen.append(f.result()))
    future.set_result(1)
    assert future.done() and seen == [1]
    future.add_done_callback(lambda f: seen.append("late"))
    assert seen == [1, "late"]


def test_a_future_that_fails():
    future = Future()
    future.set_exception(KeyError("no"))
    assert future.done() and isinstance(future.exception(), KeyError)
    with pytest.raises(KeyError):
        future.result()


def test_cancelling():
    """A cancelled future is not done: it has no result."""
    future, seen = Future(), []
    future.add_done_callback(lambda f: seen.append(f.cancelled()))
    future.cancel()
    future.cancel()
    assert future.cancelled() and not future.done() and seen == [True]
    finished = Future()
    finished.set_result(1)
    finished.cancel()
    assert finished.done() and not finished.cancelled()


def test_a_result_after_cancelling_counts():
    future = Future()
    future.cancel()
    future.set_result(3)
    assert future.done() and not future.cancelled() and future.result() == 3


def test_done_callbacks_can_be_removed():
    future, seen = Future(), []
    assert future.remove_done_callback(seen.append) is False
    future.add_done_callback(seen.append)
    assert future.remove_done_callback(seen.append) is True
    future.set_result(1)
    assert seen == [] and future.remove_done_callback(seen.append) is False


def test_done_callbacks_that_raise():
    """Without an executor they warn, and the others are still called."""
    future, seen = Future(), []

    def fail(_):
        raise KeyError("in the callback")

    future.add_done_callback(fail)
    future.add_done_callback(lambda f: seen.append(1))
    with pytest.warns(UserWarning, match="in the callback"):
        future.set_result(1)
    assert seen == [1]
    with pytest.raises(KeyError):
        future.add_done_callback(fail)


def test_done_callbacks_that_raise_in_an_executor(ros):
    node, executor = ros.node(), SingleThreadedExecutor()
    executor.add_node(node)
    future = Future(executor=executor)

    def fail(_):
        raise KeyError("in the callback")

    future.add_done_callback(fail)
    future.set_result(1)
    with pytest.raises(KeyError, match="in the callback"):
        executor_until(executor, lambda: False, 5.0)
    executor.shutdown()


def test_an_exception_nobody_asked_for_is_shown(capfd):
    future = Future()
    future.set_exception(KeyError("unseen"))
    del future
    assert "The following exception was never retrieved" in capfd.readouterr().err
    future = Future()
    future.set_exception(KeyError("seen"))
    assert future.exception() is not None
    del future
    assert capfd.readouterr().err == ""


def test_awaiting_futures(ros):
    node, future = ros.node(), Future()

    async def ask():
        return await future + 1

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    task = executor.create_task(ask)
    executor.spin_once(timeout_sec=0.01)
    assert not task.done()
    future.set_result(41)
    assert executor_until(executor, task.done) and task.result() == 42
    executor.shutdown()


# -- tasks


def test_tasks_run_functions_and_coroutines(ros):
    node, executor = ros.node(), SingleThreadedExecutor()
    executor.add_node(node)

    async def add(a, b=0):
        return a + b

    for task, result in (
        (executor.create_task(lambda x: x + 1, 41), 42), (executor.create_task(add, 1, b=2), 3),
        (executor.create_task(add(5, 6)), 11),
    ):  # fmt: skip
        executor.spin_until_future_complete(task, LIMIT_S)
        assert task.done() and task.result() == result and not task.executing()
    executor.shutdown()


def test_tasks_that_raise(ros):
    executor = SingleThreadedExecutor()
    executor.add_node(ros.node())

    def fail():
        raise KeyError("in the task")

    task = executor.create_task(fail)
    with pytest.raises(KeyError):
        executor.spin_once(timeout_sec=LIMIT_S)
    assert task.done() and isinstance(task.exception(), KeyError)
    executor.shutdown()


def test_a_task_by_hand():
    async def nothing():
        return 7

    task = Task(nothing)
    task()
    assert task.done() and task.result() == 7
    called = []
    task = Task(called.append, [1])
    task()
    task()
    assert called == [1]
    cancelled = Task(called.append, [2])
    cancelled.cancel()
    cancelled()
    assert called == [1] and cancelled.cancelled() and not cancelled.done()


def test_a_cancelled_task_does_not_run(ros):
    executor, called = SingleThreadedExecutor(), []
    executor.add_node(ros.node())
    task = executor.create_task(called.append, 1)
    task.cancel()
    executor.spin_once(timeout_sec=0.05)
    assert called == [] and task.cancelled()
    executor.shutdown()


# -- callback groups


@pytest.mark.parametrize(
    "group_class, most", [(MutuallyExclusiveCallbackGroup, 1), (ReentrantCallbackGroup, 2)]
)
def test_callback_groups(ros, group_class, most):
    node, group, lock = ros.node(), group_class(), threading.Lock()
    running, peak, calls = 0, 0, 0

    def work():
        nonlocal running, peak, calls
        with lock:
            running, calls = running + 1, calls + 1
            peak = max(peak, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    timers = [node.create_timer(0.01, work, callback_group=group) for _ in range(2)]
    assert all(group.has_entity(timer) for timer in timers)
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)
    executor_until(executor, lambda: calls >= 8 and peak >= most)
    executor.shutdown()
    assert peak == most and calls >= 8


def test_a_node_has_a_group_of_its_own(ros):
    node = ros.node()
    timer = node.create_timer(1.0, lambda: None)
    assert timer.callback_group is node.default_callback_group
    assert isinstance(node.default_callback_group, MutuallyExclusiveCallbackGroup)


def test_a_blocked_group_does_not_burn_cpu_or_stop_others(ros):
    node, calls = ros.node(), []
    publisher = node.create_publisher(Int32, "x", 10)
    node.create_subscription(
        Int32, "x", lambda _: time.sleep(0.4), 10, callback_group=MutuallyExclusiveCallbackGroup()
    )
    node.create_timer(0.02, lambda: calls.append(1), callback_group=MutuallyExclusiveCallbackGroup())
    executor = MultiThreadedExecutor(3)
    executor.add_node(node)
    publisher.publish(Int32())
    publisher.publish(Int32())
    executor_until(executor, lambda: len(calls) > 5)
    executor.shutdown()
    assert len(calls) > 5


def test_a_callback_may_call_a_service(ros):
    """The nested call that deadlocks with one thread or one group."""
    node = ros.node()
    node.create_service(
        SetBool, "flip", lambda req, res: SetBool.Response(success=not req.data, message="done")
    )
    client = node.create_client(SetBool, "flip", callback_group=ReentrantCallbackGroup())
    assert client.wait_for_service(LIMIT_S)
    answers, executor = [], MultiThreadedExecutor(2)
    executor.add_node(node)

    def ask():
        timer.cancel()
        answers.append(client.call(SetBool.Request(data=True), timeout_sec=LIMIT_S))

    timer = node.create_timer(0.01, ask, callback_group=MutuallyExclusiveCallbackGroup())
    executor_until(executor, lambda: answers)
    executor.shutdown()
    assert answers == [SetBool.Response(success=False, message="done")]


def test_coroutine_callbacks_await_futures(ros):
    node, group = ros.node(), ReentrantCallbackGroup()
    inner = node.create_client(Trigger, "inner", callback_group=group)
    node.create_service(
        Trigger, "inner", lambda req, res: Trigger.Response(message="inner"), callback_group=group
    )

    async def outer(request, response):
        response.message = "outer " + (await inner.call_async(Trigger.Request())).message
        return response

    node.create_service(Trigger, "outer", outer, callback_group=group)
    client = node.create_client(Trigger, "outer", callback_group=group)
    assert client.wait_for_service(LIMIT_S) and inner.wait_for_service(LIMIT_S)
    assert result_of(node, client.call_async(Trigger.Request())).message == "outer inner"


# -- guard conditions


def test_guard_conditions(ros):
    node, calls = ros.node(), []
    guard = node.create_guard_condition(lambda: calls.append("guard"))
    threading.Timer(0.05, guard.trigger).start()
    assert spin_until(node, lambda: calls == ["guard"])
    guard.trigger()
    guard.trigger()
    assert spin_until(node, lambda: len(calls) > 1)
    rclpy.spin_once(node, timeout_sec=0.05)
    assert calls == ["guard"] * 2, "triggered twice, called once"
    assert node.destroy_guard_condition(guard) and not list(node.guards)
    with pytest.raises(InvalidHandle):
        guard.trigger()
