"""Start and end: init, shutdown, contexts, domains."""

from __future__ import annotations

import gc
import os
import threading
import time

import pytest
import rclpy
from rclpy.context import Context
from rclpy.exceptions import NotInitializedException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, get_current_signal_handlers_options
from waiting import LIMIT_S


def test_any_number_of_times(ros):
    for _ in range(3):
        ros.restart()
        node = ros.node()
        rclpy.spin_once(node, timeout_sec=0.0)
        node.destroy_node()
        rclpy.shutdown()
        with pytest.raises(RuntimeError):
            rclpy.shutdown()
        rclpy.try_shutdown()
        gc.collect()
    with pytest.raises(NotInitializedException):
        Node("n")


def test_init_twice_is_an_error(ros):
    with pytest.raises(RuntimeError, match="once"):
        rclpy.init()
    assert rclpy.ok()


def test_init_returns_nothing():
    """So `with rclpy.init():` fails on a robot with Jazzy."""
    assert rclpy.init() is None
    rclpy.shutdown()


def test_a_context_is_a_context_manager():
    with Context() as context:
        assert context.ok() and rclpy.ok(context=context) and not rclpy.ok()
        node = Node("n", context=context)
        assert node.context is context
        node.destroy_node()
    assert not context.ok()


def test_a_context_is_used_once():
    context = Context()
    assert not context.ok()
    context.init()
    with pytest.raises(RuntimeError, match="once"):
        context.init()
    context.shutdown()
    context.try_shutdown()
    with pytest.raises(RuntimeError, match="once"):
        context.init()
    with pytest.raises(RuntimeError):
        Context().shutdown()
    Context().try_shutdown()


def test_calls_at_shutdown():
    class Counter:
        calls = 0

        def count(self):
            self.calls += 1

    counter = Counter()
    early, running = Context(), Context()
    early.on_shutdown(counter.count)
    early.init()
    early.shutdown()
    early.try_shutdown()
    assert counter.calls == 1
    running.init()
    running.on_shutdown(counter.count)
    running.shutdown()
    assert counter.calls == 2
    running.on_shutdown(counter.count)
    assert counter.calls == 3, "after the shutdown it is called at once"
    with pytest.raises(TypeError):
        running.on_shutdown("no function")


def test_domain_ids(monkeypatch):
    context = Context()
    with pytest.raises(RuntimeError):
        context.get_domain_id()
    with pytest.raises(RuntimeError, match="-3"):
        context.init(domain_id=-3)
    own = int(os.environ["ROS_DOMAIN_ID"])
    context.init()
    assert context.get_domain_id() == own
    context.shutdown()
    other = Context()
    other.init(domain_id=own + 1)
    assert other.get_domain_id() == own + 1
    other.shutdown()
    monkeypatch.setenv("ROS_DOMAIN_ID", "eleven")
    with pytest.raises(RuntimeError):
        Context().init()


def test_domains_do_not_mix(ros):
    here, there = ros.node("here"), Context()
    there.init([], domain_id=int(os.environ["ROS_DOMAIN_ID"]) + 1)
    other = Node("other", context=there)
    time.sleep(1.0)
    assert here.get_node_names() == ["here"] and other.get_node_names() == ["other"]
    other.destroy_node()
    there.shutdown()


def test_shutdown_ends_spin(ros):
    node = ros.node()
    node.create_timer(0.02, rclpy.shutdown)
    rclpy.spin(node)
    assert not rclpy.ok()


