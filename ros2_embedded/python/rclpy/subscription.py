"""Subscriptions."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedded_dds.types import deserialize

from rclpy.destroyable import EndOfNode

if TYPE_CHECKING:
    from embedded_dds.dds import Reader

    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.qos import QoSProfile


def _takes(callback: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(callback).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin without signature
        return count == 1
    return True


def check_callback(callback: Callable[..., Any]) -> None:
    """RuntimeError for what cannot be called with a message, or with a message and its info."""
    if not callable(callback) or not (_takes(callback, 1) or _takes(callback, 2)):
        raise RuntimeError(
            "a subscription's callback should either be callable with one argument (the message) "
            f"or two (the message and its info), not {callback!r}"
        )


def message_info(info: Any) -> dict[str, Any]:
    return {
        "source_timestamp": info.source_timestamp,
        "received_timestamp": time.time_ns(),
        "publication_sequence_number": None,
        "reception_sequence_number": None,
    }


class Subscription(EndOfNode):
    """Made by `Node.create_subscription`; the callback takes the message and, if it has a second argument,
    its info."""

    rank = 0

    def __init__(
        self,
        node: Node,
        reader: Reader,
        msg_type: type,
        topic: str,
        full_name: str,
        callback: Callable[..., Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
        raw: bool,
    ) -> None:
        self._node, self._reader, self._full_name = node, reader, full_name
        self.entity = reader.condition
        self.msg_type, self.topic, self.qos_profile, self.raw = msg_type, topic, qos_profile, raw
        self.callback_group = callback_group
        self.callback = callback

    @property
    def topic_name(self) -> str:
        """The full name, remapped; `topic` is the name as given."""
        self._check_alive()
        return self._full_name

    @property
    def callback(self) -> Callable[..., Any]:
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any]) -> None:
        check_callback(value)
        self._callback, self._with_info = value, not _takes(value, 1)

    def _take_one(self) -> tuple[Any, Any] | None:
        for data, info in self._reader.take(1):
            if self.raw:
                return data, info
            try:
                return deserialize(data, self.msg_type), info
            except ValueError as error:
                self._node.get_logger().error(f"dropped a sample on {self._full_name}: {error}")
        return None

    def take(self) -> Callable[[], Any] | None:
        found = self._take_one()
        if found is None:
            return None
        message, info = found
        if self._with_info:
            return functools.partial(self._callback, message, message_info(info))
        return functools.partial(self._callback, message)

    def get_publisher_count(self) -> int:
        self._check_alive()
        return self._reader.match_count()

    def destroy(self) -> None:
        self._node.destroy_subscription(self)

    def _close(self) -> None:
        self._mark_destroyed()
        self._reader.close()
