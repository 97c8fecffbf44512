"""rclpy inside one process: parameters, timers, callback groups, time, names, logging, shutdown."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ros2_embedded" / "python"))
rclpy = pytest.importorskip("rclpy")
pytest.importorskip("embedded_dds")

from builtin_interfaces.msg import Time as TimeMsg  # noqa: E402
from rcl_interfaces.msg import (  # noqa: E402
    FloatingPointRange,
    IntegerRange,
    Log,
    ParameterDescriptor,
    ParameterEvent,
    SetParametersResult,
)
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup  # noqa: E402
from rclpy.clock import Clock, ClockType  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.event_handler import SubscriptionEventCallbacks  # noqa: E402
from rclpy.exceptions import (  # noqa: E402
    InvalidParameterTypeException,
    InvalidParameterValueException,
    InvalidTopicNameException,
    NotInitializedException,
    ParameterAlreadyDeclaredException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
    RCLError,
)
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMsg  # noqa: E402
from std_msgs.msg import Int32, String  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402


@pytest.fixture
def ros(ros_env, monkeypatch):
    """`rclpy.init` in a domain of this test's own, with arguments if called."""
    monkeypatch.setenv("ROS_DOMAIN_ID", ros_env["ROS_DOMAIN_ID"])

    def start(*args: str) -> None:
        if rclpy.ok():
            rclpy.shutdown()
        rclpy.init(args=["test", *args])

    start()
    yield start
    rclpy.try_shutdown()


def spin_until(node, condition, timeout_s: float = 5.0) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.05)
    return condition()


# -- parameters


def test_parameters_are_declared_typed_and_set(ros):
    node = Node("n")
    assert node.declare_parameter("gain", 1.5).value == 1.5
    assert node.declare_parameter("names", ["a"]).type_ == Parameter.Type.STRING_ARRAY
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameter("gain", 2.0)
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter("other")
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter("other", value=1)])
    assert node.set_parameters([Parameter("gain", value=2.5)])[0].successful
    refused = node.set_parameters([Parameter("gain", value="high")])[0]
    assert not refused.successful and "DOUBLE" in refused.reason and node.get_parameter("gain").value == 2.5
    node.declare_parameter("later", Parameter.Type.INTEGER)
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter("later")
    node.declare_parameters("arm", [("speed", 1.0), ("joints", 7)])
    assert {k: p.value for k, p in node.get_parameters_by_prefix("arm").items()} == {
        "speed": 1.0,
        "joints": 7,
    }
    free = node.declare_parameter("free", 1, ParameterDescriptor(dynamic_typing=True))
    assert free.value == 1 and node.set_parameters([Parameter("free", value="x")])[0].successful
    fixed = ParameterDescriptor(read_only=True)
    node.declare_parameter("fixed", 1, fixed)
    assert "read-only" in node.set_parameters([Parameter("fixed", value=2)])[0].reason


def test_ranges_and_callbacks_refuse_values(ros):
    node = Node("n")
    half = ParameterDescriptor(
        floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0, step=0.5)]
    )
    node.declare_parameter("half", 0.5, half)
    for value, good in ((1.0, True), (0.25, False), (1.5, False)):
        assert node.set_parameters([Parameter("half", value=value)])[0].successful is good
    even = ParameterDescriptor(integer_range=[IntegerRange(from_value=0, to_value=10, step=2)])
    with pytest.raises(InvalidParameterValueException):
        node.declare_parameter("even", 3, even)
    node.declare_parameter("even", 4, even)

    seen = []
    node.add_on_set_parameters_callback(
        lambda ps: SetParametersResult(successful=all(p.value != 6 for p in ps), reason="no six")
    )
    node.add_post_set_parameters_callback(lambda ps: seen.extend((p.name, p.value) for p in ps))
    assert node.set_parameters([Parameter("even", value=6)])[0].reason == "no six"
    both = node.set_parameters_atomically([Parameter("even", value=8), Parameter("half", value=9.0)])
    assert not both.successful and node.get_parameter("even").value == 4
    assert node.set_parameters([Parameter("even", value=8)])[0].successful and seen == [("even", 8)]


def test_overrides_from_arguments_and_files(ros, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "/**:\n  ros__parameters: {common: 1, text: 'x'}\n"
        "/arm/robot:\n  ros__parameters:\n    limits: {low: -1.0, high: 1e-3}\n    list: [1, 2]\n"
        "arm:\n  other:\n    ros__parameters: {common: 5}\n"
    )
    ros("--ros-args", "--params-file", str(path), "-p", "common:=2", "-p", "other:text:=never", "--")
    node = Node("robot", namespace="arm")
    values = {"common": 0, "text": "", "limits.low": 0.0, "limits.high": 0.0, "list": [0]}
    found = {name: node.declare_parameter(name, default).value for name, default in values.items()}
    assert found == {"common": 2, "text": "x", "limits.low": -1.0, "limits.high": 1e-3, "list": [1, 2]}
    with pytest.raises(InvalidParameterTypeException, match="expecting type 'INTEGER'"):
        Node("n2", parameter_overrides=[Parameter("common", value="word")]).declare_parameter("common", 1)
    auto = Node("robot", namespace="arm", automatically_declare_parameters_from_overrides=True)
    assert auto.get_parameter("limits.low").value == -1.0


