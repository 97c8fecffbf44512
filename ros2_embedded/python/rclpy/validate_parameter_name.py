"""Names of parameters."""

from rclpy.exceptions import InvalidParameterException


def validate_parameter_name(name: str) -> bool:
    if not name:
        raise InvalidParameterException(name)
    return True
