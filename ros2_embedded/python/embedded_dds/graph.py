"""The ROS graph: which nodes there are and whose readers and writers are whose (`ros_discovery_info`)."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import NamedTuple

from embedded_dds.dds import Endpoint, Participant, Qos, user_data_values
from embedded_dds.definitions import type_hash
from embedded_dds.types import dds_type_name, deserialize, message_class, ros_type_name, serialize

_INFO = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_TOPIC = "ros_discovery_info"
PREFIXES = {"topic": "rt", "request": "rq", "reply": "rr"}


class NodeKey(NamedTuple):
    namespace: str
    name: str


class NodeEnds(NamedTuple):
    """Gids of a node's readers and writers."""

    readers: set[bytes]
    writers: set[bytes]


class Graph:
    """Announces this process's nodes and knows everybody's."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self._lock = threading.Lock()
        self._closed = False
        self._own: list[tuple[NodeKey, NodeEnds]] = []
        self._others: dict[bytes, list[tuple[NodeKey, NodeEnds]]] = {}
        data = f"typehash={type_hash(_INFO)};".encode()
        name = _TOPIC, dds_type_name(_INFO)
        self._writer = participant.writer(*name, Qos(depth=1, transient_local=True, user_data=data))
        self._reader = participant.reader(*name, Qos(depth=0, transient_local=True, user_data=data))

    def close(self) -> None:
        """Announces nothing more; to be called before the participant is closed, by whichever thread."""
        with self._lock:
            self._closed = True

    def add_node(self, key: NodeKey) -> NodeEnds:
        ends = NodeEnds(set(), set())
        with self._lock:
            self._own.append((key, ends))
            self._announce()
        return ends

    def remove_node(self, ends: NodeEnds) -> None:
        with self._lock:
            self._own = [(key, other) for key, other in self._own if other is not ends]
            self._announce()

    def update(self, gids: set[bytes], gid: bytes, present: bool = True) -> None:
        """Adds an endpoint to (or takes it from) a node's readers or writers."""
        with self._lock:
            (gids.add if present else gids.discard)(gid)
            self._announce()

    def _announce(self) -> None:
        if self._closed:
            return
        gid_class = message_class("rmw_dds_common/msg/Gid")
        node_class = message_class("rmw_dds_common/msg/NodeEntitiesInfo")
        nodes = [
            node_class(
                node_namespace=key.namespace,
                node_name=key.name,
                reader_gid_seq=[gid_class(data=g) for g in sorted(ends.readers)],
                writer_gid_seq=[gid_class(data=g) for g in sorted(ends.writers)],
            )
            for key, ends in self._own
        ]
        gid = gid_class(data=self._participant.gid)
        self._writer.write(serialize(message_class(_INFO)(gid=gid, node_entities_info_seq=nodes)))

    def nodes(self) -> list[tuple[NodeKey, NodeEnds]]:
        """Every node alive, with its endpoints."""
        with self._lock:
            while samples := self._reader.take(100):
                for data, _ in samples:
                    info = deserialize(data, message_class(_INFO))
                    self._others[info.gid.data.tobytes()] = [
                        (
                            NodeKey(node.node_namespace, node.node_name),
                            NodeEnds(
                                {g.data.tobytes() for g in node.reader_gid_seq},
                                {g.data.tobytes() for g in node.writer_gid_seq},
                            ),
                        )
                        for node in info.node_entities_info_seq
                    ]
            alive = self._participant.participants()
            self._others = {gid: nodes for gid, nodes in self._others.items() if gid in alive}
            return [node for nodes in self._others.values() for node in nodes]

    def unheard(self, names: bool) -> set[bytes]:
        """Participants of ROS processes that have not told us yet what endpoints they have, or with `names`
        what nodes: Fast DDS does so 1 s and 3 s after it is discovered, Cyclone at once."""
        found = self._participant.participants()
        if names:
            self.nodes()
            heard = set(self._others)
        else:
            writers = self._participant.endpoints(writers=True)
            heard = {end.participant for end in writers if end.topic == _TOPIC}
        ros = {gid for gid, qos in found.items() if "enclave" in user_data_values(qos.user_data)}
        return ros - heard

    def owners(self) -> dict[bytes, NodeKey]:
        """Which node each endpoint belongs to."""
        return {gid: key for key, ends in self.nodes() for gid in (*ends.readers, *ends.writers)}

    def topics(self, no_demangle: bool = False) -> list[tuple[str, list[str]]]:
        """Topic names and types, sorted; with `no_demangle` as DDS knows them."""
        return self._names(self._both(), "topic", no_demangle)

    def services(self) -> list[tuple[str, list[str]]]:
        return self._names(self._participant.endpoints(writers=False), "request")

    def of_node(self, key: NodeKey, role: str) -> list[tuple[str, list[str]]] | None:
        """Names and types of a node's `publishers`, `subscriptions`, `services` or `clients`; None: no such
        node."""
        found = [ends for other, ends in self.nodes() if other == key]
        if not found:
            return None
        writers = role in ("publishers", "clients")
        gids = set().union(*((ends.writers if writers else ends.readers) for ends in found))
        endpoints = [e for e in self._participant.endpoints(writers) if e.gid in gids]
        return self._names(endpoints, "topic" if role in ("publishers", "subscriptions") else "request")

    def endpoints(self, topic: str, writers: bool, mangled: bool = True) -> list[Endpoint]:
        """Publishers (or subscriptions) of a full topic name."""
        name = f"rt{topic}" if mangled else topic
        return [e for e in self._participant.endpoints(writers) if e.topic == name]

    def _both(self) -> list[Endpoint]:
        return self._participant.endpoints(writers=True) + self._participant.endpoints(writers=False)

    def _names(self, ends: list[Endpoint], kind: str, raw: bool = False) -> list[tuple[str, list[str]]]:
        found: dict[str, set[str]] = defaultdict(set)
        for end in ends:
            prefix, _, rest = end.topic.partition("/")
            if raw:
                found[end.topic].add(end.type_name)
            elif prefix == PREFIXES[kind]:
                name, type_name = f"/{rest}", ros_type_name(end.type_name)
                if kind == "request":
                    name, type_name = name.removesuffix("Request"), type_name.removesuffix("_Request")
                found[name].add(type_name)
        return sorted((name, sorted(types)) for name, types in found.items())


def endpoint_type_hash(end: Endpoint) -> str:
    return user_data_values(end.qos.user_data).get("typehash", "")
