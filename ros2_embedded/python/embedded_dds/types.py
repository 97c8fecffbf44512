"""Python classes of ROS interfaces, made from their definitions when first asked for.

Messages behave like those that `rosidl_generator_py` writes: keyword constructors, fields checked on
assignment,
`array.array` for sequences of numbers, `numpy.ndarray` for fixed-size arrays of numbers, lists for the rest.
"""

from __future__ import annotations

import functools
import operator
import sys
import types
from array import array
from collections import UserList
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from embedded_dds import cdr
from embedded_dds.definitions import DefinitionError, Field, exists, interfaces, load

_BITS = {
    "int8": 7,
    "uint8": 8,
    "char": 8,
    "int16": 15,
    "uint16": 16,
    "int32": 31,
    "uint32": 32,
    "int64": 63,
    "uint64": 64,
}
_SPELLING = {"float32": "float", "float64": "double", "bool": "boolean", "byte": "octet", "char": "uint8"}
_NUMBERS = frozenset(cdr.FORMATS) - {"bool", "byte"}


def _check(base: str, bound: int) -> tuple[str, Callable[[Any], bool]]:
    """What a value of a scalar or message type must be: words for the error and a predicate."""
    if "/" in base:
        cls = message_class(base)
        return f"a sub message of type '{cls.__name__}'", lambda v: isinstance(v, cls)
    if base == "string":
        words = "of type 'str'" + (f" and not longer than {bound}" if bound else "")
        return words, lambda v: isinstance(v, str) and (not bound or len(v) <= bound)
    if base == "bool":
        return "of type 'bool'", lambda v: isinstance(v, bool)
    if base == "byte":
        return "of type 'bytes' and of length 1", lambda v: isinstance(v, bytes | bytearray) and len(v) == 1
    if base.startswith("float"):
        return "of type 'float'", lambda v: isinstance(v, float)
    low, high = (0 if base[0] in "uc" else -(2 ** _BITS[base])), 2 ** _BITS[base]
    return f"an integer in [{low}, {high - 1}]", lambda v: isinstance(v, int) and low <= v < high


def _scalar_setter(slot: str, item: Field) -> Callable[[Any, Any], None]:
    words, good = _check(item.base, item.bound)

    def assign(self: Any, value: Any) -> None:
        assert good(value), f"The '{item.name}' field must be {words}, not {value!r:.80}"
        setattr(self, slot, value)

    return assign


def _array(code: str, value: Any) -> array:
    """An array.array of a sequence of numbers; TypeError and OverflowError as of array.array."""
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.dtype(code):
        return array(code, value.tobytes())
    if code == "B" and isinstance(value, memoryview) and value.format == "B":
        return array(code, bytes(value))
    if isinstance(value, bytes | bytearray | memoryview) and code != "B":
        raise TypeError("bytes are numbers for uint8 only")
    return array(code, value)


def _numbers_setter(slot: str, item: Field) -> Callable[[Any, Any], None]:
    """Sequences of numbers take whatever array.array does (numpy arrays, integers for floats), fixed arrays
    whatever numpy does, as in ROS 2 from Jazzy on; the values are copied."""
    words, _ = _check(item.base, item.bound)
    code = cdr.FORMATS[item.base]

    def refuse(value: Any, error: Exception) -> Exception:
        return type(error)(f"The '{item.name}' field takes numbers, each {words}, not {value!r:.80}: {error}")

    def assign_sequence(self: Any, value: Any) -> None:
        try:
            made = _array(code, value)
        except (TypeError, OverflowError, ValueError) as error:
            raise refuse(value, error) from None
        limit = f"The '{item.name}' field must be a sequence of at most {item.size}, not of {len(made)}"
        assert not item.size or len(made) <= item.size, limit
        setattr(self, slot, made)

    def assign_array(self: Any, value: Any) -> None:
        try:
            made = np.array(value if isinstance(value, np.ndarray) else list(value), code)
        except (TypeError, OverflowError, ValueError) as error:
            raise refuse(value, error) from None
        assert made.shape == (item.size,), (
            f"The '{item.name}' field must be a sequence of length {item.size}, not of shape {made.shape}"
        )
        setattr(self, slot, made)

    return assign_array if item.kind == "array" else assign_sequence


