"""Parameters: named, typed values."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue

PARAMETER_SEPARATOR_STRING = "."

_FIELDS = {
    1: "bool_value", 2: "integer_value", 3: "double_value", 4: "string_value", 5: "byte_array_value",
    6: "bool_array_value", 7: "integer_array_value", 8: "double_array_value", 9: "string_array_value",
}  # fmt: skip


# Which list has which type; an empty one fits the first.
_ELEMENTS = {
    bytes: "BYTE_ARRAY", bool: "BOOL_ARRAY", int: "INTEGER_ARRAY", float: "DOUBLE_ARRAY", str: "STRING_ARRAY",
}  # fmt: skip


class Parameter:
    class Type(Enum):
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
            if isinstance(value, list | tuple | array):
                for kind, found in _ELEMENTS.items():
                    if all(isinstance(item, kind) for item in value):
                        return cls[found]
                raise TypeError(f"The given value is not a list of one of the allowed types '{value}'.")
            raise TypeError(f"The given value is not one of the allowed types '{value}'.")

        def check(self, parameter_value: Any) -> bool:
            """Whether a Python value has this type."""
            scalars = {"NOT_SET": type(None), "BOOL": bool, "INTEGER": int, "DOUBLE": float, "STRING": str}
            if self.name in scalars:
                return isinstance(parameter_value, scalars[self.name])
            element = next(kind for kind, name in _ELEMENTS.items() if name == self.name)
            arrays = (list, tuple, array) if element in (int, float) else (list, tuple)
            return (
                isinstance(parameter_value, arrays)
                and all(isinstance(item, element) for item in parameter_value)
                and (element is not bytes or all(len(item) == 1 for item in parameter_value))
            )

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
        kind = Parameter.Type(param_msg.value.type)
        value = getattr(param_msg.value, _FIELDS[kind.value]) if kind != Parameter.Type.NOT_SET else None
        return cls(param_msg.name, kind, value)

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
        message = ParameterValue(type=self._type.value)
        if self._type != Parameter.Type.NOT_SET:
            setattr(message, _FIELDS[self._type.value], self._value)
        return message

    def to_parameter_msg(self) -> ParameterMsg:
        return ParameterMsg(name=self._name, value=self.get_parameter_value())

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
    """A value as typed by hand (YAML) as a message; what is nothing else is a string."""
    try:
        value = yaml.safe_load(string_value)
    except yaml.YAMLError:
        value = None
    value = string_value if value is None else value
    try:
        return Parameter("", value=value if value != [] else [False]).get_parameter_value()
    except (TypeError, AssertionError):
        return Parameter("", value=string_value).get_parameter_value()


def parameter_dict_from_yaml_file(
    parameter_file: str | Path,
    use_wildcard: bool = False,
    target_nodes: Sequence[str] | None = None,
    namespace: str = "",
) -> dict[str, ParameterMsg]:
    """Parameters of a YAML file as messages by name, which `namespace` is put before.

    Those of all nodes, or of `target_nodes` as the file names them, and of `/**` with `use_wildcard`.
    RuntimeError for nodes that are not there and for what is no parameter file."""
    sections = yaml.safe_load(Path(parameter_file).read_text()) or {}
    names = [name for name in target_nodes or sections if name != "/**"]
    if missing := [name for name in names if name not in sections]:
        there = ", ".join(map(str, sections))
        raise RuntimeError(f"{parameter_file} has no parameters for {missing[0]}, only for: {there}")
    if use_wildcard and "/**" in sections:
        names.insert(0, "/**")
    if not names:
        raise RuntimeError(f"{parameter_file} has none of the parameters that were selected")
    found: dict[str, ParameterMsg] = {}
    for node in names:
        section = sections[node]
        if not isinstance(section, dict) or "ros__parameters" not in section:
            raise RuntimeError(f"{parameter_file} is not a valid ROS parameter file for node {node}")
        for name, value in _flatten(section["ros__parameters"] or {}, namespace).items():
            found[name] = ParameterMsg(name=name, value=get_parameter_value(str(value)))
    return found


def _flatten(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Nested mappings as one, names joined with dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= (
            _flatten(value, f"{name}{PARAMETER_SEPARATOR_STRING}")
            if isinstance(value, dict)
            else {name: value}
        )
    return flat
