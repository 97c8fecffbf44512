"""Names of nodes, topics and services: what is allowed, how they expand, how they are remapped."""

from __future__ import annotations

import pytest
from rclpy.exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)
from rclpy.expand_topic_name import expand_topic_name
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name
from rclpy.validate_topic_name import validate_topic_name
from std_msgs.msg import String
from std_srvs.srv import Trigger

LONG = "x" * 256


@pytest.mark.parametrize("name", ["n", "_n", "N1", "x" * 255])
def test_good_node_names(name):
    assert validate_node_name(name)


@pytest.mark.parametrize(
    "name, words",
    [("", "must not be empty"), ("a b", "must not contain characters"),
    ("a/b", "must not contain characters"),
     ("1a", "must not start with a number"), (LONG, "exceed")],
)  # fmt: skip
def test_bad_node_names(ros, name, words):
    with pytest.raises(InvalidNodeNameException, match=words):
        validate_node_name(name)
    with pytest.raises(InvalidNodeNameException):
        ros.node(name)


@pytest.mark.parametrize("namespace", ["/", "/a", "/a/b_c"])
def test_good_namespaces(namespace):
    assert validate_namespace(namespace)


@pytest.mark.parametrize(
    "namespace, words",
    [("", "must not be empty"), ("a", "must be absolute"), ("/a/", "must not end with"),
    ("/a//b", "must not contain repeated"),
     ("/1a", "token that starts with a number"), ("/a b", "must not contain characters"),
     ("/" + LONG, "exceed")],
)  # fmt: skip
def test_bad_namespaces(namespace, words):
    with pytest.raises(InvalidNamespaceException, match=words):
        validate_namespace(namespace)


def test_namespaces_of_nodes(ros):
    for given, found in (("", "/"), ("/", "/"), ("a", "/a"), ("/a/b", "/a/b")):
        node = ros.node("n", namespace=given)
        assert node.get_namespace() == found
        assert node.get_fully_qualified_name() == (found + "/n").replace("//", "/")
        assert node.get_logger().name == (found + "/n").strip("/").replace("/", ".")
    for bad in ("/a/", "a b", "/1a", "a//b"):
        with pytest.raises(InvalidNamespaceException):
            ros.node("n", namespace=bad)


@pytest.mark.parametrize(
    "name",
    ["chatter", "/chatter", "a/b", "{node}/x", "{ns}/x", "~/x", "~", "_hidden", "{node}_x", "a/{node}"],
)
def test_good_topic_names(name):
    assert validate_topic_name(name) and validate_topic_name(name, is_service=True)


@pytest.mark.parametrize(
    "name, words",
    [
        ("", "must not be empty"), ("9lives", "must not start with a number"),
        ("a/9b", "token must not start with a number"),
        ("a b", "must not contain characters"), ("x/", "must not end with"),
        ("a-b", "must not contain characters"),
        ("/~/x", "tilde"), ("a~", "tilde"), ("{node", "unbalanced"), ("{no de}", "substitution"),
        ("{1x}", "substitution"),
    ],
)  # fmt: skip
def test_bad_topic_names(ros, name, words):
    with pytest.raises(InvalidTopicNameException, match=words):
        validate_topic_name(name)
    with pytest.raises(InvalidServiceNameException):
        validate_topic_name(name, is_service=True)
    node = ros.node()
    with pytest.raises(InvalidTopicNameException):
        node.create_publisher(String, name, 1)
    with pytest.raises(InvalidTopicNameException):
        node.create_subscription(String, name, print, 1)
    with pytest.raises(InvalidServiceNameException):
        node.create_client(Trigger, name)
    with pytest.raises(InvalidServiceNameException):
        node.create_service(Trigger, name, lambda request, response: response)


@pytest.mark.parametrize("name", ["a//b", "x" * 300])
def test_names_that_only_fail_in_full(ros, name):
    with pytest.raises(InvalidTopicNameException):
        ros.node().create_publisher(String, name, 1)


@pytest.mark.parametrize(
    "name, words",
    [("", "must not be empty"), ("a", "must be absolute"), ("/a/", "must not end with"),
    ("/a//b", "repeated"),
     ("/a/~b", "must not contain characters"), ("/1a", "token that starts with a number"),
     ("/" + LONG, "exceed")],
)  # fmt: skip
def test_bad_full_names(name, words):
    assert validate_full_topic_name("/a/b")
    with pytest.raises(InvalidTopicNameException, match=words):
        validate_full_topic_name(name)
    with pytest.raises(InvalidServiceNameException):
        validate_full_topic_name(name, is_service=True)


