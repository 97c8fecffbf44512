"""Parameters inside one node: declaring, setting, ranges, callbacks, overrides from arguments and files."""

from __future__ import annotations

import warnings
from array import array

import pytest
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterEvent,
    ParameterType,
    ParameterValue,
    SetParametersResult,
)
from rcl_interfaces.msg import Parameter as ParameterMsg
from rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import (
    Parameter,
    get_parameter_value,
    parameter_dict_from_yaml_file,
    parameter_value_to_python,
)
from waiting import spin_until

GOOD = SetParametersResult(successful=True)
DYNAMIC = ParameterDescriptor(dynamic_typing=True)


# -- values


@pytest.mark.parametrize(
    "value, kind",
    [
        (None, "NOT_SET"), (True, "BOOL"), (1, "INTEGER"), (1.0, "DOUBLE"), ("x", "STRING"),
        ([b"\1"], "BYTE_ARRAY"), ([], "BYTE_ARRAY"), ([True], "BOOL_ARRAY"), ([1, 2], "INTEGER_ARRAY"),
        ([True, 1], "INTEGER_ARRAY"), ((1.0,), "DOUBLE_ARRAY"), (["a"], "STRING_ARRAY"),
        (array("d", [1.0]), "DOUBLE_ARRAY"), (array("i", [1]), "INTEGER_ARRAY"),
    ],
)  # fmt: skip
def test_the_type_of_a_value(value, kind):
    parameter = Parameter("p", value=value)
    assert parameter.type_ == Parameter.Type[kind] == Parameter.Type.from_parameter_value(value)
    message = parameter.to_parameter_msg()
    assert message.name == "p" and message.value.type == Parameter.Type[kind].value
    again = Parameter.from_parameter_msg(message)
    assert (again.name, again.type_) == ("p", parameter.type_)
    assert (
        again.value if value is None else list(again.value) if kind.endswith("ARRAY") else again.value
    ) == (list(value) if kind.endswith("ARRAY") else value)


@pytest.mark.parametrize("value", [{}, b"x", [1, 1.0], ["a", 1], object(), 1j])
def test_values_that_are_none(value):
    with pytest.raises(TypeError, match="allowed types"):
        Parameter("p", value=value)


@pytest.mark.parametrize(
    "kind, value",
    [("INTEGER", 1.0), ("DOUBLE", 1), ("BOOL", 1), ("STRING", b"x"), ("NOT_SET", 1), ("DOUBLE_ARRAY", [1]),
     ("BYTE_ARRAY", [b"ab"]), ("INTEGER", None), ("STRING_ARRAY", "ab")],
)  # fmt: skip
def test_type_and_value_must_agree(kind, value):
    with pytest.raises(ValueError, match="do not agree"):
        Parameter("p", Parameter.Type[kind], value)
    with pytest.raises(TypeError, match="type must be"):
        Parameter("p", "STRING", "x")


def test_types_are_an_enumeration_with_the_values_of_the_message():
    assert Parameter.Type.DOUBLE.value == ParameterType.PARAMETER_DOUBLE
    assert Parameter.Type(2) is Parameter.Type.INTEGER
    assert Parameter.Type.DOUBLE != 3, "a plain Enum"
    assert str(Parameter.Type.DOUBLE) == "Type.DOUBLE"


@pytest.mark.parametrize(
    "text, kind, value",
    [
        ("true", "BOOL", True), ("1", "INTEGER", 1), ("1.5", "DOUBLE", 1.5), ("abc", "STRING", "abc"),
        ("[1, 2]", "INTEGER_ARRAY", [1, 2]), ("[1.0]", "DOUBLE_ARRAY", [1.0]),
        ("[a, b]", "STRING_ARRAY", ["a", "b"]),
        ("[true]", "BOOL_ARRAY", [True]), ("[1, a]", "STRING", "[1, a]"), ("", "STRING", ""),
        ("1e3", "STRING", "1e3"), ("'7'", "STRING", "7"),
    ],
)  # fmt: skip
def test_values_as_typed_by_hand(text, kind, value):
    found = get_parameter_value(text)
    assert found.type == Parameter.Type[kind].value and parameter_value_to_python(found) == value


