"""Interface classes: definitions, defaults, checks, CDR and type hashes."""

from __future__ import annotations

import copy
import importlib
import itertools
import random
import sys
from array import array
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ros2_embedded" / "python"))
definitions = pytest.importorskip("embedded_dds.definitions")
types = pytest.importorskip("embedded_dds.types")
rosbags_store = pytest.importorskip("rosbags.typesys.store")

INTEGERS = {"int8": (7, 1), "int16": (15, 1), "int32": (31, 1), "int64": (63, 1), "uint8": (8, 0),
            "char": (8, 0), "uint16": (16, 0), "uint32": (32, 0), "uint64": (64, 0)}  # fmt: skip


@pytest.fixture(scope="module")
def store():
    from rosbags.typesys import Stores, get_typestore

    rosbags_store.TIDMAP["char"] = 3  # .msg's char is uint8
    return get_typestore(Stores.ROS2_JAZZY)


def names():
    return sorted(definitions._store())


def random_scalar(base: str, rng: random.Random):
    if base in INTEGERS:
        bits, signed = INTEGERS[base]
        return rng.randrange(-(2**bits) * signed, 2**bits)
    if base == "string":
        return "".join(rng.choices("abcäöü€ ", k=rng.randrange(12)))
    if base == "bool":
        return rng.random() < 0.5
    if base == "byte":
        return bytes([rng.randrange(256)])
    return float(np.float32(rng.uniform(-1e3, 1e3)))


def random_message(name: str, rng: random.Random):
    message = types.message_class(name)()
    for item in definitions.load(name).fields:

        def one(item=item):
            return random_message(item.base, rng) if item.nested else random_scalar(item.base, rng)

        count = item.size if item.kind == "array" else rng.randrange((item.size or 4) + 1)
        setattr(message, item.name, one() if item.kind == "scalar" else [one() for _ in range(count)])
    return message


def as_rosbags(message, store):
    """The same values in rosbags' class: arrays of numbers as numpy, bytes as integers."""
    dtypes = {"bool": np.bool_, "byte": np.uint8}
    values = []
    for item in definitions.load(message._ros_name).fields:
        value = getattr(message, item.name)
        if item.nested:
            value = (
                as_rosbags(value, store) if item.kind == "scalar" else [as_rosbags(v, store) for v in value]
            )
        elif item.kind != "scalar" and item.base != "string":
            flat = [v[0] for v in value] if item.base == "byte" else list(value)
            value = np.array(flat, dtypes.get(item.base, "u1" if item.base == "char" else item.base))
        elif item.base == "byte":
            value = value[0] - 256 * (value[0] > 127)  # rosbags packs a byte as int8
        values.append(value)
    return store.types[message._ros_name](*values)


@pytest.mark.parametrize("name", names())
def test_cdr_and_hash_agree_with_rosbags(name, store):
    rng = random.Random(name)
    for _ in range(3):
        message = random_message(name, rng)
        data = types.serialize(message)
        expected = bytes(store.serialize_cdr(as_rosbags(message, store), name))
        assert bytes(data[: len(expected)]) == expected
        assert len(data) % 4 == 0 and len(data) - len(expected) < 4
        assert types.deserialize(bytes(data), type(message)) == message
        assert types.deserialize(types.serialize(message, bytes(16)), type(message), 16) == message
    assert definitions.type_hash(name) == store.hash_rihs01(name)


