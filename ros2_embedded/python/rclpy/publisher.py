"""Publishers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedded_dds.types import serialize

from rclpy.destroyable import EndOfNode
from rclpy.duration import Duration
from rclpy.exceptions import RCLError

if TYPE_CHECKING:
    from embedded_dds.dds import Writer

    from rclpy.node import Node
    from rclpy.qos import QoSProfile


class Publisher(EndOfNode):
    """Made by `Node.create_publisher`."""

    def __init__(
        self,
        node: Node,
        writer: Writer,
        msg_type: type,
        topic: str,
        full_name: str,
        qos_profile: QoSProfile,
    ) -> None:
        self._node, self._writer, self._full_name = node, writer, full_name
        self._context = node.context
        self.msg_type, self.topic, self.qos_profile = msg_type, topic, qos_profile

    @property
    def topic_name(self) -> str:
        """The full name, remapped; `topic` is the name as given."""
        self._check_alive()
        return self._full_name

    def publish(self, msg: Any) -> None:
        """Sends a message, or the bytes of a serialised one."""
        self._check_alive()
        if not self._context.ok():
            raise RCLError("Failed to publish: publisher's context is invalid")
        if isinstance(msg, self.msg_type):
            self._writer.write(serialize(msg))
        elif isinstance(msg, bytes):
            padded = bytearray(msg)
            padded += bytes(-len(padded) & 3)
            self._writer.write(memoryview(padded))
        else:
            raise TypeError(f"Expected {self.msg_type}, got {type(msg)}")

    def get_subscription_count(self) -> int:
        self._check_alive()
        return self._writer.match_count()

    def wait_for_all_acked(self, timeout: Duration = Duration(seconds=-1)) -> bool:  # noqa: B008
        """Whether every matched reliable subscription has everything; a negative timeout waits for ever."""
        self._check_alive()
        left = timeout.nanoseconds
        while self._context.ok():
            step = 10**8 if left < 0 else min(left, 10**8)
            if self._writer.wait_for_acks(step):
                return True
            if left >= 0:
                left -= step
                if left <= 0:
                    return False
        return False

    def assert_liveliness(self) -> None:
        self._check_alive()
        self._writer.assert_liveliness()

    def destroy(self) -> None:
        self._node.destroy_publisher(self)

    def _close(self) -> None:
        self._mark_destroyed()
        self._writer.close()
