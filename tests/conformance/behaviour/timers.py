"""Timers, rates, clocks, points in time and durations."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from builtin_interfaces.msg import Duration as DurationMsg
from builtin_interfaces.msg import Time as TimeMsg
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, ROSClock
from rclpy.duration import Duration, Infinite
from rclpy.exceptions import InvalidHandle, ROSInterruptException
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.time import Time
from rclpy.time_source import TimeSource
from rosgraph_msgs.msg import Clock as ClockMsg
from waiting import LIMIT_S, executor_until, spin_until

# -- timers


def test_a_timer_keeps_its_rate(ros):
    node, calls = ros.node(), []
    timer = node.create_timer(0.02, lambda: calls.append(time.monotonic()))
    assert timer.timer_period_ns == 20_000_000 and timer.clock is node.get_clock()
    assert spin_until(node, lambda: len(calls) == 26)
    assert 0.47 < calls[-1] - calls[0] < LIMIT_S
    timer.cancel()
    rclpy.spin_once(node, timeout_sec=0.06)
    assert len(calls) == 26 and timer.is_canceled()
    timer.reset()
    assert not timer.is_canceled() and spin_until(node, lambda: len(calls) == 27)
    assert node.destroy_timer(timer) and not list(node.timers) and not node.destroy_timer(timer)


def test_missed_calls_are_skipped(ros):
    node, calls = ros.node(), []

    def slow():
        calls.append(time.monotonic())
        if len(calls) == 1:
            time.sleep(0.11)

    node.create_timer(0.05, slow)
    assert spin_until(node, lambda: len(calls) == 3)
    assert calls[2] - calls[0] > 0.13  # without skipping, the third call would follow the second at once


def test_state(ros):
    timer = ros.node().create_timer(0.5, lambda: None)
    assert not timer.is_ready() and 0 < timer.time_until_next_call() <= 500_000_000
    time.sleep(0.52)
    assert (
        timer.is_ready() and timer.time_until_next_call() <= 0 and timer.time_since_last_call() >= 5 * 10**8
    )
    timer.timer_period_ns = 50_000_000
    assert timer.timer_period_ns == 50_000_000
    timer.cancel()
    assert timer.time_until_next_call() is None and not timer.is_ready()


def test_timers_that_do_not_start_themselves(ros):
    node, calls = ros.node(), []
    timer = node.create_timer(0.01, lambda: calls.append(1), autostart=False)
    assert timer.is_canceled()
    rclpy.spin_once(node, timeout_sec=0.05)
    assert not calls
    timer.reset()
    assert spin_until(node, lambda: calls)


def test_bad_periods(ros):
    node = ros.node()
    with pytest.raises(Exception, match=r"period|negative"):
        node.create_timer(-1.0, lambda: None)
    with pytest.raises((TypeError, ValueError)):
        node.create_timer("often", lambda: None)
    calls = []
    node.create_timer(0, lambda: calls.append(1))
    assert spin_until(node, lambda: len(calls) > 3)


def test_a_timer_may_cancel_itself(ros):
    node, calls = ros.node(), []
    timer = node.create_timer(0.01, lambda: (calls.append(1), timer.cancel()))
    assert spin_until(node, lambda: calls)
    rclpy.spin_once(node, timeout_sec=0.05)
    assert len(calls) == 1


def test_rates(ros):
    node, executor = ros.node(), SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    rate = node.create_rate(20.0)
    started = time.monotonic()
    for _ in range(4):
        rate.sleep()
    assert 0.1 < time.monotonic() - started < LIMIT_S
    with pytest.raises(ValueError):
        node.create_rate(0)
    assert node.destroy_rate(rate)
    with pytest.raises((RuntimeError, InvalidHandle)):
        rate.sleep()
    executor.shutdown()
    thread.join(LIMIT_S)


def test_shutdown_ends_the_sleep_of_a_rate(ros):
    rate, errors = ros.node().create_rate(0.01), []

    def sleep():
        try:
            rate.sleep()
        except ROSInterruptException as error:
            errors.append(error)

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    time.sleep(0.1)
    rclpy.shutdown()
    thread.join(LIMIT_S)
    assert len(errors) == 1


def test_destroying_a_rate_wakes_who_sleeps_on_it(ros):
    node, ended = ros.node(), []
    rate = node.create_rate(0.01)

    def sleep():
        rate.sleep()
        ended.append("normally")

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    time.sleep(0.1)
    node.destroy_rate(rate)
    thread.join(LIMIT_S)
    assert ended == ["normally"]


# -- simulated time


def test_simulated_time(ros):
    node = ros.node(parameter_overrides=[Parameter("use_sim_time", value=True)])
    source = ros.node("source")
    clock = source.create_publisher(ClockMsg, "/clock", 10)
    assert node.get_clock().now().nanoseconds == 0 and node.get_clock().ros_time_is_active
    calls = []
    node.create_timer(1.0, lambda: calls.append(node.get_clock().now().nanoseconds))
    assert spin_until(node, lambda: clock.get_subscription_count() == 1)

    def show(sec):
        clock.publish(ClockMsg(clock=TimeMsg(sec=sec)))
        assert spin_until(node, lambda: node.get_clock().now().nanoseconds == sec * 10**9)
        rclpy.spin_once(node, timeout_sec=0.05)

    show(10)
    show(11)
    show(12)
    assert [call // 10**9 for call in calls] == [10, 11, 12]
    node.set_parameters([Parameter("use_sim_time", value=False)])
    assert node.get_clock().now().nanoseconds > 10**18
    result = ros.node("free").set_parameters([Parameter("use_sim_time", value="yes")])[0]
    assert not result.successful


def test_simulated_time_stands_still_while_the_default_group_is_busy(ros):
    """/clock is heard in that group: a callback in it that waits for simulated time waits for ever."""
    node = ros.node(parameter_overrides=[Parameter("use_sim_time", value=True)])
    clock = ros.node("source").create_publisher(ClockMsg, "/clock", 10)
    seen, executor = [], MultiThreadedExecutor(2)
    executor.add_node(node)
    assert executor_until(executor, lambda: clock.get_subscription_count() == 1)

    def busy():
        timer.cancel()
        clock.publish(ClockMsg(clock=TimeMsg(sec=10)))
        time.sleep(0.5)
        seen.append(node.get_clock().now().nanoseconds)

    timer = node.create_timer(0.01, busy, clock=Clock())
    assert executor_until(executor, lambda: seen) and seen == [0]
    assert executor_until(executor, lambda: node.get_clock().now().nanoseconds == 10 * 10**9)
    executor.shutdown()


def test_clocks_of_ones_own(ros):
    """A time source drives clocks beside the node's."""
    node, other = ros.node(), ROSClock()
    source = TimeSource(node=node)
    source.attach_clock(other)
    assert not source.ros_time_is_active and not other.ros_time_is_active
    node.set_parameters([Parameter("use_sim_time", value=True)])
    assert source.ros_time_is_active and other.ros_time_is_active and other.now().nanoseconds == 0
    source.clock_callback(ClockMsg(clock=TimeMsg(sec=3)))
    late = ROSClock()
    source.attach_clock(late)
    assert other.now().nanoseconds == late.now().nanoseconds == 3 * 10**9
    source.ros_time_is_active = False
    assert not late.ros_time_is_active
    with pytest.raises(ValueError):
        source.attach_clock(Clock())
    with pytest.raises(TypeError):
        TimeSource(node="node")
    source.detach_node()