def test_an_unknown_type_in_a_message():
    assert parameter_value_to_python(ParameterValue()) is None
    with pytest.raises(RuntimeError, match="42"):
        parameter_value_to_python(ParameterValue(type=42))


# -- declaring


def test_declared_typed_and_set(ros):
    node = ros.node()
    assert node.declare_parameter("gain", 1.5).value == 1.5
    assert node.declare_parameter("names", ["a"]).type_ == Parameter.Type.STRING_ARRAY
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameter("gain", 2.0)
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter("other")
    assert node.set_parameters([Parameter("gain", value=2.5)])[0].successful
    refused = node.set_parameters([Parameter("gain", value="high")])[0]
    assert not refused.successful and "DOUBLE" in refused.reason and node.get_parameter("gain").value == 2.5
    assert node.has_parameter("gain") and not node.has_parameter("other")
    assert node.get_parameter_type("gain") == Parameter.Type.DOUBLE.value
    assert node.get_parameter_types(["gain", "names"]) == [3, 9]
    with pytest.raises(TypeError):
        node.get_parameters([1])
    with pytest.raises(TypeError):
        node.get_parameter_types([1])


def test_a_type_without_a_value(ros):
    node = ros.node()
    assert node.declare_parameter("later", Parameter.Type.INTEGER).value is None
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter("later")
    assert node.get_parameter_or("later", Parameter("x", value=3)).value == 3
    assert node.get_parameter_or("nothing").type_ == Parameter.Type.NOT_SET
    assert node.describe_parameter("later").type == ParameterType.PARAMETER_INTEGER
    assert not node.set_parameters([Parameter("later", value="x")])[0].successful
    assert node.set_parameters([Parameter("later", value=4)])[0].successful
    assert node.get_parameter("later").value == 4
    with pytest.raises(ValueError, match="NOT_SET"):
        node.declare_parameter("never", Parameter.Type.NOT_SET)
    with pytest.raises(ValueError, match="dynamic_typing"):
        node.declare_parameter("both", Parameter.Type.INTEGER, ParameterDescriptor(dynamic_typing=True))


def test_no_value_and_no_type(ros):
    node = ros.node()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert node.declare_parameter("bare").value is None
    assert any("deprecated" in str(entry.message) for entry in heard)
    assert node.get_parameter("bare").type_ == Parameter.Type.NOT_SET
    with pytest.raises(ValueError, match="NOT_SET"):
        node.declare_parameter("empty", None, ParameterDescriptor())
    assert node.declare_parameter("free", None, ParameterDescriptor(dynamic_typing=True)).value is None
    assert node.set_parameters([Parameter("free", value="x")])[0].successful


def test_several_at_once(ros):
    node = ros.node()
    described = ParameterDescriptor(description="how fast")
    found = node.declare_parameters(
        "arm", [("speed", 1.0, described), ("joints", 7), ("mode", Parameter.Type.STRING)]
    )
    assert [p.value for p in found] == [1.0, 7, None]
    assert node.describe_parameter("arm.speed").description == "how fast"
    assert {k: p.value for k, p in node.get_parameters_by_prefix("arm").items()} == {
        "speed": 1.0, "joints": 7, "mode": None,
    }  # fmt: skip
    assert "use_sim_time" in node.get_parameters_by_prefix("")
    assert node.get_parameters_by_prefix("leg") == {}
    for wrong, error in (
        ((), TypeError), (("a", 1, described, 4), TypeError), ((1, 2), TypeError),
        (("a", 1, "words"), TypeError),
        (("", 1), InvalidParameterException),
    ):  # fmt: skip
        with pytest.raises(error):
            node.declare_parameters("", [wrong])
    with pytest.raises(ParameterAlreadyDeclaredException):
        node.declare_parameters("", [("new", 1), ("arm.speed", 2.0)])
    assert not node.has_parameter("new")


def test_undeclaring(ros):
    node = ros.node()
    node.declare_parameter("a", 1)
    node.declare_parameter("fixed", 1, ParameterDescriptor(read_only=True))
    node.undeclare_parameter("a")
    assert not node.has_parameter("a")
    with pytest.raises(ParameterNotDeclaredException):
        node.undeclare_parameter("a")
    with pytest.raises(ParameterImmutableException):
        node.undeclare_parameter("fixed")
    node.declare_parameter("a", "now a text")


