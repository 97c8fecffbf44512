"""Parameters: named, typed values."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue

from rclpy import arguments

PARAMETER_SEPARATOR_STRING = "."

_FIELDS = {
    1: "bool_value", 2: "integer_value", 3: "double_value", 4: "string_value", 5: "byte_array_value",
    6: "bool_array_value", 7: "integer_array_value", 8: "double_array_value", 9: "string_array_value",
}  # fmt: skip


class Parameter:
    class Type(IntEnum):
        NOT_SET = ParameterType.PARAMETER_NOT_SET
        BOOL = ParameterType.PARAMETER_BOOL
        INTEGER = ParameterType.PARAMETER_INTEGER
        DOUBLE = ParameterType.PARAMETER_DOUBLE
        STRING = ParameterType.PARAMETER_STRING
        BYTE_ARRAY = ParameterType.PARAMETER_BYTE_ARRAY
        BOOL_ARRAY = ParameterType.PARAMETER_BOOL_ARRAY
        INTEGER_ARRAY = ParameterType.PARAMETER_INTEGER_ARRAY
        DOUBLE_ARRAY = ParameterType.PARAMETER_DOUBLE_ARRAY
        STRING_ARRAY = ParameterType.PARAMETER_STRING_ARRAY

        @classmethod
        def from_parameter_value(cls, value: Any) -> Parameter.Type:
            """The type a Python value has; TypeError if there is none."""
            scalars = {bool: cls.BOOL, int: cls.INTEGER, float: cls.DOUBLE, str: cls.STRING}
            if value is None:
                return cls.NOT_SET
            for kind, found in scalars.items():
                if isinstance(value, kind):
                    return found
            if isinstance(value, array):
                return cls.DOUBLE_ARRAY if value.typecode in "fd" else cls.INTEGER_ARRAY
            if isinstance(value, list | tuple):
                if all(isinstance(item, bytes) for item in value):
                    return cls.BYTE_ARRAY
                arrays = {
                    bool: cls.BOOL_ARRAY,
                    int: cls.INTEGER_ARRAY,
                    float: cls.DOUBLE_ARRAY,
                    str: cls.STRING_ARRAY,
                }
                for kind, found in arrays.items():
                    if all(
                        type(item) is kind or (kind is not int and isinstance(item, kind)) for item in value
                    ):
                        return found
                raise TypeError(f"The given value is not a list of one of the allowed types '{value}'.")
            raise TypeError(f"The given value is not one of the allowed types '{value}'.")

        def check(self, parameter_value: Any) -> bool:
            if self == Parameter.Type.NOT_SET:
                return parameter_value is None
            try:
                found = Parameter.Type.from_parameter_value(parameter_value)
            except TypeError:
                return False
            empty = (
                isinstance(parameter_value, list | tuple)
                and not parameter_value
                and self >= Parameter.Type.BYTE_ARRAY
            )
            return found == self or empty

    def __init__(self, name: str, type_: Parameter.Type | None = None, value: Any = None) -> None:
        if type_ is None:
            type_ = Parameter.Type.from_parameter_value(value)
        if not isinstance(type_, Parameter.Type):
            raise TypeError("type must be an instance of 'Parameter.Type'")
        if not type_.check(value):
            raise ValueError(f"Type '{type_}' and value '{value}' do not agree")
        self._name, self._type, self._value = name, type_, value

    @classmethod
    def from_parameter_msg(cls, param_msg: ParameterMsg) -> Parameter:
        value = parameter_value_to_python(param_msg.value)
        return cls(param_msg.name, Parameter.Type(param_msg.value.type), value)

    @property
    def name(self) -> str:
        return self._name

    @property
    def type_(self) -> Parameter.Type:
        return self._type

    @property
    def value(self) -> Any:
        return self._value

    def get_parameter_value(self) -> ParameterValue:
        message = ParameterValue(type=int(self._type))
        if self._type != Parameter.Type.NOT_SET:
            value = list(self._value) if isinstance(self._value, tuple) else self._value
            setattr(message, _FIELDS[self._type], value)
        return message

    def to_parameter_msg(self) -> ParameterMsg:
        return ParameterMsg(name=self._name, value=self.get_parameter_value())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameter):
            return NotImplemented
        return (self._name, self._type, self._value) == (other._name, other._type, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Parameter(name={self._name!r}, type={self._type.name}, value={self._value!r})"


def parameter_value_to_python(parameter_value: ParameterValue) -> Any:
    """The plain value in a message; RuntimeError for an unknown type."""
    if parameter_value.type == ParameterType.PARAMETER_NOT_SET:
        return None
    if parameter_value.type not in _FIELDS:
        raise RuntimeError(f"unexpected parameter type {parameter_value.type}")
    value = getattr(parameter_value, _FIELDS[parameter_value.type])
    return list(value) if isinstance(value, array) else value


def get_parameter_value(string_value: str) -> ParameterValue:
    """A value as typed on a command line (YAML) as a message."""
    value = arguments.parse_value(string_value)
    try:
        return Parameter("", value=value).get_parameter_value()
    except (TypeError, AssertionError):
        return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=string_value)


def parameter_dict_from_yaml_file(
    parameter_file: str | Path,
    use_wildcard: bool = False,
    target_nodes: Sequence[str] | None = None,
    namespace: str = "",
) -> dict[str, ParameterMsg]:
    """Parameters of a YAML file as messages by name; for `target_nodes` only, if given."""
    found: dict[str, ParameterMsg] = {}
    wanted = (
        None
        if target_nodes is None
        else {name if name.startswith("/") else f"/{name}" for name in target_nodes}
    )
    for pattern, name, value in arguments.load_parameter_file(parameter_file):
        full = pattern if pattern.startswith("/") else f"/{pattern}"
        if full == "/**" and not use_wildcard:
            continue
        if full != "/**" and wanted is not None and full not in wanted:
            continue
        key = f"{namespace}{PARAMETER_SEPARATOR_STRING}{name}" if namespace else name
        found[key] = Parameter(key, value=value).to_parameter_msg()
    return found
