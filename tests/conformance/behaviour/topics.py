"""Publishers, subscriptions, QoS and its events."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.duration import Duration, Infinite
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    InvalidQoSProfileException,
    LivelinessPolicy,
    QoSCompatibility,
    QoSHistoryPolicy,
    QoSPolicyKind,
    QoSPresetProfiles,
    QoSProfile,
    QoSReliabilityPolicy,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
    qos_profile_action_status_default,
    qos_profile_best_available,
    qos_profile_parameter_events,
    qos_profile_parameters,
    qos_profile_sensor_data,
    qos_profile_services_default,
    qos_profile_system_default,
)
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.wait_for_message import wait_for_message
from std_msgs.msg import Int32, String
from std_srvs.srv import Trigger
from waiting import LIMIT_S, spin_until

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


# -- messages


def test_messages_reach_callbacks_with_their_info(ros):
    node, plain, informed = ros.node(), [], []
    node.create_subscription(String, "x", plain.append, 10)
    node.create_subscription(String, "x", lambda message, info: informed.append((message, info)), 10)
    publisher = node.create_publisher(String, "x", 10)
    assert spin_until(node, lambda: publisher.get_subscription_count() == 2)
    before = time.time_ns()
    publisher.publish(String(data="äöü"))
    assert spin_until(node, lambda: plain and informed)
    assert plain[0].data == "äöü" == informed[0][0].data
    assert before <= informed[0][1]["source_timestamp"] <= informed[0][1]["received_timestamp"] + 10**9


def test_bytes(ros):
    node, raw, read = ros.node(), [], []
    node.create_subscription(String, "x", raw.append, 10, raw=True)
    node.create_subscription(String, "x", read.append, 10)
    publisher = node.create_publisher(String, "x", 10)
    assert spin_until(node, lambda: publisher.get_subscription_count() == 2)
    publisher.publish(serialize_message(String(data="abc")))
    assert spin_until(node, lambda: raw and read)
    assert isinstance(raw[0], bytes) and deserialize_message(raw[0], String) == String(data="abc") == read[0]


def test_only_messages_of_the_type_are_published(ros):
    publisher = ros.node().create_publisher(String, "x", 1)
    for wrong in (Int32(), "text", None, String, bytearray(8)):
        with pytest.raises(TypeError, match="Expected"):
            publisher.publish(wrong)


@pytest.mark.parametrize("wrong", [Trigger, dict, "std_msgs/String", None])
def test_what_is_no_message_type(ros, wrong):
    node = ros.node()
    with pytest.raises((RuntimeError, AttributeError)):
        node.create_publisher(wrong, "x", 1)
    with pytest.raises((RuntimeError, AttributeError)):
        node.create_subscription(wrong, "x", print, 1)


def test_subclasses_of_a_message(ros):
    class Mine(String):
        pass

    node, seen = ros.node(), []
    publisher = node.create_publisher(String, "x", 1)
    node.create_subscription(String, "x", seen.append, 1)
    assert spin_until(node, lambda: publisher.get_subscription_count())
    publisher.publish(Mine(data="child"))
    assert spin_until(node, lambda: seen) and seen[0].data == "child"


def test_callbacks_need_one_or_two_arguments(ros):
    node = ros.node()
    for good in (
        print,
        [].append,
        lambda m: None,
        lambda m, info: None,
        lambda *a: None,
        lambda m, x=1: None,
    ):
        node.create_subscription(String, "x", good, 1)
    for bad in (lambda: None, lambda a, b, c: None, "no function"):
        with pytest.raises(RuntimeError, match="callable with one argument"):
            node.create_subscription(String, "x", bad, 1)


def test_latched_messages(ros):
    node, seen = ros.node(), []
    node.create_publisher(Int32, "x", LATCHED).publish(Int32(data=7))
    node.create_subscription(Int32, "x", seen.append, LATCHED)
    assert spin_until(node, lambda: seen) and seen[0].data == 7


def test_counting(ros):
    node = ros.node()
    publisher = node.create_publisher(Int32, "x", 1)
    assert publisher.get_subscription_count() == 0 and publisher.topic_name == "/x"
    subscription = node.create_subscription(Int32, "x", print, 1)
    assert spin_until(
        node, lambda: publisher.get_subscription_count() == 1 == subscription.get_publisher_count()
    )
    node.destroy_subscription(subscription)
    assert spin_until(node, lambda: publisher.get_subscription_count() == 0)


def test_waiting_for_acknowledgements(ros):
    node = ros.node()
    publisher = node.create_publisher(Int32, "x", 10)
    node.create_subscription(Int32, "x", print, 10)
    assert spin_until(node, lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Int32())
    assert publisher.wait_for_all_acked(Duration(seconds=LIMIT_S)) is True
    assert node.create_publisher(Int32, "y", 10).wait_for_all_acked() is True


def test_waiting_for_one_message(ros):
    node = ros.node()
    assert wait_for_message(Int32, node, "x", time_to_wait=0.1) == (False, None)
    publisher = node.create_publisher(Int32, "x", LATCHED)
    publisher.publish(Int32(data=3))
    found, message = wait_for_message(Int32, node, "x", qos_profile=LATCHED, time_to_wait=LIMIT_S)
    assert found and message.data == 3 and not list(node.subscriptions)


def test_two_threads_may_publish(ros):
    node, seen = ros.node(), []
    publisher = node.create_publisher(Int32, "x", 1000)
    node.create_subscription(Int32, "x", seen.append, 1000)
    assert spin_until(node, lambda: publisher.get_subscription_count())
    threads = [
        threading.Thread(target=lambda: [publisher.publish(Int32(data=i)) for i in range(50)])
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spin_until(node, lambda: len(seen) == 100)


def test_the_logger_of_a_topic_or_service_is_that_of_its_node(ros):
    node = ros.node("owner", namespace="/ns")
    for thing in (
        node.create_publisher(Int32, "x", 1), node.create_subscription(Int32, "x", print, 1),
        node.create_client(Trigger, "y"), node.create_service(Trigger, "y", lambda q, r: r),
    ):  # fmt: skip
        assert thing.logger_name == node.get_logger().name == "ns.owner"


# -- profiles


def test_depth_or_profile(ros):
    node = ros.node()
    publisher = node.create_publisher(Int32, "x", 5)
    assert publisher.qos_profile == QoSProfile(depth=5) and publisher.qos_profile.depth == 5
    for wrong, error in ((-1, ValueError), ("5", TypeError), (None, TypeError), (5.0, TypeError)):
        with pytest.raises(error):
            node.create_publisher(Int32, "x", wrong)
        with pytest.raises(error):
            node.create_subscription(Int32, "x", print, wrong)


def test_defaults_of_a_profile():
    profile = QoSProfile(depth=3)
    assert (profile.history, profile.depth) == (HistoryPolicy.KEEP_LAST, 3)
    assert (
        profile.reliability == ReliabilityPolicy.RELIABLE and profile.durability == DurabilityPolicy.VOLATILE
    )
    assert profile.liveliness == LivelinessPolicy.SYSTEM_DEFAULT
    assert profile.deadline == profile.lifespan == profile.liveliness_lease_duration == Duration()
    assert profile.avoid_ros_namespace_conventions is False
    assert QoSProfile(history=HistoryPolicy.KEEP_ALL).depth == 10


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({}, InvalidQoSProfileException), ({"history": HistoryPolicy.KEEP_LAST}, InvalidQoSProfileException),
        ({"depth": "1"}, AssertionError), ({"depth": 1, "nonsense": 1}, AssertionError),
        ({"depth": 1, "deadline": 1.0}, AssertionError),
        ({"depth": 1, "reliability": "reliable"}, AssertionError),
        ({"depth": 1, "reliability": 42}, ValueError),
        ({"depth": 1, "avoid_ros_namespace_conventions": 1}, AssertionError),
    ],
)  # fmt: skip
def test_bad_profiles(arguments, error):
    with pytest.raises(error):
        QoSProfile(**arguments)
    with pytest.raises(TypeError):
        QoSProfile(10)


def test_policies_are_checked_when_set():
    profile = QoSProfile(depth=1)
    profile.reliability = 2
    assert profile.reliability is ReliabilityPolicy.BEST_EFFORT
    profile.depth = 7
    assert profile.depth == 7
    for name, wrong in (
        ("depth", "1"),
        ("deadline", 1),
        ("durability", "x"),
        ("liveliness", None),
        ("lifespan", 3),
    ):
        with pytest.raises(AssertionError):
            setattr(profile, name, wrong)
    with pytest.raises(AttributeError):
        profile.relaibility = 1
    with pytest.warns(UserWarning, match="zero depth"):
        QoSProfile(depth=0)
    assert str(QoSProfile(depth=1)).startswith("QoSProfile(history=")
    assert QoSProfile(depth=1) != QoSProfile(depth=2) and QoSProfile(depth=1) != 1


def test_long_names_of_policies():
    """As in code of the first ROS 2 distributions."""
    assert QoSReliabilityPolicy is ReliabilityPolicy and QoSHistoryPolicy is HistoryPolicy
    with pytest.warns(UserWarning, match="deprecated"):
        assert QoSReliabilityPolicy.RMW_QOS_POLICY_RELIABILITY_BEST_EFFORT == ReliabilityPolicy.BEST_EFFORT
    with pytest.warns(UserWarning, match="Use HistoryPolicy.KEEP_ALL instead"):
        assert QoSHistoryPolicy.RMW_QOS_POLICY_HISTORY_KEEP_ALL == HistoryPolicy.KEEP_ALL
    with pytest.warns(UserWarning):
        assert DurabilityPolicy.RMW_QOS_POLICY_DURABILITY_TRANSIENT_LOCAL == DurabilityPolicy.TRANSIENT_LOCAL
    with pytest.warns(UserWarning):
        assert LivelinessPolicy.RMW_QOS_POLICY_LIVELINESS_AUTOMATIC == LivelinessPolicy.AUTOMATIC
    assert "RMW_QOS_POLICY_RELIABILITY_RELIABLE" not in ReliabilityPolicy.__members__


def test_short_names_of_policies():
    assert ReliabilityPolicy.short_keys() == [
        "system_default",
        "reliable",
        "best_effort",
        "unknown",
        "best_available",
    ]
    assert ReliabilityPolicy.get_from_short_key("Best_Effort") == ReliabilityPolicy.BEST_EFFORT.value
    assert HistoryPolicy.KEEP_ALL.short_key == "keep_all"
    assert QoSPresetProfiles.get_from_short_key("sensor_data") == qos_profile_sensor_data
    assert set(QoSPresetProfiles.short_keys()) >= {
        "system_default", "sensor_data", "services_default", "parameters", "parameter_events",
        "action_status_default", "best_available", "unknown", "default",
    }  # fmt: skip
    with pytest.raises(KeyError):
        ReliabilityPolicy.get_from_short_key("nonsense")


def test_profiles_that_are_there():
    assert (qos_profile_sensor_data.reliability, qos_profile_sensor_data.depth) == (
        ReliabilityPolicy.BEST_EFFORT,
        5,
    )
    assert qos_profile_services_default == QoSProfile(depth=10)
    assert qos_profile_parameters.depth == qos_profile_parameter_events.depth == 1000
    assert qos_profile_action_status_default == LATCHED
    assert qos_profile_system_default.reliability == ReliabilityPolicy.SYSTEM_DEFAULT
    assert qos_profile_system_default.depth == 0


def test_names_of_policy_kinds():
    assert qos_policy_name_from_kind(QoSPolicyKind.RELIABILITY) == "RELIABILITY"
    assert qos_policy_name_from_kind(QoSPolicyKind.DURABILITY) == "DURABILITY"
    assert qos_policy_name_from_kind(QoSPolicyKind.INVALID) == "INVALID"


def test_compatibility():
    automatic, manual = (
        {"liveliness": LivelinessPolicy.AUTOMATIC},
        {"liveliness": LivelinessPolicy.MANUAL_BY_TOPIC},
    )

    def check(offered, asked):
        return qos_check_compatible(
            QoSProfile(depth=1, **{**automatic, **offered}), QoSProfile(depth=1, **{**automatic, **asked})
        )

    assert check({}, {}) == (QoSCompatibility.OK, "")
    best = {"reliability": ReliabilityPolicy.BEST_EFFORT}
    latched = {"durability": DurabilityPolicy.TRANSIENT_LOCAL}
    soon, later = {"deadline": Duration(seconds=1)}, {"deadline": Duration(seconds=2)}
    lease, longer = (
        {"liveliness_lease_duration": Duration(seconds=1)},
        {"liveliness_lease_duration": Duration(seconds=2)},
    )
    for offered, asked, words in (
        (best, {}, "Best effort publisher and reliable subscription"),
        ({}, latched, "Volatile publisher and transient local subscription"),
        ({}, soon, "Subscription has a deadline, but publisher does not"),
        (later, soon, "Subscription deadline is less than publisher deadline"),
        ({}, manual, "Publisher's liveliness is automatic and subscription's is manual by topic"),
        ({}, lease, "Subscription has a liveliness lease duration, but publisher does not"),
        (longer, lease, "Subscription liveliness lease duration is less than publisher"),
    ):
        assert check(offered, asked) == (QoSCompatibility.ERROR, f"ERROR: {words};")
    for offered, asked in (
        (latched, {}),
        (soon, later),
        (manual, {}),
        (lease, longer),
        ({}, best),
        (soon, {}),
    ):
        assert check(offered, asked)[0] == QoSCompatibility.OK
    assert check(best, latched)[1].count("ERROR") == 2


@pytest.mark.parametrize(
    "offered, asked, words",
    [
        ("SYSTEM_DEFAULT", "RELIABLE", "Reliable subscription, but publisher is system_default"),
        ("BEST_EFFORT", "UNKNOWN", "Best effort publisher, but subscription is unknown"),
        ("UNKNOWN", "SYSTEM_DEFAULT",
         "Publisher reliability is unknown and subscription reliability is system_default"),
        ("SYSTEM_DEFAULT", "BEST_EFFORT", ""), ("RELIABLE", "UNKNOWN", ""),
        ("BEST_AVAILABLE", "RELIABLE", ""),
        ("UNKNOWN", "BEST_AVAILABLE", ""),
    ],
)  # fmt: skip
def test_compatibility_that_nobody_knows(offered, asked, words):
    a, b = (
        QoSProfile(depth=1, reliability=ReliabilityPolicy[name], liveliness=LivelinessPolicy.AUTOMATIC)
        for name in (offered, asked)
    )
    expected = (QoSCompatibility.WARNING, f"WARNING: {words};") if words else (QoSCompatibility.OK, "")
    assert qos_check_compatible(a, b) == expected


@pytest.mark.parametrize(
    "published, reliability, durability",
    [
        ([], "RELIABLE", "TRANSIENT_LOCAL"), ([QoSProfile(depth=1)], "RELIABLE", "VOLATILE"),
        ([qos_profile_sensor_data], "BEST_EFFORT", "VOLATILE"), ([LATCHED], "RELIABLE", "TRANSIENT_LOCAL"),
        ([LATCHED, qos_profile_sensor_data], "BEST_EFFORT", "VOLATILE"),
    ],
)  # fmt: skip
def test_the_best_available_profile(ros, published, reliability, durability):
    node = ros.node()
    for profile in published:
        node.create_publisher(Int32, "x", profile)
    node.create_subscription(Int32, "x", print, qos_profile_best_available)
    (info,) = node.get_subscriptions_info_by_topic("x")
    assert (info.qos_profile.reliability.name, info.qos_profile.durability.name) == (reliability, durability)
    node.create_publisher(Int32, "y", qos_profile_best_available)
    (info,) = node.get_publishers_info_by_topic("y")
    assert (info.qos_profile.reliability.name, info.qos_profile.durability.name) == (
        "RELIABLE",
        "TRANSIENT_LOCAL",
    )


# -- profiles that parameters override


OVERRIDES = """
n:
  ros__parameters:
    qos_overrides:
      /x:
        publisher: {depth: 7, reliability: best_effort}
        subscription_camera: {deadline: 500000000, history: keep_all}