def test_read_only(ros):
    node = ros.node()
    node.declare_parameter("fixed", 1, ParameterDescriptor(read_only=True))
    result = node.set_parameters([Parameter("fixed", value=2)])[0]
    assert not result.successful and "read-only" in result.reason


def test_undeclared_may_be_allowed(ros):
    node = ros.node(allow_undeclared_parameters=True)
    assert node.get_parameter("x").type_ == Parameter.Type.NOT_SET
    assert node.get_parameter_type("x") == Parameter.Type.NOT_SET
    assert node.describe_parameter("x") == ParameterDescriptor()
    assert node.set_parameters([Parameter("x", value=1)])[0].successful
    assert node.set_parameters([Parameter("x", value="text")])[0].successful, "dynamically typed"
    assert node.get_parameter("x").value == "text"
    assert node.set_parameters([Parameter("x")])[0].successful and not node.has_parameter("x")


def test_unsetting(ros):
    node = ros.node()
    node.declare_parameter("static", 1)
    node.declare_parameter("free", 1, ParameterDescriptor(dynamic_typing=True))
    result = node.set_parameters([Parameter("static")])[0]
    assert not result.successful and "Static parameter cannot be undeclared" in result.reason
    assert node.set_parameters([Parameter("free")])[0].successful and not node.has_parameter("free")


def test_empty_lists(ros):
    """An empty list is a byte array: a default of [] fixes that type."""
    node = ros.node()
    assert node.declare_parameter("empty", []).type_ == Parameter.Type.BYTE_ARRAY
    node.declare_parameter("numbers", [1, 2])
    result = node.set_parameters([Parameter("numbers", value=[])])[0]
    assert not result.successful and "Wrong parameter type" in result.reason
    assert node.set_parameters([Parameter("numbers", Parameter.Type.INTEGER_ARRAY, [])])[0].successful


# -- setting


def test_one_undeclared_among_several(ros):
    """Set one by one: what came before the undeclared one stays set, what comes after is not tried."""
    node = ros.node()
    for name in ("a", "b"):
        node.declare_parameter(name, 0)
    three = [Parameter("a", value=1), Parameter("undeclared", value=1), Parameter("b", value=1)]
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters(three)
    assert (node.get_parameter("a").value, node.get_parameter("b").value) == (1, 0)
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters_atomically([Parameter("a", value=2), *three[1:]])
    assert node.get_parameter("a").value == 1
    with pytest.raises((TypeError, AttributeError)):
        node.set_parameters([("a", 1)])


def test_all_or_none(ros):
    node = ros.node()
    node.declare_parameter("a", 0)
    node.declare_parameter("b", 0)
    both = node.set_parameters_atomically([Parameter("a", value=1), Parameter("b", value="x")])
    assert not both.successful and node.get_parameter("a").value == 0
    assert node.set_parameters_atomically([Parameter("a", value=1), Parameter("b", value=2)]).successful
    assert [p.value for p in node.get_parameters(["a", "b"])] == [1, 2]


def test_ranges(ros):
    node = ros.node()
    half = ParameterDescriptor(
        floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0, step=0.5)]
    )
    node.declare_parameter("half", 0.5, half)
    for value, good in (
        (1.0, True),
        (0.25, False),
        (1.5, False),
        (0.5 + 1e-9, True),
        (-1e-3, False),
        (0.0, True),
    ):
        assert node.set_parameters([Parameter("half", value=value)])[0].successful is good, value
    even = ParameterDescriptor(integer_range=[IntegerRange(from_value=0, to_value=9, step=2)])
    with pytest.raises(InvalidParameterValueException):
        node.declare_parameter("even", 3, even)
    node.declare_parameter("even", 4, even)
    for value, good in ((9, True), (8, True), (7, False), (10, False), (-1, False)):
        assert node.set_parameters([Parameter("even", value=value)])[0].successful is good, value
    turned = ParameterDescriptor(integer_range=[IntegerRange(from_value=5, to_value=1)])
    node.declare_parameter("turned", 3, turned)
    assert not node.set_parameters([Parameter("turned", value=6)])[0].successful