def test_type_hashes_of_ros_2_jazzy():
    known = {
        "std_msgs/msg/String": "df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18",
        "sensor_msgs/msg/Image": "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    }
    for name, value in known.items():
        assert definitions.type_hash(name) == f"RIHS01_{value}"


def test_classes_come_from_import_statements():
    from geometry_msgs.msg import Quaternion
    from sensor_msgs.msg import Image, PointField
    from std_srvs.srv import SetBool

    assert Quaternion() == Quaternion(x=0.0, y=0.0, z=0.0, w=1.0)
    assert PointField.FLOAT32 == 7
    assert SetBool.Request(data=True).data is True
    assert Image.get_fields_and_field_types()["data"] == "sequence<uint8>"
    assert copy.deepcopy(Image(height=3)) == Image(height=3) != Image(height=4)
    with pytest.raises(ImportError, match="Imagee"):
        from sensor_msgs.msg import Imagee  # noqa: F401


def test_values_are_checked_on_assignment():
    from sensor_msgs.msg import CameraInfo, Image, JointState

    image = Image()
    image.data = bytes(range(5))
    assert image.data == array("B", range(5))
    image.data = memoryview(b"ab")
    assert image.data.tobytes() == b"ab"
    for field, value, error in (
        ("height", 1.5, AssertionError), ("height", -1, AssertionError),
        ("encoding", b"rgb8", AssertionError),
        ("data", [256], OverflowError), ("data", [1.5], TypeError), ("header", "x", AssertionError),
    ):  # fmt: skip
        with pytest.raises(error, match=field):
            setattr(image, field, value)
    with pytest.raises(AssertionError, match="name"):
        JointState(name=[1, 2])
    with pytest.raises(AssertionError, match="nonsense"):
        Image(nonsense=1)
    info = CameraInfo(k=[float(i) for i in range(9)])
    assert isinstance(info.k, np.ndarray) and info.k.dtype == np.float64
    with pytest.raises(AssertionError, match="length 9"):
        info.k = [1.0]


def test_rubbish_is_refused_not_read():
    from sensor_msgs.msg import Image

    good = bytes(types.serialize(Image(data=bytes(100), encoding="rgb8")))
    for bad in (b"", b"\0\1\0\0", good[:-60], b"\0\3" + good[2:], good[:4] + b"\xff" * 60):
        with pytest.raises(ValueError, match="Image"):
            types.deserialize(bad, Image)


_overlays = itertools.count()


@pytest.fixture
def overlay(tmp_path, monkeypatch):
    """A package as colcon installs one, with its stub on the path: its share folder. Classes are kept for
    ever, so every test has a package of its own."""
    share = tmp_path / "share" / f"toy{next(_overlays)}_msgs"
    texts = {
        "msg/Toy.msg": (
            "# a comment\nint32 MANY=0x10  # hex\nstring NAME='a # b'\nfloat64 gain 2.5\nbool on true\n"
            'string label "hello"\nint32[3] triple [1, 2, 3]\nfloat32[<=2] few\nstring<=5 short\n'
            "std_msgs/Header header\nToy2[] others\nbyte raw 7\n"
        ),
        "msg/Toy2.msg": "",
        "srv/Add.srv": "int64 a\nint64 b\n---\nint64 sum\n",
        "action/Count.action": "int32 upto\n---\nint32[] all\n---\nint32 now\n",
    }
    for path, text in texts.items():
        (share / path).parent.mkdir(parents=True, exist_ok=True)
        (share / path).write_text(text)
    stub = tmp_path / "lib" / share.name / "__init__.py"
    stub.parent.mkdir(parents=True)
    stub.write_text("from embedded_dds.types import install_package\n\ninstall_package(__name__)\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    return share


def test_definition_files_of_an_overlay(overlay):
    msg, srv, action = (
        importlib.import_module(f"{overlay.name}.{kind}") for kind in ("msg", "srv", "action")
    )
    toy = msg.Toy()
    assert (toy.gain, toy.on, toy.label, list(toy.triple), toy.raw) == (2.5, True, "hello", [1, 2, 3], b"\7")
    assert (msg.Toy.MANY, msg.Toy.NAME) == (16, "a # b")
    with pytest.raises(AssertionError, match="few"):
        toy.few = [1.0, 2.0, 3.0]
    with pytest.raises(AssertionError, match="short"):
        toy.short = "too long"
    toy.others, toy.few = [msg.Toy2(), msg.Toy2()], [1.5]
    assert types.deserialize(types.serialize(toy), msg.Toy) == toy
    assert srv.Add.Request(a=1, b=2).b == 2 and srv.Add.Response().sum == 0
    goal = action.Count.Goal(upto=3)
    assert action.Count.Impl.SendGoalService.Request(goal=goal).goal.upto == 3
    assert definitions.interfaces(overlay.name, "msg") == ["Toy", "Toy2"]
    assert overlay.name in definitions.packages() and definitions.exists(f"{overlay.name}/srv/Add")


def test_service_and_action_hashes(overlay):
    path = overlay.parent / "example_interfaces" / "srv" / "AddTwoInts.srv"
    path.parent.mkdir(parents=True)
    path.write_text("int64 a\nint64 b\n---\nint64 sum\n")
    known = "RIHS01_e118de6bf5eeb66a2491b5bda11202e7b68f198d6f67922cf30364858239c81a"
    assert definitions.type_hash("example_interfaces/srv/AddTwoInts") == known
    assert definitions.type_hash(f"{overlay.name}/action/Count").startswith("RIHS01_")


def test_a_bad_definition_names_file_and_line(overlay):
    (overlay / "msg" / "Bad.msg").write_text("int32 fine\nnumber x\n")
    with pytest.raises(definitions.DefinitionError, match=r"Bad\.msg:2: unknown type 'number'"):
        types.message_class(f"{overlay.name}/msg/Bad")


def test_the_raw_dds_type_is_what_the_library_makes_of_it():
    from dataclasses import dataclass

    from cyclonedds.idl import IdlStruct
    from cyclonedds.idl.types import uint8
    from embedded_dds import dds

    namespace = {"__annotations__": {"first": uint8}, "__module__": __name__}
    raw = dataclass(type(IdlStruct)("Raw", (IdlStruct,), namespace, typename="Raw"))
    raw.__idl__.populate()
    raw.__idl__.fill_type_data()
    assert {name: getattr(raw.__idl__, name) for name in dds._RAW_TYPE} == dds._RAW_TYPE


def test_no_type_information_goes_on_the_wire(ros_env):
    """Fast DDS 3 would compare it with its own."""
    from cyclonedds.builtin import BuiltinDataReader, BuiltinTopicDcpsPublication
    from cyclonedds.domain import DomainParticipant
    from embedded_dds import dds

    domain = int(ros_env["ROS_DOMAIN_ID"])
    participant = dds.Participant(domain)
    participant.writer("rt/x", "std_msgs::msg::dds_::String_", dds.Qos())
    participant.writer("rt/y", "std_msgs::msg::dds_::String_", dds.Qos())
    observer = DomainParticipant(domain)
    found = BuiltinDataReader(observer, BuiltinTopicDcpsPublication).read(10)
    assert {(end.topic_name, end.type_id) for end in found} >= {("rt/x", None), ("rt/y", None)}
    participant.close()
