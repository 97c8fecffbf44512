"""Lifecycle nodes: configure, activate, deactivate, clean up, shut down, from outside or inside."""

from rclpy.lifecycle.managed_entity import ManagedEntity, SimpleManagedEntity
from rclpy.lifecycle.node import LifecycleNode, LifecycleState, State, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher

Node = LifecycleNode
Publisher = LifecyclePublisher

__all__ = [
    "LifecycleNode",
    "LifecyclePublisher",
    "LifecycleState",
    "ManagedEntity",
    "Node",
    "Publisher",
    "SimpleManagedEntity",
    "State",
    "TransitionCallbackReturn",
]