def test_new_descriptors(ros):
    node = ros.node()
    node.declare_parameter("a", 5)
    narrow = ParameterDescriptor(
        type=ParameterType.PARAMETER_INTEGER, integer_range=[IntegerRange(from_value=0, to_value=3)]
    )
    with pytest.raises(InvalidParameterValueException):
        node.set_descriptor("a", narrow)
    other = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=2)
    assert node.set_descriptor("a", narrow, other).integer_value == 2
    assert node.get_parameter("a").value == 2
    assert not node.set_parameters([Parameter("a", value=4)])[0].successful
    with pytest.raises(ParameterNotDeclaredException):
        node.set_descriptor("b", narrow)
    node.declare_parameter("fixed", 1, ParameterDescriptor(read_only=True))
    with pytest.raises(ParameterImmutableException):
        node.set_descriptor("fixed", ParameterDescriptor())
    assert [d.name for d in node.describe_parameters(["a", "fixed"])] == ["a", "fixed"]


def test_listing(ros):
    node = ros.node()
    for name in ("a", "arm.x", "arm.y.z", "leg.x"):
        node.declare_parameter(name, 1)

    def listed(prefixes, depth):
        found = node.list_parameters(prefixes, depth)
        return sorted(n for n in found.names if "." in n or len(n) == 1), sorted(found.prefixes)

    everything = ["a", "arm.x", "arm.y.z", "leg.x"]
    assert listed([], 0)[0] == everything and {"arm", "arm.y", "leg"} <= set(listed([], 0)[1])
    assert listed([], 1)[0] == ["a"]
    assert listed([], 2)[0] == ["a", "arm.x", "leg.x"]
    assert listed(["arm"], 0) == (["arm.x", "arm.y.z"], ["arm", "arm.y"])
    assert listed(["arm"], 1) == (["arm.x"], ["arm"])
    assert listed(["arm", "leg"], 1) == (["arm.x", "leg.x"], ["arm", "leg"])
    assert listed(["a"], 0) == (["a"], []) and listed(["ar"], 0) == ([], [])
    for prefixes, depth, error in (
        ("arm", 0, TypeError),
        ([1], 0, TypeError),
        ([], "1", TypeError),
        ([], -1, ValueError),
    ):
        with pytest.raises(error):
            node.list_parameters(prefixes, depth)


# -- callbacks


def test_callbacks_refuse_and_hear(ros):
    node, heard = ros.node(), []
    node.declare_parameter("even", 4)
    node.add_on_set_parameters_callback(
        lambda ps: SetParametersResult(successful=all(p.value != 6 for p in ps), reason="no six")
    )
    node.add_post_set_parameters_callback(lambda ps: heard.extend((p.name, p.value) for p in ps))
    assert node.set_parameters([Parameter("even", value=6)])[0].reason == "no six"
    assert node.get_parameter("even").value == 4 and heard == []
    assert node.set_parameters([Parameter("even", value=8)])[0].successful and heard == [("even", 8)]
    node.declare_parameter("other", 1)
    assert heard[-1] == ("other", 1), "declaring calls them, too"
    with pytest.raises(InvalidParameterValueException, match="no six"):
        node.declare_parameter("third", 6)


def test_the_last_added_callback_is_the_first_called(ros):
    node, order = ros.node(), []
    node.declare_parameter("a", 0)

    def on_set(name):
        return lambda ps: order.append(name) or GOOD

    first, second = on_set("first"), on_set("second")
    node.add_on_set_parameters_callback(first)
    node.add_on_set_parameters_callback(second)
    node.set_parameters([Parameter("a", value=1)])
    assert order == ["second", "first"]
    node.remove_on_set_parameters_callback(second)
    node.set_parameters([Parameter("a", value=2)])
    assert order == ["second", "first", "first"]
    with pytest.raises(ValueError):
        node.remove_on_set_parameters_callback(second)


def test_a_callback_must_return_a_result(ros):
    node = ros.node()
    node.declare_parameter("a", 0)
    node.add_on_set_parameters_callback(lambda ps: None)
    result = node.set_parameters([Parameter("a", value=1)])[0]
    assert not result.successful and "invalid type" in result.reason
    for add in (node.add_on_set_parameters_callback, node.add_post_set_parameters_callback):
        with pytest.raises(TypeError):
            add("no function")


