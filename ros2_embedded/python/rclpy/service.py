"""Services: requests `rq/<name>Request`, replies `rr/<name>Reply`, each with client id and sequence number
in front.

The layout is that of rmw_cyclonedds_cpp. Peers with another RMW put these numbers elsewhere; they are
recognised by the missing `clientid=` in their USER_DATA and not answered.
"""

from __future__ import annotations

import functools
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from embedded_dds.dds import user_data_values
from embedded_dds.types import deserialize, serialize

from rclpy.destroyable import EndOfNode
from rclpy.exceptions import RCLError
from rclpy.task import await_or_execute

if TYPE_CHECKING:
    from embedded_dds.dds import Reader, Writer

    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.qos import QoSProfile

HEADER = struct.Struct("<Qq")
FOREIGN = "its RMW must be rmw_cyclonedds_cpp for services, parameters and actions (topics work with any)"


class Service(EndOfNode):
    """Made by `Node.create_service`; the callback takes request and response and returns the response."""

    rank = 3

    def __init__(
        self,
        node: Node,
        reader: Reader,
        writer: Writer,
        srv_type: type,
        srv_name: str,
        full_name: str,
        callback: Callable[..., Any],
        callback_group: CallbackGroup,
        qos_profile: QoSProfile,
    ) -> None:
        self._node, self._reader, self._writer = node, reader, writer
        self.entity = reader.condition
        self.srv_type, self.srv_name, self.qos_profile = srv_type, srv_name, qos_profile
        self._full_name = full_name
        self.callback, self.callback_group = callback, callback_group
        self._clients: dict[int, str] = {}  # request writer's handle -> client id
        self._reachable: set[str] = set()

    @property
    def service_name(self) -> str:
        self._check_alive()
        return self._full_name

    def take(self) -> Callable[[], Any] | None:
        for data, info in self._reader.take(1):
            client = self._client_of(info.publication_handle)
            if client is None:
                message = (
                    f"a request to {self._full_name} came from a foreign peer and was not answered: {FOREIGN}"
                )
                self._node.get_logger().error(message, throttle_duration_sec=10.0)
                continue
            try:
                header = HEADER.unpack_from(data, 4)
                request = deserialize(data, self.srv_type.Request, HEADER.size)
            except (ValueError, struct.error) as error:
                self._node.get_logger().error(f"dropped a request to {self._full_name}: {error}")
                continue
            return functools.partial(self._answer, client, header, request)
        return None

    def _client_of(self, handle: int) -> str | None:
        if handle not in self._clients:
            end = self._reader.match(handle)
            if end is None:  # the client left already
                return ""
            client = user_data_values(end.qos.user_data).get("clientid")
            if client is None:
                return None
            self._clients[handle] = client
        return self._clients[handle]

    async def _answer(self, client: str, header: tuple[int, int], request: Any) -> None:
        response = await await_or_execute(self.callback, request, self.srv_type.Response())
        self.send_response(response, (client, header))

    def send_response(self, response: Any, header: Any) -> None:
        self._check_alive()
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(f"service {self.srv_name} answers {response!r}, not a {self.srv_type.Response}")
        if not self._node.context.ok():
            raise RCLError("Failed to send response: context is invalid")
        client, numbers = header
        self._await_client(client)
        self._writer.write(serialize(response, HEADER.pack(*numbers)))

    def _await_client(self, client: str) -> None:
        """The client's reply reader may be discovered a little later than its request writer."""
        if client in self._reachable:
            return
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            found = {user_data_values(e.qos.user_data).get("clientid", "") for e in self._writer.matches()}
            if client in found:
                self._reachable = found
                return
            time.sleep(0.001)

    def destroy(self) -> None:
        self._node.destroy_service(self)

    def _close(self) -> None:
        self._mark_destroyed()
        self._reader.close()
        self._writer.close()
