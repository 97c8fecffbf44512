"""Message classes: values, defaults, comparison, text, bytes."""

from __future__ import annotations

import copy
from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, JointState, PointField
from std_msgs.msg import (
    Bool,
    ByteMultiArray,
    Float32MultiArray,
    Float64MultiArray,
    Header,
    Int32MultiArray,
    String,
    UInt8MultiArray,
)
from std_srvs.srv import SetBool
from test_msgs.action import Fibonacci


def test_defaults():
    assert Quaternion() == Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)
    assert Image().data == array("B") and JointState().name == [] and Header().stamp == Time()
    info = CameraInfo()
    assert isinstance(info.k, np.ndarray) and info.k.dtype == np.float64 and info.k.shape == (9,)
    assert PointField.FLOAT32 == 7 and Bool().data is False and ByteMultiArray().data == []
    assert SetBool.Request().data is False and Fibonacci.Goal().order == 0
    assert Image.get_fields_and_field_types()["data"] == "sequence<uint8>"


@pytest.mark.parametrize(
    "kind, code, value",
    [
        (Float64MultiArray, "d", [1.0, 2.0]), (Float64MultiArray, "d", [1, 2]),
        (Float64MultiArray, "d", (1, 2.5)),
        (Float64MultiArray, "d", np.array([1.0, 2.0])),
        (Float64MultiArray, "d", np.array([1.0, 2.0], np.float32)),
        (Float64MultiArray, "d", np.arange(3)), (Float64MultiArray, "d", array("f", [1.0])),
        (Float64MultiArray, "d", array("d", [1.0])), (Float64MultiArray, "d", range(3)),
        (Float64MultiArray, "d", [True]),
        (Float32MultiArray, "f", np.array([1.0, 2.0])),
        (Float32MultiArray, "f", [np.float32(1.5), np.float64(2.5)]),
        (Float64MultiArray, "d", []), (Float64MultiArray, "d", np.zeros(0)),
        (Float64MultiArray, "d", np.arange(6.0)[::2]),
        (Int32MultiArray, "i", [1, 2]), (Int32MultiArray, "i", np.array([1, 2])),
        (Int32MultiArray, "i", np.array([3], np.uint8)),
        (Int32MultiArray, "i", [np.int64(5)]), (Int32MultiArray, "i", {7}), (UInt8MultiArray, "B", b"abc"),
        (UInt8MultiArray, "B", bytearray(b"abc")), (UInt8MultiArray, "B", memoryview(b"abc")),
        (UInt8MultiArray, "B", np.array([1, 2], np.uint8)), (UInt8MultiArray, "B", [1, 255]),
        (UInt8MultiArray, "B", np.array([1, 2])),
    ],
)  # fmt: skip
def test_sequences_of_numbers_become_arrays(kind, code, value):
    expected = array(code, list(value))
    message = kind()
    message.data = value
    assert message.data == expected and isinstance(message.data, array) and message.data.typecode == code
    assert kind(data=value) == message
    assert deserialize_message(serialize_message(message), kind) == message


@pytest.mark.parametrize(
    "kind, value, error",
    [
        (Float64MultiArray, ["a"], TypeError), (Float64MultiArray, 1.0, TypeError),
        (Float64MultiArray, None, TypeError),
        (Float64MultiArray, np.zeros((2, 2)), TypeError), (Int32MultiArray, [1.5], TypeError),
        (Int32MultiArray, np.array([1.5]), TypeError), (Int32MultiArray, [2**31], OverflowError),
        (UInt8MultiArray, [256], OverflowError), (UInt8MultiArray, [-1], OverflowError),
        (UInt8MultiArray, np.array([300]), OverflowError), (Float64MultiArray, "abc", TypeError),
    ],
)  # fmt: skip
def test_what_no_sequence_of_numbers_takes(kind, value, error):
    message = kind()
    with pytest.raises(error):
        message.data = value
    with pytest.raises(error):
        kind(data=value)


def test_fixed_arrays():
    info = CameraInfo()
    for value in (
        [float(i) for i in range(9)],
        tuple(range(9)),
        np.arange(9),
        np.arange(9.0),
        array("d", range(9)),
    ):
        info.k = value
        assert list(info.k) == list(range(9)) and info.k.dtype == np.float64
    assert list(CameraInfo(k=list(range(9))).k) == list(range(9))
    again = deserialize_message(serialize_message(info), CameraInfo)
    assert again == info and again.k.dtype == np.float64


def test_equality_and_text():
    a, b = Header(frame_id="x"), Header(frame_id="x")
    assert a == b and Header(frame_id="y") != a and a != "x" and a != String(data="x")
    assert copy.deepcopy(a) == a and copy.copy(a) == a
    assert repr(String(data="x")) == "std_msgs.msg.String(data='x')"
    assert repr(a) == (
        "std_msgs.msg.Header(stamp=builtin_interfaces.msg.Time(sec=0, nanosec=0), frame_id='x')"
    )
    assert repr(Int32MultiArray(data=[1, 2])).endswith("data=[1, 2])")
    assert repr(Int32MultiArray()).endswith("data=[])")
    assert repr(SetBool.Request(data=True)) == "std_srvs.srv.SetBool_Request(data=True)"
    with pytest.raises(TypeError):
        hash(a)


def test_fields_are_fixed():
    with pytest.raises(AttributeError):
        String().dta = "x"
    with pytest.raises(AttributeError):
        _ = String().dta


def test_nested_lists_are_the_same_object():
    image = Image()
    image.header.frame_id = "camera"
    assert image.header.frame_id == "camera"
    state = JointState(name=["a"])
    state.name.append("b")
    state.position.append(1.5)
    assert deserialize_message(serialize_message(state), JointState) == JointState(
        name=["a", "b"], position=[1.5]
    )


@pytest.mark.parametrize("text", ["", "abc", "äöü €", "🤖", "line\nline", 'quote"'])
def test_strings(text):
    assert deserialize_message(serialize_message(String(data=text)), String).data == text


def test_constants_are_read_only():
    with pytest.raises(AttributeError):
        PointField().FLOAT32 = 3
    assert PointField().FLOAT32 == 7


def test_slot_names():
    """Some programs walk over messages."""
    assert list(Header.get_fields_and_field_types()) == ["stamp", "frame_id"]
    assert Header.get_fields_and_field_types()["stamp"] == "builtin_interfaces/Time"
    assert [slot for slot in Header().__slots__ if slot != "_check_fields"] == ["_stamp", "_frame_id"]