def _many_setter(slot: str, item: Field) -> Callable[[Any, Any], None]:
    """Lists of bools, bytes, strings and messages; every element is checked."""
    words, good = _check(item.base, item.bound)
    size_words = {
        "array": f" of length {item.size}",
        "sequence": f" of at most {item.size}" if item.size else "",
    }
    problem = f"The '{item.name}' field must be a sequence{size_words[item.kind]}, each element {words}, not "

    def assign(self: Any, value: Any) -> None:
        size = len(value) if hasattr(value, "__len__") else -1
        fits = (
            size == item.size if item.kind == "array" else size >= 0 and (not item.size or size <= item.size)
        )
        assert fits, problem + f"{value!r:.80} ({size} elements)"
        listlike = isinstance(value, Sequence | AbstractSet | UserList) and not isinstance(value, str)
        assert listlike and all(map(good, value)), problem + f"{value!r:.80}"
        setattr(self, slot, list(value))

    return assign


def _default(item: Field) -> Callable[[], Any]:
    """Makes a field's initial value."""
    number, code, default = item.base in _NUMBERS, cdr.FORMATS.get(item.base, ""), item.default
    if item.kind == "sequence":
        return (lambda: array(code, default or ())) if number else (lambda: list(default or ()))
    zero: Callable[[], Any]
    if item.nested:
        zero = message_class(item.base)
    elif item.base == "string":
        zero = str
    else:
        value = {"bool": False, "byte": b"\0"}.get(item.base, 0.0 if item.base.startswith("float") else 0)
        zero = lambda: value  # noqa: E731
    if item.kind == "array":
        if number:
            return lambda: np.array(default, code) if default else np.zeros(item.size, code)
        return lambda: list(default) if default else [zero() for _ in range(item.size)]
    return zero if default is None else lambda: default


def _spelling(item: Field) -> str:
    name = item.base.replace("/msg/", "/").replace("/action/", "/").replace("/srv/", "/")
    name = _SPELLING.get(name, name) + (f"<{item.bound}>" if item.bound else "")
    if item.kind == "array":
        return f"{name}[{item.size}]"
    if item.kind == "sequence":
        return f"sequence<{name}, {item.size}>" if item.size else f"sequence<{name}>"
    return name


