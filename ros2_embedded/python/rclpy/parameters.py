"""What a node knows about its parameters; mixed into `Node`."""

from __future__ import annotations

import contextlib
import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ListParametersResult,
    ParameterDescriptor,
    ParameterEvent,
    ParameterValue,
    SetParametersResult,
)
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameter_events, qos_profile_parameters
from rclpy.validate_parameter_name import validate_parameter_name

if TYPE_CHECKING:
    from rclpy.publisher import Publisher

SetCallback = Callable[[list[Parameter]], SetParametersResult]


REL_TOL = 1e-6  # how close a number must come to an end or a step of its range


def _range_problem(name: str, value: float, limits: IntegerRange | FloatingPointRange) -> str:
    """Why a number is not in a range; empty if it is. Both ends are always in it."""
    low, high = sorted((limits.from_value, limits.to_value))
    if math.isclose(value, low, rel_tol=REL_TOL) or math.isclose(value, high, rel_tol=REL_TOL):
        return ""
    words = f"Min: {low}, Max: {high}, value: {value}"
    if not low < value < high:
        return f"Parameter {name} out of range. {words}"
    if limits.step:
        nearest = low + round((value - low) / limits.step) * limits.step
        if not math.isclose(nearest, value, rel_tol=REL_TOL):
            return f"The parameter value for {name} is not a valid step. {words}, step: {limits.step}"
    return ""