@pytest.mark.parametrize("kind", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_shutdown_from_another_thread(ros, kind):
    executor = kind()
    executor.add_node(ros.node())
    threading.Timer(0.1, rclpy.shutdown).start()
    if kind is SingleThreadedExecutor:
        with pytest.raises(ExternalShutdownException):
            executor.spin()
    else:
        executor.spin()
    assert not rclpy.ok()


def test_publishing_after_shutdown_fails(ros):
    from rclpy.exceptions import InvalidHandle
    from std_msgs.msg import String

    publisher = ros.node().create_publisher(String, "x", 1)
    rclpy.shutdown()
    with pytest.raises((RuntimeError, InvalidHandle)):
        publisher.publish(String())


def test_an_executor_needs_a_context():
    with pytest.raises((NotInitializedException, AttributeError, RuntimeError, TypeError)):
        SingleThreadedExecutor()


def test_signal_handlers(ros):
    assert get_current_signal_handlers_options() == SignalHandlerOptions.ALL
    rclpy.shutdown()
    assert get_current_signal_handlers_options() == SignalHandlerOptions.NO
    rclpy.init(signal_handler_options=SignalHandlerOptions.SIGINT)
    assert get_current_signal_handlers_options() == SignalHandlerOptions.SIGINT
    rclpy.shutdown()


def test_arguments_without_those_of_ros():
    from rclpy.utilities import remove_ros_args

    args = ["program", "a", "--ros-args", "-r", "x:=y", "--", "b", "--ros-args", "-p", "k:=1"]
    assert remove_ros_args(args) == ["program", "a", "b"]
    assert remove_ros_args(["program", "--ros-args"]) == ["program"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ros-args", "--nonsense"], ["--ros-args", "--params-file", "/nowhere/missing.yaml"],
        ["--ros-args", "--log-level", "loud"], ["--ros-args", "-r", "x"], ["--ros-args", "-p", "x"],
        ["--ros-args", "-p", "a:="], ["--ros-args", "-r", "__ns:=left"], ["--ros-args", "-r", "__node:=a b"],
        ["--ros-args", "-r", "a b:=c"], ["--ros-args", "-r"], ["--ros-args", "-p"],
        ["--ros-args", "-p", ":x:=1"],
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_at_init(arguments):
    try:
        with pytest.raises(Exception, match=r".+") as raised:
            rclpy.init(args=["test", *arguments])
        assert not isinstance(raised.value, AssertionError)
    finally:
        rclpy.try_shutdown()


def test_spin_without_work_waits_as_long_as_asked(ros):
    node = ros.node()
    rclpy.spin_once(node, timeout_sec=0.0)
    started = time.monotonic()
    rclpy.spin_once(node, timeout_sec=0.2)
    assert 0.15 < time.monotonic() - started < LIMIT_S


def test_everything_works_in_a_context_that_is_not_the_default():
    from rclpy.action import ActionClient, ActionServer
    from rclpy.clock import Clock
    from rclpy.duration import Duration
    from rclpy.lifecycle import LifecycleNode
    from rclpy.wait_for_message import wait_for_message
    from std_msgs.msg import String
    from std_srvs.srv import Trigger
    from test_msgs.action import Fibonacci
    from waiting import executor_until

    context = Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    node = Node("n", context=context)
    life = LifecycleNode("life", context=context)
    executor.add_node(node)
    executor.add_node(life)
    calls = []
    node.create_timer(0.01, lambda: calls.append("timer"))
    guard = node.create_guard_condition(lambda: calls.append("guard"))
    guard.trigger()
    node.create_service(Trigger, "s", lambda request, response: Trigger.Response(message="answered"))
    client = node.create_client(Trigger, "s")
    assert client.wait_for_service(LIMIT_S)
    future = client.call_async(Trigger.Request())
    assert executor_until(executor, lambda: future.done() and {"timer", "guard"} <= set(calls))
    assert future.result().message == "answered"

    def execute(goal):
        goal.succeed()
        return Fibonacci.Result(sequence=[1])

    server, actions = ActionServer(node, Fibonacci, "a", execute), ActionClient(node, Fibonacci, "a")
    assert executor_until(executor, actions.server_is_ready)
    sent = actions.send_goal_async(Fibonacci.Goal())
    assert executor_until(executor, sent.done)
    result = sent.result().get_result_async()
    assert executor_until(executor, result.done) and list(result.result().result.sequence) == [1]
    life.trigger_configure()
    assert Clock().sleep_for(Duration(seconds=0.01), context=context) is True
    assert wait_for_message(String, node, "nobody", time_to_wait=0.05) == (False, None)
    node.get_logger().info("words")
    rclpy.spin_once(node, executor=executor, timeout_sec=0.01)
    rate = node.create_rate(100.0)
    thread = threading.Thread(target=rate.sleep, daemon=True)
    thread.start()
    assert executor_until(executor, lambda: not thread.is_alive())
    with pytest.raises(TypeError):
        node.create_rate(None)
    assert not rclpy.ok()
    server.destroy()
    actions.destroy()
    executor.shutdown()
    node.destroy_node()
    life.destroy_node()
    rclpy.shutdown(context=context)
    assert not context.ok()