def test_clocks_are_moved_by_hand(ros):
    clock = ROSClock()
    assert not clock.ros_time_is_active and clock.now().nanoseconds > 10**18
    clock._set_ros_time_is_active(True)
    clock.set_ros_time_override(Time(seconds=5, clock_type=ClockType.ROS_TIME))
    assert clock.now() == Time(seconds=5, clock_type=ClockType.ROS_TIME)
    with pytest.raises(TypeError):
        clock.set_ros_time_override("now")


def test_jumps(ros):
    clock, jumps = ROSClock(), []
    clock._set_ros_time_is_active(True)
    clock.set_ros_time_override(Time(seconds=10, clock_type=ClockType.ROS_TIME))
    threshold = JumpThreshold(
        min_forward=Duration(seconds=5), min_backward=Duration(seconds=-1), on_clock_change=True
    )
    handle = clock.create_jump_callback(
        threshold, pre_callback=lambda: jumps.append("before"), post_callback=jumps.append
    )

    def move(sec):
        jumps.clear()
        clock.set_ros_time_override(Time(seconds=sec, clock_type=ClockType.ROS_TIME))
        return list(jumps)

    assert move(12) == []
    before, jump = move(20)
    assert before == "before" and jump.delta.nanoseconds == 8 * 10**9
    assert jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE
    assert move(18)[1].delta.nanoseconds == -2 * 10**9
    jumps.clear()
    clock._set_ros_time_is_active(False)
    assert jumps[1].clock_change == ClockChange.ROS_TIME_DEACTIVATED
    handle.unregister()
    jumps.clear()
    clock._set_ros_time_is_active(True)
    assert jumps == []