def test_bad_arguments_are_named(ros, tmp_path):
    with pytest.raises(RuntimeError, match="unknown ROS argument '--nonsense'"):
        ros("--ros-args", "--nonsense")
    with pytest.raises(RuntimeError, match=r"missing\.yaml"):
        ros("--ros-args", "--params-file", str(tmp_path / "missing.yaml"))
    with pytest.raises(RuntimeError, match="loud"):
        ros("--ros-args", "--log-level", "loud")


def test_parameter_events_are_published(ros):
    node, events = Node("n"), []
    node.create_subscription(ParameterEvent, "/parameter_events", events.append, 10)
    node.declare_parameter("a", 1)
    node.set_parameters([Parameter("a", value=2)])
    assert spin_until(node, lambda: len(events) >= 2)
    assert (
        events[-2].new_parameters[0].name == "a" and events[-1].changed_parameters[0].value.integer_value == 2
    )


# -- names


def test_names_expand_and_remap(ros):
    ros("--ros-args", "-r", "__ns:=/left", "-r", "image:=camera/image", "-r", "n:~/state:=/state", "-r",
        "rosservice://go:=went", "--")  # fmt: skip
    node = Node("n")
    assert node.get_fully_qualified_name() == "/left/n"
    assert node.resolve_topic_name("image") == "/left/camera/image"
    assert node.resolve_topic_name("/image") == "/image"
    assert node.resolve_topic_name("~/state") == "/state"
    assert node.resolve_topic_name("go") == "/left/go" and node.resolve_service_name("go") == "/left/went"
    assert node.create_publisher(String, "{node}/x", 1).topic_name == "/left/n/x"
    for bad in ("9lives", "a//b", "a b", "", "x/"):
        with pytest.raises(InvalidTopicNameException):
            node.create_publisher(String, bad, 1)
    with pytest.raises(Exception, match="node name"):
        Node("no spaces")


# -- timers and time


def test_a_timer_keeps_its_rate(ros):
    node, calls = Node("n"), []
    timer = node.create_timer(0.02, lambda: calls.append(time.monotonic()))
    assert spin_until(node, lambda: len(calls) == 26)
    assert 0.47 < calls[-1] - calls[0] < 2.0  # the upper bound is for machines with other work
    timer.cancel()
    rclpy.spin_once(node, timeout_sec=0.06)
    assert len(calls) == 26 and timer.is_canceled()
    timer.reset()
    assert spin_until(node, lambda: len(calls) == 27)
    assert node.destroy_timer(timer) and not list(node.timers)


def test_missed_timer_calls_are_skipped(ros):
    node, calls = Node("n"), []

    def slow() -> None:
        calls.append(time.monotonic())
        if len(calls) == 1:
            time.sleep(0.11)

    node.create_timer(0.05, slow)
    assert spin_until(node, lambda: len(calls) == 3)
    assert calls[2] - calls[0] > 0.13  # without skipping, the third call would follow the second at once


def test_an_idle_executor_sleeps(ros):
    node = Node("n")
    before = time.process_time()
    rclpy.spin_once(node, timeout_sec=0.5)
    assert time.process_time() - before < 0.05


