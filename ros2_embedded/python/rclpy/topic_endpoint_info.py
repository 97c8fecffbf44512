"""Publishers and subscriptions as the graph shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rclpy.qos import QoSProfile
from rclpy.type_hash import TypeHash


class TopicEndpointTypeEnum(IntEnum):
    INVALID = 0
    PUBLISHER = 1
    SUBSCRIPTION = 2


@dataclass(frozen=True)
class TopicEndpointInfo:
    node_name: str
    node_namespace: str
    topic_type: str
    topic_type_hash: TypeHash
    endpoint_type: TopicEndpointTypeEnum
    endpoint_gid: list[int]
    qos_profile: QoSProfile

    def __str__(self) -> str:
        qos = self.qos_profile
        depth = f" ({qos.depth})" if qos.history == 1 else ""

        def span(value: int) -> str:
            return "Infinite" if value in (0, 2**63 - 1) else f"{value} nanoseconds"

        return "\n".join((
            f"Node name: {self.node_name}",
            f"Node namespace: {self.node_namespace}",
            f"Topic type: {self.topic_type}",
            f"Topic type hash: {self.topic_type_hash}",
            f"Endpoint type: {self.endpoint_type.name}",
            f"GID: {'.'.join(f'{byte:02x}' for byte in self.endpoint_gid)}",
            "QoS profile:",
            f"  Reliability: {qos.reliability.name}",
            f"  History (Depth): {qos.history.name}{depth}",
            f"  Durability: {qos.durability.name}",
            f"  Lifespan: {span(qos.lifespan.nanoseconds)}",
            f"  Deadline: {span(qos.deadline.nanoseconds)}",
            f"  Liveliness: {qos.liveliness.name}",
            f"  Liveliness lease duration: {span(qos.liveliness_lease_duration.nanoseconds)}",
        ))  # fmt: skip