def test_pre_set_callbacks_change_the_list(ros):
    node = ros.node()
    node.declare_parameter("a", 0)
    node.declare_parameter("twice", 0)
    double = lambda ps: [*ps, Parameter("twice", value=2 * ps[0].value)]  # noqa: E731
    node.add_pre_set_parameters_callback(double)
    assert node.set_parameters([Parameter("a", value=3)])[0].successful
    assert node.get_parameter("twice").value == 6
    node.remove_pre_set_parameters_callback(double)
    node.add_pre_set_parameters_callback(lambda ps: [])
    result = node.set_parameters([Parameter("a", value=4)])[0]
    assert not result.successful and "empty" in result.reason


def test_a_pre_set_callback_may_not_add_undeclared_parameters(ros):
    node = ros.node()
    node.declare_parameter("a", 0)
    node.add_pre_set_parameters_callback(lambda ps: [*ps, Parameter("undeclared", value=1)])
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter("a", value=1)])
    assert node.get_parameter("a").value == 0 and not node.has_parameter("undeclared")


def test_several_pre_set_callbacks_all_see_the_first_list(ros):
    node, seen = ros.node(), []
    node.declare_parameter("a", 0)
    for _ in range(2):
        node.add_pre_set_parameters_callback(lambda ps: seen.append([p.value for p in ps]) or ps)
    node.set_parameters([Parameter("a", value=3)])
    assert seen == [[3], [3]]


# -- overrides


FILE = """
/**:
  ros__parameters: {common: 1, text: 'x'}
/arm/robot:
  ros__parameters:
    limits: {low: -1.0, high: 1e-3}
    list: [1, 2]
    names: [a, b]
arm:
  other:
    ros__parameters: {common: 5}
"""


