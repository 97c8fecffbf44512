"""Exceptions of the rclpy API."""

from __future__ import annotations

from collections.abc import Sequence


class NotInitializedException(Exception):
    """Raised when the rclpy implementation is accessed before rclpy.init()."""

    def __init__(self, *args: object) -> None:
        super().__init__("rclpy.init() has not been called", *args)


class NoTypeSupportImportedException(Exception):
    """Raised when a class is not a ROS interface."""


class NameValidationException(Exception):
    """Raised when a topic name, node name or namespace is invalid."""

    def __init__(self, name_type: str, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__(f"Invalid {name_type}: {error_msg}:\n  '{name}'\n   {' ' * invalid_index}^")
        self.name_type, self.name, self.error_msg, self.invalid_index = (
            name_type,
            name,
            error_msg,
            invalid_index,
        )


class InvalidNamespaceException(NameValidationException):
    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("namespace", name, error_msg, invalid_index)


class InvalidNodeNameException(NameValidationException):
    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("node name", name, error_msg, invalid_index)


class InvalidTopicNameException(NameValidationException):
    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("topic name", name, error_msg, invalid_index)


class InvalidServiceNameException(NameValidationException):
    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__("service name", name, error_msg, invalid_index)


class ParameterException(Exception):
    """Base of parameter errors; `parameters` names them."""

    def __init__(self, error_msg: str, parameters: Sequence[str] | str, *args: object) -> None:
        super().__init__(f"{error_msg}: {parameters}", *args)


class ParameterNotDeclaredException(ParameterException):
    def __init__(self, parameters: Sequence[str] | str, *args: object) -> None:
        super().__init__("Invalid access to undeclared parameter(s)", parameters, *args)


class ParameterAlreadyDeclaredException(ParameterException):
    def __init__(self, parameters: Sequence[str] | str, *args: object) -> None:
        super().__init__("Parameter(s) already declared", parameters, *args)


class InvalidParameterException(ParameterException):
    def __init__(self, parameter: str, *args: object) -> None:
        super().__init__("Invalid parameter name", parameter, *args)


class InvalidParameterTypeException(ParameterException):
    def __init__(self, desired_parameter: object, expected_type: str, *args: object) -> None:
        name, kind = desired_parameter.name, desired_parameter.type_.name  # type: ignore[attr-defined]
        message = f"Trying to set parameter '{name}' to '{desired_parameter.value}' of type '{kind}', "  # type: ignore[attr-defined]
        super().__init__(f"{message}expecting type '{expected_type}'", name, *args)


class InvalidParameterValueException(ParameterException):
    def __init__(self, parameter: str, value: object, reason: str, *args: object) -> None:
        super().__init__(
            f"Invalid parameter value ({value}) for parameter. Reason: {reason}", parameter, *args
        )


class ParameterImmutableException(ParameterException):
    def __init__(self, parameter: str, *args: object) -> None:
        super().__init__("Attempted to modify read-only parameter", parameter, *args)


class ParameterUninitializedException(ParameterException):
    """Raised when an uninitialized parameter is accessed."""

    def __init__(self, parameter: str, *args: object) -> None:
        super().__init__("The parameter is not initialized", parameter, *args)


class UnsupportedEventTypeError(RuntimeError):
    """Raised when registering an event callback that the middleware does not support."""


class ROSInterruptException(Exception):
    """Raised when a sleep is interrupted by shutdown."""

    def __init__(self) -> None:
        super().__init__("rclpy.shutdown() has been called")


class InvalidHandle(Exception):
    """Raised when something that was destroyed is used."""


class RCLError(RuntimeError):
    """Raised when the layer below refuses an operation."""