def test_bad_jump_thresholds(ros):
    for options in (
        {"min_forward": Duration(seconds=-1), "min_backward": None},
        {"min_forward": None, "min_backward": Duration(seconds=1)},
        {"min_forward": None, "min_backward": None, "on_clock_change": False},
    ):
        with pytest.raises(ValueError):
            JumpThreshold(**options)
    with pytest.raises(ValueError):
        ROSClock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=None), pre_callback=None, post_callback=None
        )


# -- clocks


def test_kinds_of_clocks(ros):
    assert Clock().clock_type == ClockType.SYSTEM_TIME
    assert isinstance(Clock(clock_type=ClockType.ROS_TIME), ROSClock)
    steady = Clock(clock_type=ClockType.STEADY_TIME)
    first = steady.now()
    assert first.clock_type == ClockType.STEADY_TIME and steady.now() >= first
    assert ROSClock().clock_type == ClockType.ROS_TIME == ros.node().get_clock().clock_type
    with pytest.raises(TypeError):
        Clock(clock_type="STEADY_TIME")


def test_sleeping(ros):
    clock = Clock()
    started = time.monotonic()
    assert clock.sleep_for(Duration(seconds=0.1)) is True
    assert 0.09 < time.monotonic() - started < LIMIT_S
    assert clock.sleep_until(clock.now() + Duration(seconds=0.05)) is True
    assert clock.sleep_until(Time(seconds=1)) is True, "long past"
    with pytest.raises(ValueError):
        clock.sleep_until(Time(seconds=1, clock_type=ClockType.STEADY_TIME))
    threading.Timer(0.1, rclpy.shutdown).start()
    assert clock.sleep_for(Duration(seconds=LIMIT_S)) is False, "ended by the shutdown"
    with pytest.raises(Exception, match="init"):
        clock.sleep_for(Duration(seconds=0.1))


# -- points in time and durations


def test_time_arithmetic():
    a = Time(seconds=3, clock_type=ClockType.ROS_TIME)
    b = Time(seconds=1, nanoseconds=5, clock_type=ClockType.ROS_TIME)
    assert (a - b) == Duration(nanoseconds=1_999_999_995)
    assert (b + Duration(seconds=2)) > a and (Duration(seconds=2) + b) > a and (a - Duration(seconds=1)) < a
    assert a.seconds_nanoseconds() == (3, 0) and b.seconds_nanoseconds() == (1, 5)
    assert b.to_msg() == TimeMsg(sec=1, nanosec=5) and Time.from_msg(b.to_msg()) == b
    assert repr(b) == "Time(nanoseconds=1000000005, clock_type=ROS_TIME)"
    for wrong in (lambda: a < Time(seconds=1), lambda: a == Time(seconds=3), lambda: a - Time(seconds=1),
                  lambda: a + a, lambda: a < 3, lambda: a + 3):  # fmt: skip
        with pytest.raises(TypeError):
            wrong()
    assert a != 3


@pytest.mark.parametrize(
    "arguments, error",
    [({"seconds": -1}, ValueError), ({"nanoseconds": -1}, ValueError), ({"seconds": 2**63}, OverflowError),
     ({"clock_type": 1}, TypeError)],
)  # fmt: skip
def test_bad_times(arguments, error):
    with pytest.raises(error):
        Time(**arguments)
    with pytest.raises(TypeError):
        Time.from_msg("now")
    with pytest.raises((ValueError, OverflowError)):
        Time() - Duration(seconds=1)


def test_duration_arithmetic():
    a, b = Duration(seconds=1, nanoseconds=5), Duration(seconds=-0.5)
    assert b < a and b <= a and a > b and a >= b and a != b and a == Duration(nanoseconds=1_000_000_005)
    assert b.nanoseconds == -500_000_000 and Duration.from_msg(b.to_msg()) == b
    assert b.to_msg() == DurationMsg(sec=-1, nanosec=500_000_000)
    assert repr(a) == "Duration(nanoseconds=1000000005)" and str(a) == "1000000005 nanoseconds"
    assert str(Infinite) == "Infinite"
    assert a != 1
    with pytest.raises(TypeError):
        _ = a < 1
    with pytest.raises(OverflowError):
        Duration(seconds=2**63)
    with pytest.raises(TypeError):
        Duration.from_msg(1)
    with pytest.raises(TypeError):
        Duration(1)


@pytest.mark.parametrize("operation", [lambda a: a + a, lambda a: a - a, lambda a: a * 2, lambda a: -a, hash])
def test_what_durations_cannot_do(operation):
    with pytest.raises(TypeError):
        operation(Duration(seconds=1))


def test_times_have_no_hash():
    with pytest.raises(TypeError):
        hash(Time())
