"""Clients of services."""

from __future__ import annotations

import functools
import itertools
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedded_dds.dds import user_data_values
from embedded_dds.types import deserialize, serialize

from rclpy.destroyable import EndOfNode
from rclpy.service import FOREIGN, HEADER
from rclpy.task import Future

if TYPE_CHECKING:
    from embedded_dds.dds import Reader, Writer

    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

_sequence = itertools.count(1)  # per process, as in rmw_cyclonedds_cpp


class Client(EndOfNode):
    """Made by `Node.create_client`."""

    rank = 2

    def __init__(
        self,
        node: Node,
        reader: Reader,
        writer: Writer,
        srv_type: type,
        srv_name: str,
        full_name: str,
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
    ) -> None:
        self._node, self._reader, self._writer = node, reader, writer
        self.context = node.context
        self.entity = reader.condition
        self.srv_type, self.srv_name, self.qos_profile = srv_type, srv_name, qos_profile
        self._full_name = full_name
        self.callback_group = callback_group
        self._id = writer.handle()
        self._pending_requests: dict[int, Future] = {}
        self._lock = threading.Lock()

    @property
    def service_name(self) -> str:
        self._check_alive()
        return self._full_name

    def call(self, request: Any, timeout_sec: float | None = None) -> Any:
        """Calls and waits; an executor must be spinning in another thread. None after `timeout_sec` without
        an answer."""
        answered = threading.Event()
        future = self.call_async(request)
        future._when_done(lambda _: answered.set())
        end = None if timeout_sec is None else time.monotonic() + timeout_sec
        while not answered.wait(0.1 if end is None else max(0.0, min(0.1, end - time.monotonic()))):
            if not self.context.ok() or (end is not None and time.monotonic() >= end):
                self.remove_pending_request(future)
                break
        return future.result()

    def call_async(self, request: Any) -> Future:
        """Sends a request; the future of the response."""
        self._check_alive()
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(f"Expected {self.srv_type.Request}, got {type(request)}")
        number = next(_sequence)
        future = Future()
        with self._lock:
            self._pending_requests[number] = future
        future._when_done(self.remove_pending_request)
        if self._foreign():
            self._node.get_logger().error(
                f"no request sent to {self._full_name}: a server is foreign, {FOREIGN}"
            )
            return future
        self._writer.write(serialize(request, HEADER.pack(self._id, number)))
        return future

    def _foreign(self) -> bool:
        return any("serviceid" not in user_data_values(end.qos.user_data) for end in self._writer.matches())

    def get_pending_request(self, sequence_number: int) -> Future:
        return self._pending_requests[sequence_number]

    def remove_pending_request(self, future: Future) -> None:
        with self._lock:
            pending = self._pending_requests.items()
            self._pending_requests = {number: other for number, other in pending if other is not future}

    def take(self) -> Callable[[], Any] | None:
        for data, _ in self._reader.take(1):
            try:
                owner, number = HEADER.unpack_from(data, 4)
                future = self._pending_requests.get(number) if owner == self._id else None
                if future is None:
                    continue
                response = deserialize(data, self.srv_type.Response, HEADER.size)
            except (ValueError, struct.error) as error:
                self._node.get_logger().error(f"dropped a response of {self._full_name}: {error}")
                continue
            return functools.partial(self._complete, future, response)
        return None

    def _complete(self, future: Future, response: Any) -> None:
        future._set_executor(self._node.executor)  # which runs the done callbacks
        future.set_result(response)

    def service_is_ready(self) -> bool:
        """Whether a server has both its request reader and its reply writer matched."""
        self._check_alive()
        readers, writers = (
            {user_data_values(e.qos.user_data).get("serviceid") for e in end.matches()}
            for end in (self._writer, self._reader)
        )
        return bool((readers & writers) - {None})

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Waits for a server; whether there is one."""
        end = None if timeout_sec is None or timeout_sec < 0 else time.monotonic() + timeout_sec
        while self.context.ok():
            if self.service_is_ready():
                return True
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(0.01)
        return False

    def destroy(self) -> None:
        self._node.destroy_client(self)

    def _close(self) -> None:
        self._mark_destroyed()
        self._reader.close()
        self._writer.close()
