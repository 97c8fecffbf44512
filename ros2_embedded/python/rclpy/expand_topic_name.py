"""The absolute name of a topic or service."""

from __future__ import annotations

from rclpy import names
from rclpy.exceptions import NameValidationException


def expand_topic_name(topic_name: str, node_name: str, node_namespace: str) -> str:
    """What a node of that name and namespace means by `topic_name`; ValueError for bad names."""
    try:
        names.validate_node_name(node_name)
        names.validate_namespace(node_namespace)
        return names.expand_topic_name(topic_name, node_name, node_namespace)
    except NameValidationException as error:
        raise ValueError(str(error)) from None