class ParameterMixin:
    """Declares, holds, checks and serves parameters."""

    def _rclpy_init_parameters(self, allow_undeclared: bool) -> None:
        self.__parameters: dict[str, Parameter] = {}
        self.__descriptors: dict[str, ParameterDescriptor] = {}
        self._rclpy_overrides: dict[str, Parameter] = {}
        self.__allow_undeclared_parameters = allow_undeclared
        self.__pre_set: list[Callable[[list[Parameter]], list[Parameter]]] = []
        self.__on_set: list[SetCallback] = []
        self.__post_set: list[Callable[[list[Parameter]], None]] = []
        self.__events: Publisher | None = None

    def _rclpy_start_parameter_events(self) -> None:
        self.__events = self.create_publisher(
            ParameterEvent, "/parameter_events", qos_profile_parameter_events
        )  # type: ignore[attr-defined]

    def declare_parameter(
        self,
        name: str,
        value: Any = None,
        descriptor: ParameterDescriptor | None = None,
        ignore_override: bool = False,
    ) -> Parameter:
        """Declares one parameter. Its type is fixed by `value` (a default, or a Parameter.Type), unless
        `descriptor.dynamic_typing`; launch files and `-p` may override the default."""
        bare = value is None and descriptor is None
        entry = (name,) if bare else (name, value, descriptor or ParameterDescriptor())
        return self.declare_parameters("", [entry], ignore_override)[0]

    def declare_parameters(
        self, namespace: str, parameters: Sequence[tuple[Any, ...]], ignore_override: bool = False
    ) -> list[Parameter]:
        """Declares (name[, value or type[, descriptor]]) tuples, names prefixed with `namespace.`.

        Nothing is declared if a tuple is wrong or a name is declared already; if a value is refused, what
        came before it stays declared."""
        entries = [self.__entry(namespace, *self.__checked_tuple(entry)) for entry in parameters]
        if again := [name for name, _, _ in entries if name in self.__parameters]:
            raise ParameterAlreadyDeclaredException(again)
        declared = []
        for name, value, descriptor in entries:
            override = None if ignore_override else self._rclpy_overrides.get(name)
            parameter = Parameter(name, value=override.value if override else value)
            self.__declare(parameter, descriptor)
            declared.append(self.__parameters[name])
        return declared

    @staticmethod
    def __checked_tuple(entry: tuple[Any, ...]) -> tuple[str, Any, ParameterDescriptor]:
        """Name, value and descriptor of what `declare_parameters` was given; TypeError for what is wrong."""
        if not 1 <= len(entry) <= 3:
            raise TypeError(f"{entry} is not (name[, value or type[, descriptor]])")
        name, value, descriptor = (*entry, None, None)[:3]
        if not isinstance(name, str):
            raise TypeError(f"parameter name {name!r} is not a str")
        if len(entry) == 3 and not isinstance(descriptor, ParameterDescriptor):
            raise TypeError(f"descriptor of parameter {name!r} is {descriptor!r}, not a ParameterDescriptor")
        if len(entry) == 1:
            warnings.warn(
                f"declaring parameter {name!r} without a value is deprecated: give a default, a "
                "Parameter.Type, or a descriptor with dynamic_typing=True",
                stacklevel=4,
            )
            descriptor = ParameterDescriptor(dynamic_typing=True)
        return name, value, descriptor or ParameterDescriptor()

    @staticmethod
    def __entry(
        namespace: str, name: str, value: Any, descriptor: ParameterDescriptor
    ) -> tuple[str, Any, Any]:
        """Full name, default and descriptor with its type; ValueError for contradictions."""
        full = f"{namespace}.{name}" if namespace else name
        validate_parameter_name(full)
        if isinstance(value, Parameter.Type):
            if value == Parameter.Type.NOT_SET:
                raise ValueError(f"parameter {full!r} cannot be of type NOT_SET")
            if descriptor.dynamic_typing:
                raise ValueError(f"parameter {full!r} has dynamic_typing=True and a type as well")
            descriptor.type, value = value.value, None
        elif not descriptor.dynamic_typing:
            descriptor.type = Parameter.Type.from_parameter_value(value).value
            if descriptor.type == Parameter.Type.NOT_SET.value:
                raise ValueError(
                    f"parameter {full!r} needs a default that is not PARAMETER_NOT_SET, or a type"
                )
        return full, value, descriptor

    def __declare(self, parameter: Parameter, descriptor: ParameterDescriptor) -> None:
        descriptor.name = parameter.name
        if not descriptor.dynamic_typing and parameter.type_.value not in (0, descriptor.type):
            raise InvalidParameterTypeException(parameter, Parameter.Type(descriptor.type).name)
        problem = self.__problem(parameter, descriptor) or self.__rejected([parameter])
        if problem:
            raise InvalidParameterValueException(parameter.name, parameter.value, problem)
        self.__descriptors[parameter.name] = descriptor
        self.__store([parameter], declaring=True)

    def undeclare_parameter(self, name: str) -> None:
        if name not in self.__parameters:
            raise ParameterNotDeclaredException(name)
        if self.__descriptors[name].read_only:
            raise ParameterImmutableException(name)
        del self.__parameters[name], self.__descriptors[name]

    def has_parameter(self, name: str) -> bool:
        return name in self.__parameters

    def get_parameter(self, name: str) -> Parameter:
        """The parameter; ParameterNotDeclaredException or, for a declared one without value,
        ParameterUninitializedException."""
        if name not in self.__parameters:
            if self.__allow_undeclared_parameters:
                return Parameter(name)
            raise ParameterNotDeclaredException(name)
        found = self.__parameters[name]
        if found.type_ == Parameter.Type.NOT_SET and not self.__descriptors[name].dynamic_typing:
            raise ParameterUninitializedException(name)
        return found

    def get_parameters(self, names: list[str]) -> list[Parameter]:
        if not all(isinstance(name, str) for name in names):
            raise TypeError("All names must be instances of type str")
        return [self.get_parameter(name) for name in names]

    def get_parameter_or(self, name: str, alternative_value: Parameter | None = None) -> Parameter:
        if name in self.__parameters and self.__parameters[name].type_ != Parameter.Type.NOT_SET:
            return self.__parameters[name]
        return alternative_value or Parameter(name)

    def get_parameter_type(self, name: str) -> int | Parameter.Type:
        """The number of the type, as in messages; Parameter.Type.NOT_SET for an undeclared parameter where
        those are allowed."""
        if name in self.__parameters:
            return self.__parameters[name].type_.value
        return self.get_parameter(name).type_

    def get_parameter_types(self, names: list[str]) -> list[int | Parameter.Type]:
        if not all(isinstance(name, str) for name in names):
            raise TypeError("All names must be instances of type str")
        return [self.get_parameter_type(name) for name in names]

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        start = f"{prefix}." if prefix else ""
        return {n.removeprefix(start): p for n, p in self.__parameters.items() if n.startswith(start)}

    def describe_parameter(self, name: str) -> ParameterDescriptor:
        if name not in self.__descriptors:
            if self.__allow_undeclared_parameters:
                return ParameterDescriptor()
            raise ParameterNotDeclaredException(name)
        return self.__descriptors[name]

    def describe_parameters(self, names: list[str]) -> list[ParameterDescriptor]:
        return [self.describe_parameter(name) for name in names]

    def set_descriptor(
        self, name: str, descriptor: ParameterDescriptor, alternative_value: ParameterValue | None = None
    ) -> ParameterValue:
        """Replaces a descriptor; the value stays if it complies, else it becomes the alternative, else this
        raises InvalidParameterValueException."""
        if name not in self.__parameters:
            return self.get_parameter(name).get_parameter_value()
        if self.__descriptors[name].read_only:
            raise ParameterImmutableException(name)
        descriptor.name = name
        candidates = [self.get_parameter(name)]
        if alternative_value is not None:
            candidates.append(Parameter.from_parameter_msg(ParameterMsg(name=name, value=alternative_value)))
        problem = ""
        for parameter in candidates:
            problem = self.__problem(parameter, descriptor)
            if not problem:
                self.__parameters[name], self.__descriptors[name] = parameter, descriptor
                return parameter.get_parameter_value()
        raise InvalidParameterValueException(name, parameter.value, problem)

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Sets one by one, a result each. ParameterNotDeclaredException for an undeclared one: those before
        it stay set, those after it are not tried."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Sets all or none; ParameterNotDeclaredException if one is undeclared."""
        if self.__pre_set:
            parameter_list = [parameter for change in self.__pre_set for parameter in change(parameter_list)]
            if not parameter_list:
                return SetParametersResult(reason="parameter list empty after pre-set callbacks")
        self.__check_declared(parameter_list)
        known = self.__descriptors
        problems = (self.__problem(p, known[p.name], is_set=True) for p in parameter_list if p.name in known)
        problem = next(filter(None, problems), "") or self.__rejected(parameter_list)
        if problem:
            return SetParametersResult(reason=problem)
        self.__store(parameter_list)
        return SetParametersResult(successful=True)

    def __check_declared(self, parameters: list[Parameter]) -> None:
        if not all(isinstance(parameter, Parameter) for parameter in parameters):
            raise TypeError("parameter must be instance of type 'rclpy.parameter.Parameter'")
        missing = [p.name for p in parameters if p.name not in self.__parameters]
        if missing and not self.__allow_undeclared_parameters:
            raise ParameterNotDeclaredException(missing)

    @staticmethod
    def __problem(parameter: Parameter, descriptor: ParameterDescriptor, is_set: bool = False) -> str:
        """Why a value does not comply with a descriptor; empty if it does. `is_set`: it is there already."""
        if is_set and descriptor.read_only:
            return f"Trying to set a read-only parameter: {parameter.name}."
        if descriptor.dynamic_typing:
            descriptor.type = parameter.type_.value
        elif is_set and parameter.type_ == Parameter.Type.NOT_SET:
            return "Static parameter cannot be undeclared"
        elif parameter.type_.value not in (0, descriptor.type):
            expected = Parameter.Type(descriptor.type)
            return f"Wrong parameter type, expected '{expected}' got '{parameter.type_}'"
        limits = {
            Parameter.Type.INTEGER: descriptor.integer_range,
            Parameter.Type.DOUBLE: descriptor.floating_point_range,
        }.get(parameter.type_)
        return _range_problem(parameter.name, parameter.value, limits[0]) if limits else ""

    def __rejected(self, parameters: list[Parameter]) -> str:
        """Why a callback refuses; empty if none does."""
        for callback in self.__on_set:
            result = callback(parameters)
            if not isinstance(result, SetParametersResult):
                return f"Callback returned an invalid type, {result!r} is no SetParametersResult"
            if not result.successful:
                return result.reason or "rejected by a callback"
        return ""

    def __store(self, parameters: list[Parameter], declaring: bool = False) -> None:
        """Stores values and publishes the event; a value of None undeclares, unless that is the default."""
        event = ParameterEvent(node=self.get_fully_qualified_name(), stamp=self.get_clock().now().to_msg())  # type: ignore[attr-defined]
        for parameter in parameters:
            name, message = parameter.name, parameter.to_parameter_msg()
            if parameter.type_ == Parameter.Type.NOT_SET and not declaring:
                event.deleted_parameters.append(message)
                self.__parameters.pop(name, None)
                self.__descriptors.pop(name, None)
                continue
            self.__descriptors.setdefault(name, ParameterDescriptor(name=name, dynamic_typing=True))
            is_new = self.get_parameter_or(name).type_ == Parameter.Type.NOT_SET
            (event.new_parameters if is_new else event.changed_parameters).append(message)
            self.__parameters[name] = parameter
        if self.__events is not None and self.context.ok():  # type: ignore[attr-defined]
            self.__events.publish(event)
        for callback in self.__post_set:
            callback(parameters)

    # The callback that was added last is called first.

    def add_pre_set_parameters_callback(self, callback: Callable[[list[Parameter]], list[Parameter]]) -> None:
        """Changes what is to be set: every callback gets the list, all that they return is set."""
        self.__pre_set.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: SetCallback) -> None:
        """Accepts or refuses what is to be set or declared."""
        if not callable(callback):
            raise TypeError(f"Callback must be callable, got {callback!r}")
        self.__on_set.insert(0, callback)

    def add_post_set_parameters_callback(self, callback: Callable[[list[Parameter]], None]) -> None:
        """Hears what was set or declared."""
        if not callable(callback):
            raise TypeError(f"Callback must be callable, got {callback!r}")
        self.__post_set.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: Callable) -> None:
        self.__pre_set.remove(callback)

    def remove_on_set_parameters_callback(self, callback: SetCallback) -> None:
        self.__on_set.remove(callback)

    def remove_post_set_parameters_callback(self, callback: Callable) -> None:
        self.__post_set.remove(callback)

    def list_parameters(self, prefixes: list[str], depth: int) -> ListParametersResult:
        """Names below `prefixes` (none: all), at most `depth` levels deep (0: all)."""
        if not isinstance(prefixes, list) or not all(isinstance(prefix, str) for prefix in prefixes):
            raise TypeError(f"The prefixes argument must be a list of str, not {prefixes!r}")
        if not isinstance(depth, int):
            raise TypeError(f"The depth must be instance of type int, not {depth!r}")
        if depth < 0:
            raise ValueError(f"The depth must be greater than or equal to zero, not {depth}")

        def below(name: str, prefix: str) -> bool:
            start = f"{prefix}." if prefix else ""
            shallow = depth == 0 or name.removeprefix(start).count(".") < depth
            return name == prefix or (name.startswith(start) and shallow)

        result = ListParametersResult()
        for name in self.__parameters:
            if any(below(name, prefix) for prefix in prefixes or [""]):
                result.names.append(name)
                parent = name.rpartition(".")[0]
                if parent and parent not in result.prefixes:
                    result.prefixes.append(parent)
        return result

    def _rclpy_start_parameter_services(self) -> None:
        serve = functools.partial(self.create_service, qos_profile=qos_profile_parameters)  # type: ignore[attr-defined]
        name = self.get_name()  # type: ignore[attr-defined]
        serve(DescribeParameters, f"{name}/describe_parameters", self.__on_describe)
        serve(GetParameters, f"{name}/get_parameters", self.__on_get)
        serve(GetParameterTypes, f"{name}/get_parameter_types", self.__on_get_types)
        serve(ListParameters, f"{name}/list_parameters", self.__on_list)
        serve(SetParameters, f"{name}/set_parameters", self.__on_set_service)
        serve(SetParametersAtomically, f"{name}/set_parameters_atomically", self.__on_set_atomically)

    # A request that names one unknown parameter gets an empty answer.

    def __on_describe(self, request: Any, response: Any) -> Any:
        with contextlib.suppress(ParameterNotDeclaredException):
            response.descriptors = self.describe_parameters(request.names)
        return response

    def __on_get(self, request: Any, response: Any) -> Any:
        with contextlib.suppress(ParameterNotDeclaredException, ParameterUninitializedException):
            response.values = [p.get_parameter_value() for p in self.get_parameters(request.names)]
        return response

    def __on_get_types(self, request: Any, response: Any) -> Any:
        with contextlib.suppress(ParameterNotDeclaredException):
            kinds = self.get_parameter_types(request.names)
            response.types = [kind.value if isinstance(kind, Parameter.Type) else kind for kind in kinds]
        return response

    def __on_list(self, request: Any, response: Any) -> Any:
        response.result = self.list_parameters(request.prefixes, request.depth)
        return response

    def __on_set_service(self, request: Any, response: Any) -> Any:
        for message in request.parameters:
            response.results.append(self.__set_declared([Parameter.from_parameter_msg(message)]))
        return response

    def __on_set_atomically(self, request: Any, response: Any) -> Any:
        response.result = self.__set_declared([Parameter.from_parameter_msg(m) for m in request.parameters])
        return response

    def __set_declared(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            return self.set_parameters_atomically(parameters)
        except ParameterNotDeclaredException as error:
            return SetParametersResult(reason=str(error))
