"""What was destroyed cannot be used any more."""

from __future__ import annotations

import gc
import time

import pytest
import rclpy
from rclpy.action import ActionClient, ActionServer
from rclpy.exceptions import InvalidHandle
from std_msgs.msg import Int32
from std_srvs.srv import Trigger
from test_msgs.action import Fibonacci
from waiting import spin_until


@pytest.fixture
def things(ros):
    """A node with one of each."""
    node = ros.node()
    return {
        "node": node,
        "publisher": node.create_publisher(Int32, "x", 1),
        "subscription": node.create_subscription(Int32, "x", print, 1),
        "client": node.create_client(Trigger, "y"),
        "service": node.create_service(Trigger, "y", lambda q, r: r),
        "timer": node.create_timer(1.0, lambda: None),
        "guard": node.create_guard_condition(lambda: None),
    }


USES = {
    "publisher": [
        lambda p: p.publish(Int32()), lambda p: p.get_subscription_count(), lambda p: p.topic_name,
        lambda p: p.wait_for_all_acked(), lambda p: p.assert_liveliness(),
    ],
    "subscription": [lambda s: s.get_publisher_count(), lambda s: s.topic_name],
    "client": [
        lambda c: c.call_async(Trigger.Request()), lambda c: c.service_is_ready(), lambda c: c.service_name,
        lambda c: c.wait_for_service(0.1),
    ],
    "service": [lambda s: s.service_name],
    "timer": [
        lambda t: t.cancel(), lambda t: t.reset(), lambda t: t.is_ready(), lambda t: t.is_canceled(),
        lambda t: t.timer_period_ns, lambda t: t.time_until_next_call(), lambda t: t.time_since_last_call(),
    ],
    "guard": [lambda g: g.trigger()],
}  # fmt: skip
NODE_USES = [
    lambda n: n.get_name(), lambda n: n.get_namespace(), lambda n: n.get_fully_qualified_name(),
    lambda n: n.create_publisher(Int32, "x", 1), lambda n: n.create_subscription(Int32, "x", print, 1),
    lambda n: n.create_client(Trigger, "y"), lambda n: n.create_service(Trigger, "y", print),
    lambda n: n.get_node_names(), lambda n: n.get_topic_names_and_types(),
    lambda n: n.resolve_topic_name("x"),
    lambda n: n.count_publishers("x"), lambda n: n.get_publishers_info_by_topic("x"),
    lambda n: n.get_service_names_and_types(), lambda n: n.get_publisher_names_and_types_by_node("n", "/"),
    lambda n: n.wait_for_node("x", 0.1),
]  # fmt: skip


@pytest.mark.parametrize("kind, number", [(kind, i) for kind, uses in USES.items() for i in range(len(uses))])
def test_destroyed_things(things, kind, number):
    thing, node = things[kind], things["node"]
    destroy = {"guard": "guard_condition"}.get(kind, kind)
    assert getattr(node, f"destroy_{destroy}")(thing) is True
    assert getattr(node, f"destroy_{destroy}")(thing) is False, "only once"
    with pytest.raises(InvalidHandle):
        USES[kind][number](thing)


@pytest.mark.parametrize("kind, number", [(kind, i) for kind, uses in USES.items() for i in range(len(uses))])
def test_things_of_a_destroyed_node(things, kind, number):
    things["node"].destroy_node()
    with pytest.raises(InvalidHandle):
        USES[kind][number](things[kind])


@pytest.mark.parametrize("number", range(len(NODE_USES)))
def test_destroyed_nodes(things, number):
    things["node"].destroy_node()
    with pytest.raises(InvalidHandle):
        NODE_USES[number](things["node"])


def test_what_still_works_on_a_destroyed_node(ros):
    node = ros.node()
    node.declare_parameter("a", 1)
    node.destroy_node()
    assert node.get_parameter("a").value == 1 and node.get_logger().name == "n"
    assert node.get_clock().now().nanoseconds > 0
    node.destroy_node()


def test_destroyed_by_themselves(things):
    for kind in ("publisher", "subscription", "client", "service", "timer", "guard"):
        things[kind].destroy()
        with pytest.raises(InvalidHandle):
            USES[kind][0](things[kind])
        things[kind].destroy()


def test_destroyed_things_are_not_called(ros):
    node, seen = ros.node(), []
    publisher = node.create_publisher(Int32, "x", 10)
    subscription = node.create_subscription(Int32, "x", seen.append, 10)
    timer = node.create_timer(0.01, lambda: seen.append("timer"))
    assert spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(Int32())
    time.sleep(0.1)
    assert node.destroy_subscription(subscription) and node.destroy_timer(timer)
    rclpy.spin_once(node, timeout_sec=0.1)
    assert not seen and not list(node.subscriptions) and not list(node.timers)


def test_a_callback_may_destroy_what_called_it(ros):
    node, seen = ros.node(), []

    def once():
        seen.append(1)
        node.destroy_timer(timer)

    timer = node.create_timer(0.01, once)
    assert spin_until(node, lambda: seen)
    rclpy.spin_once(node, timeout_sec=0.05)
    assert seen == [1]


def test_spinning_a_destroyed_node(ros):
    node = ros.node()
    node.create_timer(0.01, lambda: None)
    node.destroy_node()
    gc.collect()
    rclpy.spin_once(node, timeout_sec=0.05)


def test_destroyed_nodes_leave_the_graph(ros):
    here, there = ros.node("here"), ros.node("there")
    assert spin_until(here, lambda: sorted(here.get_node_names()) == ["here", "there"])
    there.destroy_node()
    assert spin_until(here, lambda: here.get_node_names() == ["here"])


def test_actions(ros):
    node = ros.node()
    client = ActionClient(node, Fibonacci, "a")
    server = ActionServer(node, Fibonacci, "a", lambda goal: Fibonacci.Result())
    client.destroy()
    server.destroy()
    with pytest.raises((InvalidHandle, RuntimeError)):
        client.send_goal_async(Fibonacci.Goal())
    rclpy.spin_once(node, timeout_sec=0.05)


@pytest.mark.parametrize("kind", ["node", "publisher", "subscription", "client", "service"])
def test_no_with_statement(things, kind):
    """Newer rclpys have it; code for Jazzy cannot use it."""
    with pytest.raises((AttributeError, TypeError)), things[kind]:
        pass
