"""Which actions there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

Names = list[tuple[str, list[str]]]


def _actions(topics: Names) -> Names:
    """Actions are known by their feedback topics."""
    ending = "/_action/feedback"
    return [
        (name.removesuffix(ending), [kind.removesuffix("_FeedbackMessage") for kind in types])
        for name, types in topics
        if name.endswith(ending)
    ]


def get_action_names_and_types(node: Node) -> Names:
    return _actions(node.get_topic_names_and_types())


def get_action_server_names_and_types_by_node(
    node: Node, remote_node_name: str, remote_node_namespace: str
) -> Names:
    return _actions(node.get_publisher_names_and_types_by_node(remote_node_name, remote_node_namespace))


def get_action_client_names_and_types_by_node(
    node: Node, remote_node_name: str, remote_node_namespace: str
) -> Names:
    return _actions(node.get_subscriber_names_and_types_by_node(remote_node_name, remote_node_namespace))