"""


def test_overridden_profiles(ros, tmp_path):
    path = tmp_path / "qos.yaml"
    path.write_text(OVERRIDES)
    ros.restart("--ros-args", "--params-file", str(path))
    node = ros.node()
    options = QoSOverridingOptions.with_default_policies()
    publisher = node.create_publisher(Int32, "x", 10, qos_overriding_options=options)
    assert (publisher.qos_profile.depth, publisher.qos_profile.reliability) == (
        7,
        ReliabilityPolicy.BEST_EFFORT,
    )
    assert node.get_publishers_info_by_topic("x")[0].qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert node.get_parameter("qos_overrides./x.publisher.history").value == "keep_last"
    assert not node.set_parameters([Parameter("qos_overrides./x.publisher.depth", value=3)])[0].successful
    again = node.create_publisher(Int32, "x", 10, qos_overriding_options=options)
    assert again.qos_profile.depth == 7, "the parameters are declared once"
    plain = node.create_publisher(Int32, "x", 10)
    assert plain.qos_profile.depth == 10, "not without the options"
    camera = QoSOverridingOptions(
        [QoSPolicyKind.DEADLINE, QoSPolicyKind.HISTORY, QoSPolicyKind.LIFESPAN], entity_id="camera"
    )
    subscription = node.create_subscription(Int32, "x", print, 10, qos_overriding_options=camera)
    assert subscription.qos_profile.deadline == Duration(seconds=0.5)
    assert subscription.qos_profile.history == HistoryPolicy.KEEP_ALL
    assert not node.has_parameter("qos_overrides./x.subscription_camera.lifespan"), "of publishers only"


def test_overridden_profiles_that_are_refused(ros):
    ros.restart("--ros-args", "-p", "qos_overrides./x.publisher.reliability:=loud")
    node = ros.node()
    with pytest.raises(RuntimeError, match="loud"):
        node.create_publisher(
            Int32, "x", 10, qos_overriding_options=QoSOverridingOptions.with_default_policies()
        )
    strict = QoSOverridingOptions(
        [QoSPolicyKind.DEPTH],
        callback=lambda qos: SetParametersResult(successful=qos.depth > 50, reason="small"),
    )
    with pytest.raises(InvalidQosOverridesError, match="small"):
        node.create_subscription(Int32, "y", print, 10, qos_overriding_options=strict)


# -- events


def test_incompatible_profiles_are_reported(ros, capfd):
    node, events = ros.node(), []
    node.create_subscription(Int32, "x", print, 1)
    node.create_publisher(Int32, "x", qos_profile_sensor_data)
    spin_until(node, lambda: capfd.readouterr().err.count("incompatible QoS") or events, 5.0)
    callbacks = SubscriptionEventCallbacks(incompatible_qos=events.append)
    node.create_subscription(Int32, "y", print, 1, event_callbacks=callbacks)
    node.create_publisher(Int32, "y", qos_profile_sensor_data)
    assert spin_until(node, lambda: events)
    assert events[0].total_count == 1 and events[0].last_policy_kind == QoSPolicyKind.RELIABILITY
    offered = []
    callbacks = PublisherEventCallbacks(incompatible_qos=offered.append)
    node.create_publisher(Int32, "z", qos_profile_sensor_data, event_callbacks=callbacks)
    node.create_subscription(Int32, "z", print, 1)
    assert spin_until(node, lambda: offered) and offered[0].last_policy_kind == QoSPolicyKind.RELIABILITY


def test_the_default_report(ros, capfd):
    node = ros.node()
    node.create_subscription(Int32, "x", print, 1)
    node.create_publisher(Int32, "x", qos_profile_sensor_data)
    heard = []

    def reported():
        heard.append(capfd.readouterr().err)
        return "requesting incompatible QoS" in "".join(heard) and "offering incompatible QoS" in "".join(
            heard
        )

    assert spin_until(node, reported)
    assert "Last incompatible policy: RELIABILITY" in "".join(heard) and "'x'" in "".join(heard).replace(
        "/x", "x"
    )


def test_missed_deadlines(ros):
    node, asked, offered = ros.node(), [], []
    qos = QoSProfile(depth=1, deadline=Duration(seconds=0.05))
    node.create_subscription(
        Int32, "x", lambda _: None, qos,
        event_callbacks=SubscriptionEventCallbacks(deadline=lambda info: asked.append(info.total_count)),
    )  # fmt: skip
    publisher = node.create_publisher(
        Int32,
        "x",
        qos,
        event_callbacks=PublisherEventCallbacks(deadline=lambda info: offered.append(info.total_count)),
    )
    assert spin_until(node, lambda: publisher.get_subscription_count() == 1)
    publisher.publish(Int32())
    assert spin_until(node, lambda: len(asked) >= 2 and len(offered) >= 2)
    assert asked == sorted(asked)


def test_liveliness(ros):
    node, changes, lost = ros.node(), [], []
    qos = QoSProfile(
        depth=1, liveliness=LivelinessPolicy.MANUAL_BY_TOPIC, liveliness_lease_duration=Duration(seconds=0.3)
    )
    node.create_subscription(
        Int32, "x", lambda _: None, qos,
        event_callbacks=SubscriptionEventCallbacks(liveliness=lambda info: changes.append(info.alive_count)),
    )  # fmt: skip
    publisher = node.create_publisher(
        Int32,
        "x",
        qos,
        event_callbacks=PublisherEventCallbacks(liveliness=lambda info: lost.append(info.total_count)),
    )
    assert spin_until(node, lambda: publisher.get_subscription_count() == 1)
    publisher.assert_liveliness()
    assert spin_until(node, lambda: 1 in changes)
    assert spin_until(node, lambda: changes[-1] == 0 and lost)


def test_matches(ros):
    node, heard, told = ros.node(), [], []
    node.create_publisher(
        Int32,
        "x",
        1,
        event_callbacks=PublisherEventCallbacks(matched=lambda info: told.append(info.current_count)),
    )
    subscription = node.create_subscription(
        Int32, "x", print, 1,
        event_callbacks=SubscriptionEventCallbacks(matched=lambda info: heard.append(info.current_count)),
    )  # fmt: skip
    assert spin_until(node, lambda: heard == [1] and told == [1])
    node.destroy_subscription(subscription)
    assert spin_until(node, lambda: told == [1, 0])


def test_events_need_an_executor_that_spins(ros):
    node, events = ros.node(), []
    node.create_subscription(
        Int32, "x", print, 1, event_callbacks=SubscriptionEventCallbacks(incompatible_qos=events.append)
    )
    node.create_publisher(Int32, "x", qos_profile_sensor_data)
    time.sleep(0.2)
    assert not events
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + LIMIT_S
    while not events and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    assert events


# -- the graph


def test_names_and_types(ros):
    node = ros.node("seen", namespace="/ns")
    node.create_publisher(Int32, "x", 1)
    node.create_subscription(String, "y", print, 1)
    node.create_service(Trigger, "z", lambda q, r: r)
    node.create_client(Trigger, "w")
    topics = dict(node.get_topic_names_and_types())
    assert topics["/ns/x"] == ["std_msgs/msg/Int32"] and topics["/ns/y"] == ["std_msgs/msg/String"]
    assert dict(node.get_service_names_and_types())["/ns/z"] == ["std_srvs/srv/Trigger"]
    assert node.get_node_names() == ["seen"] and node.get_node_names_and_namespaces() == [("seen", "/ns")]
    assert node.get_fully_qualified_node_names() == ["/ns/seen"]
    assert node.get_node_names_and_namespaces_with_enclaves() == [("seen", "/ns", "/")]
    of = ("seen", "/ns")
    assert ("/ns/x", ["std_msgs/msg/Int32"]) in node.get_publisher_names_and_types_by_node(*of)
    assert ("/ns/y", ["std_msgs/msg/String"]) in node.get_subscriber_names_and_types_by_node(*of)
    assert ("/ns/z", ["std_srvs/srv/Trigger"]) in node.get_service_names_and_types_by_node(*of)
    assert ("/ns/w", ["std_srvs/srv/Trigger"]) in node.get_client_names_and_types_by_node(*of)
    for ask in (
        node.get_publisher_names_and_types_by_node, node.get_subscriber_names_and_types_by_node,
        node.get_service_names_and_types_by_node, node.get_client_names_and_types_by_node,
    ):  # fmt: skip
        with pytest.raises(rclpy.node.NodeNameNonExistentError):
            ask("nobody", "/")
    assert node.wait_for_node("/ns/seen", 1.0) is True and node.wait_for_node("nobody", 0.1) is False


def test_counts(ros):
    node = ros.node("counter", namespace="/ns")
    node.create_publisher(Int32, "x", 1)
    node.create_service(Trigger, "z", lambda q, r: r)
    node.create_client(Trigger, "z")
    assert (node.count_publishers("x"), node.count_publishers("/ns/x"), node.count_subscribers("x")) == (
        1,
        1,
        0,
    )
    assert (node.count_services("z"), node.count_clients("z"), node.count_clients("/z")) == (1, 1, 0)
    for count in (node.count_publishers, node.count_subscribers, node.count_services, node.count_clients):
        with pytest.raises(ValueError):
            count("1 bad name")


def test_information_by_topic(ros):
    node = ros.node("informer", namespace="/ns")
    profile = QoSProfile(depth=3, reliability=ReliabilityPolicy.BEST_EFFORT, deadline=Duration(seconds=2))
    node.create_publisher(Int32, "x", profile)
    (info,) = node.get_publishers_info_by_topic("x")
    assert (info.node_name, info.node_namespace, info.topic_type) == ("informer", "/ns", "std_msgs/msg/Int32")
    assert info.endpoint_type == rclpy.topic_endpoint_info.TopicEndpointTypeEnum.PUBLISHER
    assert len(info.endpoint_gid) == 16
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert info.qos_profile.durability == DurabilityPolicy.VOLATILE
    assert info.qos_profile.deadline == Duration(seconds=2) and info.qos_profile.lifespan == Infinite
    assert str(info.topic_type_hash).startswith("RIHS01_b6578ded3c")
    text = str(info)
    for words in (
        "Node name: informer",
        "Endpoint type: PUBLISHER",
        "Reliability: BEST_EFFORT",
        "Lifespan: Infinite",
    ):
        assert words in text
    assert node.get_subscriptions_info_by_topic("x") == []
    for ask in (node.get_publishers_info_by_topic, node.get_subscriptions_info_by_topic):
        with pytest.raises(ValueError):
            ask("1 bad name")
    assert node.get_publishers_info_by_topic("/ns/x") == [info]
    assert [i.node_name for i in node.get_publishers_info_by_topic("rt/ns/x", no_mangle=True)] == ["informer"]
