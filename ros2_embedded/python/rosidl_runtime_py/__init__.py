"""Messages to and from plain Python values and YAML."""

from rosidl_runtime_py.convert import message_to_csv, message_to_ordereddict, message_to_yaml
from rosidl_runtime_py.set_message import set_message_fields

__all__ = ["message_to_csv", "message_to_ordereddict", "message_to_yaml", "set_message_fields"]