class MessageBase:
    """What all message classes share; `_ros_name` is the full name, `_slots` the attribute names in order."""

    __slots__ = ()
    _ros_name = ""
    _fields_and_field_types: dict[str, str] = {}  # noqa: RUF012
    _defaults: tuple[tuple[str, Callable[[], Any]], ...] = ()

    def __init__(self, **kwargs: Any) -> None:
        for slot, make in self._defaults:
            setattr(self, slot, make())
        for key, value in kwargs.items():
            assert key in self._fields_and_field_types, f"Invalid arguments passed to constructor: {key}"
            setattr(self, key, value)

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        return dict(cls._fields_and_field_types)

    def __repr__(self) -> str:
        values = ", ".join(
            f"{name}={_text(getattr(self, name))}"
            for name in self._fields_and_field_types
            if name != "structure_needs_at_least_one_member"
        )
        return f"{type(self).__module__}.{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
            for a, b in zip(_values(self), _values(other), strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


def _text(value: Any) -> str:
    return repr(value.tolist()) if isinstance(value, array) else repr(value)


def _values(message: MessageBase) -> list[Any]:
    return [getattr(message, slot) for slot in message.__slots__]


@functools.cache
def message_class(name: str) -> type[MessageBase]:
    """The class of message `name`, e.g. sensor_msgs/msg/Image; DefinitionError if there is none."""
    message = load(name)
    package, kind, short = name.split("/")
    body: dict[str, Any] = {constant: value for constant, _, value in message.constants}
    for item in message.fields:
        slot = f"_{item.name}"
        many = _numbers_setter if item.base in _NUMBERS else _many_setter
        setter = _scalar_setter if item.kind == "scalar" else many
        body[item.name] = property(operator.attrgetter(slot), setter(slot, item))
    body |= {
        "__slots__": tuple(f"_{item.name}" for item in message.fields),
        "__module__": f"{package}.{kind}",
        "_ros_name": name,
        "_fields_and_field_types": {item.name: _spelling(item) for item in message.fields},
        "_defaults": tuple((f"_{item.name}", _default(item)) for item in message.fields),
    }
    return type(short, (MessageBase,), body)


@functools.cache
def service_class(name: str) -> type:
    """The class of service `name` with Request, Response and Event, e.g. std_srvs/srv/Trigger."""
    package, kind, short = name.split("/")
    parts = {part: message_class(f"{name}_{part}") for part in ("Request", "Response", "Event")}
    return type(short, (), {"__module__": f"{package}.{kind}", "_ros_name": name, **parts})


@functools.cache
def action_class(name: str) -> type:
    """The class of action `name` with Goal, Result, Feedback and the implied types in Impl."""
    package, kind, short = name.split("/")
    impl = type("Impl", (), {
        "SendGoalService": service_class(f"{name}_SendGoal"),
        "GetResultService": service_class(f"{name}_GetResult"),
        "FeedbackMessage": message_class(f"{name}_FeedbackMessage"),
        "CancelGoalService": service_class("action_msgs/srv/CancelGoal"),
        "GoalStatusMessage": message_class("action_msgs/msg/GoalStatusArray"),
    })  # fmt: skip
    parts = {part: message_class(f"{name}_{part}") for part in ("Goal", "Result", "Feedback")}
    return type(short, (), {"__module__": f"{package}.{kind}", "_ros_name": name, "Impl": impl, **parts})


def interface_class(name: str) -> type:
    """The class of a message, service or action by full name."""
    makers = {"msg": message_class, "srv": service_class, "action": action_class}
    kind = name.split("/")[1] if name.count("/") == 2 else ""
    if kind not in makers:
        raise DefinitionError(f"{name!r} is not an interface name such as sensor_msgs/msg/Image")
    return makers[kind](name)


@functools.cache
def _codec(name: str) -> tuple[Callable, Callable]:
    return cdr.make_writer(name, message_class), cdr.make_reader(name, message_class)


def serialize(message: MessageBase, prefix: bytes = b"") -> memoryview:
    """CDR of a message with its 4-byte encapsulation header, padded to 4 bytes; `prefix` (a multiple of 8
    bytes) goes between header and body."""
    buffer = bytearray(b"\0\0\0\0" + cdr.HEADER)
    buffer += prefix
    _codec(message._ros_name)[0](message, buffer)
    if rest := -len(buffer) & 3:
        buffer += bytes(rest)
    return memoryview(buffer)[4:]


def deserialize(data: bytes | memoryview, cls: type[MessageBase], skip: int = 0) -> Any:
    """A message from CDR with encapsulation header; the first `skip` bytes of the body are left out.

    Raises ValueError if the bytes are no message of that class."""
    body = memoryview(data)
    if len(body) < 4 or body[0] != 0 or body[1] != 1:
        raise ValueError(f"{cls._ros_name}: not little-endian plain CDR: {bytes(body[:4]).hex()}")
    try:
        return _codec(cls._ros_name)[1](body[4:], skip)[0]
    except (cdr.struct.error, ValueError) as error:
        raise ValueError(f"{len(body)} bytes are no {cls._ros_name}: {error}") from None


def dds_type_name(name: str) -> str:
    """The name DDS peers use: sensor_msgs::msg::dds_::Image_."""
    package, kind, short = name.split("/")
    return f"{package}::{kind}::dds_::{short}_"


def ros_type_name(dds_name: str) -> str:
    """The inverse of `dds_type_name`; names that are none come back unchanged."""
    package, found, rest = dds_name.partition("::")
    kind, _, short = rest.partition("::dds_::")
    return f"{package}/{kind}/{short.removesuffix('_')}" if found and short else dds_name


def install_package(package: str) -> None:
    """Registers `package.msg`, `.srv` and `.action`; called by the package's stub `__init__.py`."""
    for kind in ("msg", "srv", "action"):
        name = f"{package}.{kind}"
        module = types.ModuleType(
            name, f"{kind} interfaces of {package}, made from their definitions on first use."
        )

        def get(attribute: str, module: types.ModuleType = module, kind: str = kind) -> type:
            if attribute == "__all__":
                return interfaces(package, kind)  # type: ignore[return-value]
            full = f"{package}/{kind}/{attribute}"
            base, _, part = attribute.rpartition("_")
            try:
                known = (
                    kind != "msg"
                    and bool(base)
                    and part in ("Request", "Response", "Event", "Goal", "Result", "Feedback")
                )
                cls = message_class(full) if known else interface_class(full) if exists(full) else None
            except DefinitionError:
                cls = None
            if cls is None:
                names = ", ".join(interfaces(package, kind)) or "nothing"
                raise AttributeError(f"module {module.__name__!r} has no {attribute!r}; it has {names}")
            setattr(module, attribute, cls)
            return cls

        module.__getattr__ = get  # type: ignore[method-assign]
        module.__path__ = []  # type: ignore[attr-defined]
        sys.modules[name] = module
        setattr(sys.modules[package], kind, module)