def test_overrides_from_arguments_and_files(ros, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(FILE)
    ros.restart("--ros-args", "--params-file", str(path), "-p", "common:=2", "-p", "other:text:=never", "--")
    node = ros.node("robot", namespace="arm")
    values = {"common": 0, "text": "", "limits.low": 0.0, "limits.high": 0.0, "list": [0], "names": [""]}
    found = {name: node.declare_parameter(name, default).value for name, default in values.items()}
    assert {k: list(v) if k == "list" else v for k, v in found.items()} == {
        "common": 2, "text": "x", "limits.low": -1.0, "limits.high": 1e-3, "list": [1, 2],
        "names": ["a", "b"],
    }  # fmt: skip
    with pytest.raises(InvalidParameterTypeException, match="expecting type 'INTEGER'"):
        ros.node("n2", parameter_overrides=[Parameter("common", value="word")]).declare_parameter("common", 1)
    auto = ros.node("robot2", namespace="arm", automatically_declare_parameters_from_overrides=True)
    assert auto.get_parameter("common").value == 2
    alone = ros.node("robot3", use_global_arguments=False)
    assert alone.declare_parameter("common", 0).value == 0
    assert node.declare_parameter("ignored", 1, ignore_override=True).value == 1


def test_two_blocks_of_one_name_in_a_file(ros, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("/**:\n  ros__parameters: {a: 1, b: 1}\n/**:\n  ros__parameters: {b: 2, c: 3}\n")
    ros.restart("--ros-args", "--params-file", str(path))
    node = ros.node()
    assert [node.declare_parameter(name, 0).value for name in "abc"] == [1, 2, 3]


def test_which_block_wins(ros, tmp_path):
    """Blocks apply in the order of the file, whatever their patterns; later files and -p win."""
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text("/ns/n:\n  ros__parameters: {a: 1, b: 1, c: 1}\n/**:\n  ros__parameters: {a: 2}\n")
    second.write_text(
        "/*/n:\n  ros__parameters: {b: 3}\n/**/n:\n  ros__parameters: {d: 4}\nn:\n  ros__parameters: {e: 5}\n"
    )
    ros.restart("--ros-args", "--params-file", str(first), "--params-file", str(second), "-p", "c:=6")
    node = ros.node("n", namespace="/ns")
    assert [node.declare_parameter(name, 0).value for name in "abcde"] == [2, 3, 6, 4, 0]


@pytest.mark.parametrize(
    "text, value",
    [
        ("1", 1), ("0x10", 16), ("-3", -3), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("-1e-3", -1e-3),
        ("true", True), ("True", True), ("yes", True), ("on", True), ("off", False), ("y", True),
        ("n", False),
        ("word", "word"), ("'1'", "1"), ('"true"', "true"), ("two words", "two words"),
        ("2024-01-01", "2024-01-01"),
        ("[1, 2]", [1, 2]), ("[1.5, 2.5]", [1.5, 2.5]), ("[a, 'b c']", ["a", "b c"]),
        ("[true, false]", [True, False]),
        (".nan", "nan"), (".inf", float("inf")), ("''", ""), ("1:30", "1:30"), ("~/x", "~/x"), ("a:b", "a:b"),
        ("1_000", "1_000"), ("0o17", "0o17"), ("010", 8), ("0b11", "0b11"), ("+5", 5), ("1e400", "1e400"),
        ("null", "null"), ("~", "~"),
    ],
)  # fmt: skip
def test_values_of_arguments(ros, text, value):
    ros.restart("--ros-args", "-p", f"p:={text}")
    found = ros.node().declare_parameter("p", None, ParameterDescriptor(dynamic_typing=True)).value
    found = list(found) if isinstance(found, array) else found
    if value == "nan":
        assert isinstance(found, float) and found != found
    else:
        assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", ["[1, a]", "[1, 2.5]", "{a: 1}", "[1, 2", "[]"])
def test_values_of_arguments_that_are_none(ros, text):
    """Refused at init or left out, never a value of another type."""
    try:
        ros.restart("--ros-args", "-p", f"p:={text}")
        found = ros.node().declare_parameter("p", None, ParameterDescriptor(dynamic_typing=True)).value
    except RuntimeError:
        found = None
    assert found is None


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "- a\n- b", "n:\n  a: 1\n", "n:\n  ros__parameters: 3\n",
        "n:\n  ros__parameters: {a: [1, b]}\n", "ros__parameters: {a: 1}\n",
    ],
)  # fmt: skip
def test_bad_files_are_refused(ros, tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(Exception, match=r"bad\.yaml"):
        ros.restart("--ros-args", "--params-file", str(path))


def test_parameters_of_a_file_as_messages(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "/**:\n  ros__parameters: {a: 1, b: x}\n/n:\n  ros__parameters: {b: y, deep: {c: 1.5}}\n"
        "/m:\n  ros__parameters: {d: [1, 2]}\n"
    )
    found = parameter_dict_from_yaml_file(str(path), target_nodes=["/n"])
    assert {k: parameter_value_to_python(p.value) for k, p in found.items()} == {"b": "y", "deep.c": 1.5}
    found = parameter_dict_from_yaml_file(str(path), use_wildcard=True, target_nodes=["/n"], namespace="x.")
    assert {k: parameter_value_to_python(p.value) for k, p in found.items()} == {
        "x.a": 1,
        "x.b": "y",
        "x.deep.c": 1.5,
    }
    assert isinstance(found["x.a"], ParameterMsg) and found["x.a"].name == "x.a"
    assert set(parameter_dict_from_yaml_file(str(path))) == {"b", "deep.c", "d"}
    with pytest.raises(RuntimeError, match="/other"):
        parameter_dict_from_yaml_file(str(path), target_nodes=["/other"])
    path.write_text("/n: {a: 1}\n")
    with pytest.raises(RuntimeError, match="/n"):
        parameter_dict_from_yaml_file(str(path))


# -- events


def test_events_are_published(ros):
    node, events = ros.node("teller", namespace="/ns"), []
    node.create_subscription(ParameterEvent, "/parameter_events", events.append, 10)
    node.declare_parameter("a", 1)
    node.set_parameters([Parameter("a", value=2)])
    node.declare_parameter("free", 1, ParameterDescriptor(dynamic_typing=True))
    node.set_parameters([Parameter("free")])
    assert spin_until(node, lambda: len(events) >= 4)
    new, changed, _, deleted = events[-4:]
    assert new.new_parameters[0].name == "a" and new.node == "/ns/teller"
    assert changed.changed_parameters[0].value.integer_value == 2
    assert deleted.deleted_parameters[0].name == "free"