@pytest.mark.parametrize(
    "name, full",
    [("x", "/ns/x"), ("/x", "/x"), ("~", "/ns/n"), ("~/x", "/ns/n/x"), ("{node}/x", "/ns/n/x"),
    ("/{node}", "/n"),
     ("{ns}/x", "/ns/x"), ("{namespace}/x", "/ns/x"), ("a/{node}/b", "/ns/a/n/b")],
)  # fmt: skip
def test_expansion(name, full):
    assert expand_topic_name(name, "n", "/ns") == full


def test_expansion_of_bad_names():
    for name, node, namespace in (
        ("x", "n", ""),
        ("x", "n", "ns"),
        ("x", "", "/"),
        ("a b", "n", "/"),
        ("{what}", "n", "/"),
    ):
        with pytest.raises((ValueError, RuntimeError)):
            expand_topic_name(name, node, namespace)
    assert expand_topic_name("x", "n", "/") == "/x"


def test_remapping(ros):
    rules = (
        "__ns:=/left", "image:=camera/image", "n:~/state:=/state", "rosservice://go:=went",
        "/absolute:=relative", "other:what:=never",
    )  # fmt: skip
    ros.restart("--ros-args", *(word for rule in rules for word in ("--remap", rule)), "--")
    node = ros.node()
    assert node.get_fully_qualified_name() == "/left/n"
    assert node.resolve_topic_name("image") == "/left/camera/image"
    assert node.resolve_topic_name("image", only_expand=True) == "/left/image"
    assert node.resolve_topic_name("/image") == "/image"
    assert node.resolve_topic_name("~/state") == "/state"
    assert node.resolve_topic_name("what") == "/left/what"
    assert node.resolve_topic_name("/absolute") == "/left/relative"
    assert node.resolve_topic_name("go") == "/left/go" and node.resolve_service_name("go") == "/left/went"
    assert node.create_publisher(String, "{node}/x", 1).topic_name == "/left/n/x"
    assert node.create_publisher(String, "image", 1).topic_name == "/left/camera/image"
    assert node.create_client(Trigger, "go").service_name == "/left/went"
    assert node.create_service(Trigger, "go", lambda q, r: r).service_name == "/left/went"
    subscription = node.create_subscription(String, "image", print, 1)
    assert (subscription.topic, subscription.topic_name) == ("image", "/left/camera/image")


def test_the_first_matching_rule_counts(ros):
    ros.restart(
        "--ros-args", "-r", "a:=b", "-r", "a:=c", "-r", "b:=d", "-r", "__node:=first", "-r", "__name:=second"
    )
    node = ros.node()
    assert node.get_name() == "first"
    assert node.resolve_topic_name("a") == "/b" and node.resolve_topic_name("b") == "/d"


def test_rules_of_one_node(ros):
    ros.restart("--ros-args", "-r", "x:=global", "-r", "__node:=renamed")
    node = ros.node("n", cli_args=["--ros-args", "-r", "x:=own", "-r", "__ns:=/mine"])
    assert node.get_fully_qualified_name() == "/mine/renamed"
    assert node.resolve_topic_name("x") == "/mine/own"
    alone = ros.node("n", use_global_arguments=False)
    assert alone.get_name() == "n" and alone.resolve_topic_name("x") == "/x"
    bare = ros.node("n", cli_args=["-r", "x:=bare"], use_global_arguments=False)
    assert bare.resolve_topic_name("x") == "/bare", "an implicit --ros-args goes before"
    with pytest.raises(RuntimeError):
        ros.node("n", cli_args=["--ros-args", "--nonsense"])


def test_unknown_arguments_of_one_node_outside_of_ros_are_kept_out(ros):
    node = ros.node("n", cli_args=["--ros-args", "-p", "a:=5", "--", "plain"])
    assert node.declare_parameter("a", 0).value == 5


def test_bad_names_to_resolve(ros):
    node = ros.node()
    for bad in ("", "a b", "{what}"):
        with pytest.raises(RuntimeError):
            node.resolve_topic_name(bad)
        with pytest.raises(RuntimeError):
            node.resolve_service_name(bad)