def test_simulated_time(ros):
    node = Node("n", parameter_overrides=[Parameter("use_sim_time", value=True)])
    source = Node("source")
    clock = source.create_publisher(ClockMsg, "/clock", 10)
    assert node.get_clock().now().nanoseconds == 0
    calls = []
    node.create_timer(1.0, lambda: calls.append(node.get_clock().now().nanoseconds))

    def show(sec: int) -> None:
        clock.publish(ClockMsg(clock=TimeMsg(sec=sec)))
        assert spin_until(node, lambda: node.get_clock().now().nanoseconds == sec * 10**9)
        rclpy.spin_once(node, timeout_sec=0.02)

    show(10)
    show(11)
    show(12)
    assert [call // 10**9 for call in calls] == [10, 11, 12]
    node.set_parameters([Parameter("use_sim_time", value=False)])
    assert node.get_clock().now().nanoseconds > 10**18


def test_time_arithmetic():
    a, b = (
        Time(seconds=3, clock_type=ClockType.ROS_TIME),
        Time(seconds=1, nanoseconds=5, clock_type=ClockType.ROS_TIME),
    )
    assert (a - b).nanoseconds == 1_999_999_995 and (b + Duration(seconds=2)) > a
    assert (
        Time.from_msg(b.to_msg()) == b
        and Duration.from_msg(Duration(seconds=-0.5).to_msg()).nanoseconds == -5 * 10**8
    )
    with pytest.raises(TypeError):
        _ = a < Time(seconds=1)
    assert Clock(clock_type=ClockType.STEADY_TIME).now().nanoseconds > 0


# -- executors


def test_exceptions_in_callbacks_leave_spin(ros):
    node = Node("n")

    def fail() -> None:
        raise KeyError("from the callback")

    node.create_timer(0.01, fail)
    for executor in (SingleThreadedExecutor(), MultiThreadedExecutor(2)):
        executor.add_node(node)
        with pytest.raises(KeyError, match="from the callback"):
            executor.spin()
        executor.shutdown()


@pytest.mark.parametrize(
    "group_class, most", [(MutuallyExclusiveCallbackGroup, 1), (ReentrantCallbackGroup, 2)]
)
def test_callback_groups(ros, group_class, most):
    node, group, lock = Node("n"), group_class(), threading.Lock()
    running, peak, calls = 0, 0, 0

    def work() -> None:
        nonlocal running, peak, calls
        with lock:
            running, calls = running + 1, calls + 1
            peak = max(peak, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    for _ in range(2):
        node.create_timer(0.01, work, callback_group=group)
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)
    end = time.monotonic() + 5
    while (calls < 8 or peak < most) and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    assert peak == most and calls >= 8


def test_a_blocked_group_does_not_burn_cpu_or_stop_others(ros):
    node, calls = Node("n"), []
    publisher = node.create_publisher(Int32, "x", 10)
    node.create_subscription(
        Int32, "x", lambda _: time.sleep(0.4), 10, callback_group=MutuallyExclusiveCallbackGroup()
    )
    node.create_timer(0.02, lambda: calls.append(1), callback_group=MutuallyExclusiveCallbackGroup())
    executor = MultiThreadedExecutor(3)
    executor.add_node(node)
    publisher.publish(Int32())
    publisher.publish(Int32())
    before, end = time.process_time(), time.monotonic() + 0.5
    while time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    assert time.process_time() - before < 0.2
    assert len(calls) > 5
    executor.shutdown()


def test_a_callback_may_call_a_service(ros):
    """The nested call that deadlocks with one thread or one group, as with real rclpy."""
    node = Node("n")
    node.create_service(
        SetBool, "flip", lambda req, res: SetBool.Response(success=not req.data, message="done")
    )
    client = node.create_client(SetBool, "flip", callback_group=ReentrantCallbackGroup())
    answers = []
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)

    def ask() -> None:
        timer.cancel()
        answers.append(client.call(SetBool.Request(data=True), timeout_sec=3.0))

    timer = node.create_timer(0.01, ask, callback_group=MutuallyExclusiveCallbackGroup())
    end = time.monotonic() + 5
    while not answers and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    assert answers == [SetBool.Response(success=False, message="done")]


def test_coroutine_callbacks_await_futures(ros):
    node = Node("n")
    group = ReentrantCallbackGroup()
    inner = node.create_client(Trigger, "inner", callback_group=group)
    node.create_service(
        Trigger, "inner", lambda req, res: Trigger.Response(message="inner"), callback_group=group
    )

    async def outer(request, response):
        response.message = "outer " + (await inner.call_async(Trigger.Request())).message
        return response

    node.create_service(Trigger, "outer", outer, callback_group=group)
    client = node.create_client(Trigger, "outer", callback_group=group)
    assert client.wait_for_service(2.0) and inner.wait_for_service(2.0)
    future = client.call_async(Trigger.Request())
    rclpy.spin_until_future_complete(node, future, timeout_sec=3.0)
    assert future.result().message == "outer inner"


def test_guard_conditions_tasks_and_futures(ros):
    node, calls = Node("n"), []
    guard = node.create_guard_condition(lambda: calls.append("guard"))
    threading.Timer(0.05, guard.trigger).start()
    assert spin_until(node, lambda: calls == ["guard"])
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    task = executor.create_task(lambda x: x + 1, 41)
    executor.spin_until_future_complete(task, 1.0)
    assert task.result() == 42
    started = time.monotonic()
    executor.spin_until_future_complete(rclpy.task.Future(), 0.1)
    assert 0.09 < time.monotonic() - started < 0.5


# -- topics


