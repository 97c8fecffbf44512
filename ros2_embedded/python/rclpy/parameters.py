"""What a node knows about its parameters; mixed into `Node`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    ListParametersResult,
    ParameterDescriptor,
    ParameterEvent,
    SetParametersResult,
)
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)

from rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameter_events, qos_profile_parameters

if TYPE_CHECKING:
    from rclpy.publisher import Publisher

SetCallback = Callable[[list[Parameter]], SetParametersResult]


def _step_ok(value: float, low: float, high: float, step: float) -> bool:
    if step == 0 or abs(value - high) <= 1e-9 * max(1.0, abs(high)):
        return True
    ratio = (value - low) / step
    return abs(ratio - round(ratio)) <= 1e-6


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
        """Declares one parameter. Its type is fixed by `value` (a default, or a Parameter.Type) or the
        descriptor, unless `descriptor.dynamic_typing`; launch files and `-p` may override the default."""
        return self.declare_parameters(
            "", [(name, value, descriptor or ParameterDescriptor())], ignore_override
        )[0]

    def declare_parameters(
        self, namespace: str, parameters: Sequence[tuple[Any, ...]], ignore_override: bool = False
    ) -> list[Parameter]:
        """Declares (name[, value[, descriptor]]) tuples, names prefixed with `namespace.`."""
        return [self.__declare(namespace, *entry, ignore_override=ignore_override) for entry in parameters]

    def __declare(
        self,
        namespace: str,
        name: str,
        value: Any = None,
        descriptor: ParameterDescriptor | None = None,
        *,
        ignore_override: bool = False,
    ) -> Parameter:
        full = f"{namespace}.{name}" if namespace else name
        if not isinstance(name, str) or not full:
            raise InvalidParameterException(str(full))
        if full in self.__parameters:
            raise ParameterAlreadyDeclaredException(full)
        descriptor = descriptor or ParameterDescriptor()
        if not isinstance(descriptor, ParameterDescriptor):
            raise TypeError(f"descriptor of parameter {full!r} is {descriptor!r}, not a ParameterDescriptor")
        descriptor.name = full
        if isinstance(value, Parameter.Type):
            descriptor.type, value = int(value), None
        if value is None and descriptor.type == 0:
            descriptor.dynamic_typing = True
        default = Parameter(full, value=value)
        parameter = default if ignore_override else self._rclpy_overrides.get(full, default)
        if descriptor.dynamic_typing:
            descriptor.type = 0
        elif descriptor.type == 0:
            descriptor.type = int(default.type_)
        parameter = self.__fit_empty(parameter, descriptor)
        if value is None and parameter is default:
            self.__parameters[full], self.__descriptors[full] = parameter, descriptor
            return parameter
        if not descriptor.dynamic_typing and parameter.type_ != descriptor.type:
            raise InvalidParameterTypeException(parameter, Parameter.Type(descriptor.type).name)
        self.__descriptors[full] = descriptor
        problem = self.__problem(parameter, declaring=True) or self.__rejected([parameter])
        if problem:
            del self.__descriptors[full]
            raise InvalidParameterValueException(full, parameter.value, problem)
        self.__store([parameter])
        return parameter

    @staticmethod
    def __fit_empty(parameter: Parameter, descriptor: ParameterDescriptor) -> Parameter:
        """An empty list fits every array type."""
        wanted = Parameter.Type(descriptor.type)
        if parameter.value == [] and wanted >= Parameter.Type.BYTE_ARRAY and parameter.type_ != wanted:
            return Parameter(parameter.name, wanted, [])
        return parameter

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

    def get_parameter_type(self, name: str) -> Parameter.Type:
        return self.get_parameter(name).type_

    def get_parameter_types(self, names: list[str]) -> list[Parameter.Type]:
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
        self, name: str, descriptor: ParameterDescriptor, alternative_value: Any = None
    ) -> Any:
        old = self.describe_parameter(name)
        if old.read_only:
            raise ParameterImmutableException(name)
        descriptor.name, descriptor.type = name, old.type
        self.__descriptors[name] = descriptor
        return self.get_parameter(name).get_parameter_value()

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Sets one by one; a result each."""
        self.__check_declared(parameter_list)
        return [self.__set([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Sets all or none."""
        self.__check_declared(parameter_list)
        return self.__set(parameter_list)

    def __check_declared(self, parameters: list[Parameter]) -> None:
        if not all(isinstance(parameter, Parameter) for parameter in parameters):
            raise TypeError("parameter must be instance of type 'rclpy.parameter.Parameter'")
        missing = [p.name for p in parameters if p.name not in self.__parameters]
        if missing and not self.__allow_undeclared_parameters:
            raise ParameterNotDeclaredException(missing)

    def __set(self, parameters: list[Parameter]) -> SetParametersResult:
        for change in self.__pre_set:
            parameters = change(parameters)
            if not parameters:
                return SetParametersResult(
                    successful=False, reason="parameter list empty after pre-set callbacks"
                )
        for parameter in parameters:
            self.__descriptors.setdefault(
                parameter.name, ParameterDescriptor(name=parameter.name, dynamic_typing=True)
            )
        parameters = [self.__fit_empty(p, self.__descriptors[p.name]) for p in parameters]
        problem = next(filter(None, map(self.__problem, parameters)), "") or self.__rejected(parameters)
        if problem:
            return SetParametersResult(successful=False, reason=problem)
        self.__store(parameters)
        for callback in self.__post_set:
            callback(parameters)
        return SetParametersResult(successful=True)

    def __problem(self, parameter: Parameter, declaring: bool = False) -> str:
        """Why a value may not be set; empty if it may."""
        descriptor, value = self.__descriptors[parameter.name], parameter.value
        if descriptor.read_only and not declaring:
            return f"Trying to set a read-only parameter: {parameter.name}."
        if not descriptor.dynamic_typing and parameter.type_ != descriptor.type:
            expected = Parameter.Type(descriptor.type)
            return f"Wrong parameter type, expected '{expected.name}' got '{parameter.type_.name}'"
        for kind, ranges in ((int, descriptor.integer_range), (float, descriptor.floating_point_range)):
            if isinstance(value, kind) and not isinstance(value, bool) and ranges:
                low, high, step = ranges[0].from_value, ranges[0].to_value, ranges[0].step
                if not low <= value <= high:
                    return f"Parameter {parameter.name} out of range. Min: {low}, Max: {high}, value: {value}"
                if not _step_ok(value, low, high, step):
                    return (
                        f"The parameter value for {parameter.name} is not a valid step. "
                        f"Min: {low}, max: {high}, value: {value}, step: {step}"
                    )
        return ""

    def __rejected(self, parameters: list[Parameter]) -> str:
        for callback in reversed(self.__on_set):
            result = callback(parameters)
            if not result.successful:
                return result.reason or "rejected by a callback"
        return ""

    def __store(self, parameters: list[Parameter]) -> None:
        event = ParameterEvent(node=self.get_fully_qualified_name(), stamp=self.get_clock().now().to_msg())  # type: ignore[attr-defined]
        for parameter in parameters:
            name, known = parameter.name, parameter.name in self.__parameters
            message = parameter.to_parameter_msg()
            if parameter.type_ == Parameter.Type.NOT_SET:
                if known:
                    event.deleted_parameters.append(message)
                    del self.__parameters[name], self.__descriptors[name]
                continue
            (event.changed_parameters if known else event.new_parameters).append(message)
            self.__parameters[name] = parameter
        if self.__events is not None and self.context.ok():  # type: ignore[attr-defined]
            self.__events.publish(event)

    def add_pre_set_parameters_callback(self, callback: Callable[[list[Parameter]], list[Parameter]]) -> None:
        self.__pre_set.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: SetCallback) -> None:
        self.__on_set.append(callback)

    def add_post_set_parameters_callback(self, callback: Callable[[list[Parameter]], None]) -> None:
        self.__post_set.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: Callable) -> None:
        self.__pre_set.remove(callback)

    def remove_on_set_parameters_callback(self, callback: SetCallback) -> None:
        self.__on_set.remove(callback)

    def remove_post_set_parameters_callback(self, callback: Callable) -> None:
        self.__post_set.remove(callback)

    def list_parameters(self, prefixes: list[str], depth: int) -> ListParametersResult:
        """Names below `prefixes` (none: all), at most `depth` levels deep (0: all)."""
        result = ListParametersResult()
        for name in self.__parameters:
            for prefix in prefixes or [""]:
                start = f"{prefix}." if prefix else ""
                if name != prefix and not name.startswith(start):
                    continue
                if depth == 0 or name.removeprefix(start).count(".") < depth:
                    result.names.append(name)
                    parent = name.rpartition(".")[0]
                    if parent and parent not in result.prefixes:
                        result.prefixes.append(parent)
                    break
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

    def __on_describe(self, request: Any, response: Any) -> Any:
        response.descriptors = [self.__descriptors.get(n, ParameterDescriptor(name=n)) for n in request.names]
        return response

    def __on_get(self, request: Any, response: Any) -> Any:
        found = [self.__parameters.get(name, Parameter(name)) for name in request.names]
        response.values = [parameter.get_parameter_value() for parameter in found]
        return response

    def __on_get_types(self, request: Any, response: Any) -> Any:
        found = [self.__parameters.get(name, Parameter(name)) for name in request.names]
        response.types = [int(parameter.type_) for parameter in found]
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
            return SetParametersResult(successful=False, reason=str(error))
