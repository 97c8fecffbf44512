"""What can be imported, and from where."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from std_msgs.msg import String
from std_srvs.srv import Trigger
from test_msgs.action import Fibonacci


def missing(program: str, expressions: tuple[str, ...]) -> str:
    """Which expressions fail in a process that ran the program."""
    source = f"""
{program}
for expression in {expressions}:
    try:
        eval(expression)
    except Exception as error:
        print(expression, error)
"""
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60).stdout


def test_a_bare_import_has_these():
    names = ("Parameter", "Future", "Context", "parameter", "task", "context", "signals", "utilities")
    assert missing("import rclpy", tuple(f"rclpy.{name}" for name in names)) == ""


def test_once_a_node_exists_these_are_there():
    """A program with a bare `import rclpy` reaches them."""
    expressions = (
        "rclpy.executors.SingleThreadedExecutor", "rclpy.executors.ExternalShutdownException",
        "rclpy.Parameter.Type.DOUBLE", "rclpy.SignalHandlerOptions.NO", "rclpy.parameter.Parameter",
        "rclpy.task.Future", "rclpy.utilities.remove_ros_args", "rclpy.create_node", "rclpy.spin_once",
        "rclpy.qos.QoSProfile", "rclpy.node.Node", "rclpy.duration.Duration", "rclpy.logging.get_logger",
    )  # fmt: skip
    program = "import rclpy\nrclpy.init()\nnode = rclpy.create_node('n')"
    assert missing(program, expressions) == ""


@pytest.mark.parametrize(
    "module, name",
    [
        ("rclpy.clock", "ClockType"), ("rclpy.constants", "S_TO_NS"), ("rclpy.duration", "Infinite"),
        ("rclpy.event_handler", "QoSMessageLostInfo"), ("rclpy.event_handler", "UnsupportedEventTypeError"),
        ("rclpy.exceptions", "InvalidHandle"), ("rclpy.executors", "TimeoutException"),
        ("rclpy.expand_topic_name", "expand_topic_name"), ("rclpy.impl.logging_severity", "LoggingSeverity"),
        ("rclpy.impl.rcutils_logger", "RcutilsLogger"), ("rclpy.lifecycle", "LifecycleNodeMixin"),
        ("rclpy.logging", "get_logging_directory"), ("rclpy.node", "NodeNameNonExistentError"),
        ("rclpy.node", "Client"), ("rclpy.node", "Parameter"), ("rclpy.node", "ReentrantCallbackGroup"),
        ("rclpy.parameter_client", "AsyncParameterClient"),
        ("rclpy.parameter_event_handler", "ParameterEventHandler"), ("rclpy.qos", "LivelinessPolicy"),
        ("rclpy.qos_event", "SubscriptionEventCallbacks"),
        ("rclpy.qos_overriding_options", "QoSOverridingOptions"),
        ("rclpy.serialization", "serialize_message"), ("rclpy.time_source", "CLOCK_TOPIC"),
        ("rclpy.topic_endpoint_info", "TopicEndpointTypeEnum"),
        ("rclpy.topic_or_service_is_hidden", "topic_or_service_is_hidden"),
        ("rclpy.type_hash", "TypeHash"), ("rclpy.type_support", "check_for_type_support"),
        ("rclpy.utilities", "get_available_rmw_implementations"),
        ("rclpy.validate_full_topic_name", "validate_full_topic_name"),
        ("rclpy.validate_parameter_name", "validate_parameter_name"),
        ("rclpy.validate_topic_name", "TOPIC_SEPARATOR_STRING"),
        ("rclpy.wait_for_message", "wait_for_message"),
    ],
)  # fmt: skip
def test_modules_and_what_they_hold(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_constants():
    from rclpy.constants import S_TO_NS

    assert S_TO_NS == 10**9


def test_hidden_names():
    from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden as hidden

    assert hidden("/_chatter") and hidden("/a/_b/c") and hidden("_x")
    assert not hidden("/chatter") and not hidden("/a_b/c_") and not hidden("")


def test_type_support_names_what_is_no_interface():
    from rclpy.type_support import check_for_type_support, check_is_valid_msg_type, check_is_valid_srv_type

    check_for_type_support(String)
    check_for_type_support(Trigger)
    check_for_type_support(Fibonacci)
    check_is_valid_msg_type(String)
    check_is_valid_srv_type(Trigger)
    with pytest.raises(AttributeError, match="ROS 1"):
        check_for_type_support(dict)
    with pytest.raises(AttributeError, match="ROS 1"):
        check_is_valid_msg_type(str)
    for wrong in (Trigger, Fibonacci):
        with pytest.raises(RuntimeError, match="not valid"):
            check_is_valid_msg_type(wrong)
    for wrong in (String, Fibonacci):
        with pytest.raises(RuntimeError, match="not valid"):
            check_is_valid_srv_type(wrong)


def test_parameter_names():
    from rclpy.exceptions import InvalidParameterException
    from rclpy.validate_parameter_name import validate_parameter_name

    assert validate_parameter_name("a.b")
    with pytest.raises(InvalidParameterException):
        validate_parameter_name("")


def test_type_hashes_compare_and_print():
    from rclpy.type_hash import TypeHash

    assert str(TypeHash()) == "INVALID" and TypeHash() == TypeHash(-1, bytes(32))
    assert str(TypeHash(1, bytes(range(32)))).startswith("RIHS01_000102")
    assert TypeHash(1, bytes(32)) != TypeHash(1, bytes(range(32)))
    with pytest.raises(AssertionError):
        TypeHash(version="1")
