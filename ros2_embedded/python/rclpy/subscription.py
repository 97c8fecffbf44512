"""Subscriptions."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedded_dds.types import deserialize

if TYPE_CHECKING:
    from embedded_dds.dds import Reader

    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.qos import QoSProfile


def message_info(info: Any) -> dict[str, Any]:
    return {
        "source_timestamp": info.source_timestamp,
        "received_timestamp": time.time_ns(),
        "publication_sequence_number": None,
        "reception_sequence_number": None,
    }


class Subscription:
    """Made by `Node.create_subscription`; the callback takes the message and, if it has a second argument,
    its info."""

    rank = 0

    def __init__(
        self,
        node: Node,
        reader: Reader,
        msg_type: type,
        topic: str,
        callback: Callable[..., Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
        raw: bool,
    ) -> None:
        self._node, self._reader = node, reader
        self.entity = reader.condition
        self.msg_type, self.topic, self.qos_profile, self.raw = msg_type, topic, qos_profile, raw
        self.callback_group = callback_group
        self.callback = callback

    @property
    def topic_name(self) -> str:
        return self.topic

    @property
    def callback(self) -> Callable[..., Any]:
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any]) -> None:
        self._callback = value
        try:
            inspect.signature(value).bind(object())
            self._with_info = False
        except TypeError:
            self._with_info = True
        except ValueError:  # a builtin without signature
            self._with_info = False

    def _take_one(self) -> tuple[Any, Any] | None:
        for data, info in self._reader.take(1):
            if self.raw:
                return data, info
            try:
                return deserialize(data, self.msg_type), info
            except ValueError as error:
                self._node.get_logger().error(f"dropped a sample on {self.topic}: {error}")
        return None

    def take(self) -> Callable[[], Any] | None:
        found = self._take_one()
        if found is None:
            return None
        message, info = found
        callback = self._callback
        if self._with_info:
            return lambda: callback(message, message_info(info))
        return lambda: callback(message)

    def get_publisher_count(self) -> int:
        return self._reader.match_count()

    def destroy(self) -> None:
        self._node.destroy_subscription(self)

    def _close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()