def test_messages_reach_callbacks_with_their_info(ros):
    node, seen = Node("n"), []
    node.create_subscription(String, "x", lambda message, info: seen.append((message.data, info)), 10)
    node.create_subscription(String, "x", lambda data: seen.append(data), 10, raw=True)
    publisher = node.create_publisher(String, "x", 10)
    publisher.publish(String(data="hello"))
    assert spin_until(node, lambda: len(seen) == 2)
    raw = next(item for item in seen if isinstance(item, bytes))
    text, info = next(item for item in seen if isinstance(item, tuple))
    assert text == "hello" and abs(info["source_timestamp"] - time.time_ns()) < 5 * 10**9
    publisher.publish(raw)
    assert spin_until(node, lambda: len(seen) == 4) and (
        "hello" in [s[0] for s in seen[2:] if isinstance(s, tuple)]
    )
    with pytest.raises(TypeError, match="Int32"):
        publisher.publish(Int32())
    assert publisher.get_subscription_count() == 2


def test_incompatible_qos_is_reported(ros, capfd):
    node, kinds = Node("n"), []
    node.create_publisher(String, "x", qos_profile_sensor_data)
    events = SubscriptionEventCallbacks(
        incompatible_qos=lambda info: kinds.append(info.last_policy_kind.name)
    )
    node.create_subscription(String, "x", print, 10, event_callbacks=events)
    assert spin_until(node, lambda: bool(kinds)) and kinds == ["RELIABILITY"]
    assert "requesting incompatible QoS" in capfd.readouterr().err
    offered = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    asked = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    assert "Best effort" in qos_check_compatible(offered, asked)[1]


def test_deadline_events(ros):
    node, missed = Node("n"), []
    qos = QoSProfile(depth=1, deadline=Duration(seconds=0.05))
    publisher = node.create_publisher(Int32, "x", qos)
    events = SubscriptionEventCallbacks(deadline=lambda info: missed.append(info.total_count))
    node.create_subscription(Int32, "x", lambda _: None, qos, event_callbacks=events)
    publisher.publish(Int32())
    assert spin_until(node, lambda: len(missed) >= 2)


def test_destroyed_things_are_gone(ros):
    node, seen = Node("n"), []
    subscription = node.create_subscription(Int32, "x", seen.append, 10)
    publisher = node.create_publisher(Int32, "x", 10)
    assert node.count_publishers("x") == 1 and node.count_subscribers("x") == 1
    publisher.publish(Int32())
    assert node.destroy_subscription(subscription)
    rclpy.spin_once(node, timeout_sec=0.05)
    assert not seen and node.count_subscribers("x") == 0
    node.destroy_node()
    assert Node("other").get_node_names() == ["other"]


# -- logging


def test_logging_filters_and_rosout(ros, capfd):
    node, logs = Node("talker", namespace="/ns"), []
    node.create_subscription(Log, "/rosout", logs.append, 100)
    logger = node.get_logger()
    logger.debug("hidden")
    for i in range(4):
        logger.info(f"once {i}", once=True)
        logger.warning(f"throttled {i}", throttle_duration_sec=10.0)
        logger.error(f"later {i}", skip_first=True)
    logger.set_level(rclpy.logging.LoggingSeverity.FATAL)
    logger.error("hidden too")
    logger.get_child("part").fatal("child {braces}")
    lines = capfd.readouterr().err.splitlines()
    texts = [line.split("]: ")[1] for line in lines]
    assert texts == ["once 0", "throttled 0", "later 1", "later 2", "later 3", "child {braces}"]
    assert lines[0].startswith("[INFO] [") and lines[0].endswith("] [ns.talker]: once 0")
    assert spin_until(node, lambda: len(logs) == 6)
    assert [(log.level, log.name) for log in logs][::5] == [(20, "ns.talker"), (50, "ns.talker.part")]
    rclpy.logging.set_logger_level("ns.talker", 0)


# -- start and end


def test_init_and_shutdown_any_number_of_times(ros):
    for _ in range(3):
        ros()
        node = Node("n")
        rclpy.spin_once(node, timeout_sec=0.0)
        rclpy.shutdown()
        with pytest.raises(RuntimeError):
            rclpy.shutdown()
        rclpy.try_shutdown()
        node.destroy_node()
        gc.collect()
    with pytest.raises(NotInitializedException):
        Node("n")


def test_shutdown_ends_spin_and_publishing(ros):
    node = Node("n")
    publisher = node.create_publisher(String, "x", 1)
    node.create_timer(0.02, rclpy.shutdown)
    rclpy.spin(node)
    with pytest.raises(RCLError, match="context is invalid"):
        publisher.publish(String())
    ros()
    node, executor = Node("n"), SingleThreadedExecutor()
    executor.add_node(node)
    threading.Timer(0.1, rclpy.shutdown).start()
    with pytest.raises(ExternalShutdownException):
        executor.spin()


def test_domains_do_not_mix(ros):
    here, there = Node("here"), rclpy.Context()
    there.init([], domain_id=(int(os.environ["ROS_DOMAIN_ID"]) + 1) % 100)
    other = Node("other", context=there)
    time.sleep(0.2)
    assert here.get_node_names() == ["here"] and other.get_node_names() == ["other"]
    there.shutdown()
