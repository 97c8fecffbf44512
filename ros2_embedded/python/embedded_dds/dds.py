"""Cyclone DDS through ctypes: participants, topics that carry ready-made CDR, readers, writers, wait sets.

The wheel's Python layer serialises sample by sample in Python; here bytes go in and out as they are, and
calls that wait or write release the GIL.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import io
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from types import ModuleType, SimpleNamespace
from typing import Any


def _load() -> tuple[ModuleType, ModuleType]:
    """The wheel's C module and its `internal`, without the rest of the package, which takes 0.15 s to
    import."""
    if "cyclonedds" in sys.modules:
        from cyclonedds import _clayer, internal

        return _clayer, internal
    spec = PathFinder.find_spec("cyclonedds")
    if spec is None:
        raise ImportError(
            "the embedded ROS 2 runtime needs the package cyclonedds: pip install cyclonedds==11.0.1"
        )
    sys.modules["cyclonedds"] = module_from_spec(spec)
    try:
        from cyclonedds import _clayer, internal
    finally:
        del sys.modules["cyclonedds"]
    return _clayer, internal


_clayer, _internal = _load()
DDS, dds_c_t = _internal.DDS, _internal.dds_c_t

FOREVER = (1 << 63) - 1
TIMEOUT, NO_DATA = -10, -11
ALIVE = 16
_ANY = 0x7F  # every sample, view and instance state
_PUBLICATIONS, _SUBSCRIPTIONS, _PARTICIPANTS = 0x7FFF0003, 0x7FFF0004, 0x7FFF0001

OFFERED_DEADLINE, REQUESTED_DEADLINE = 1 << 1, 1 << 2
OFFERED_INCOMPATIBLE, REQUESTED_INCOMPATIBLE = 1 << 3, 1 << 4
SAMPLE_LOST, LIVELINESS_LOST, LIVELINESS_CHANGED = 1 << 5, 1 << 9, 1 << 10
PUBLICATION_MATCHED, SUBSCRIPTION_MATCHED = 1 << 11, 1 << 12

_STATUS = {
    bit: (f"dds_get_{name}_status", getattr(dds_c_t, f"{name}_status"))
    for bit, name in {
        OFFERED_DEADLINE: "offered_deadline_missed",
        REQUESTED_DEADLINE: "requested_deadline_missed",
        OFFERED_INCOMPATIBLE: "offered_incompatible_qos",
        REQUESTED_INCOMPATIBLE: "requested_incompatible_qos",
        SAMPLE_LOST: "sample_lost",
        LIVELINESS_LOST: "liveliness_lost",
        LIVELINESS_CHANGED: "liveliness_changed",
        PUBLICATION_MATCHED: "publication_matched",
        SUBSCRIPTION_MATCHED: "subscription_matched",
    }.items()
}


class DdsError(RuntimeError):
    """A call into Cyclone failed."""


class _Sample(ct.Structure):
    _fields_ = [("data", ct.c_void_p), ("size", ct.c_size_t)]


class _Endpoint(ct.Structure):
    """dds_builtintopic_endpoint_t, as far as it is read here."""

    _fields_ = [
        ("key", ct.c_uint8 * 16),
        ("participant_key", ct.c_uint8 * 16),
        ("participant_handle", ct.c_uint64),
        ("topic_name", ct.c_char_p),
        ("type_name", ct.c_char_p),
        ("qos", ct.c_void_p),
    ]


def _library() -> ct.CDLL:
    library = ct.CDLL(DDS._dll_handle._name)
    pointer, entity, nanoseconds = ct.c_void_p, ct.c_int32, ct.c_int64
    signatures: dict[str, list[Any]] = {
        "dds_create_domain": [ct.c_uint32, ct.c_char_p],
        "dds_create_participant": [ct.c_uint32, pointer, pointer],
        "dds_create_reader": [entity, entity, pointer, pointer],
        "dds_create_writer": [entity, entity, pointer, pointer],
        "dds_create_readcondition": [entity, ct.c_uint32],
        "dds_create_guardcondition": [entity],
        "dds_set_guardcondition": [entity, ct.c_bool],
        "dds_take_guardcondition": [entity, pointer],
        "dds_create_waitset": [entity],
        "dds_waitset_attach": [entity, entity, ct.c_ssize_t],
        "dds_waitset_detach": [entity, entity],
        "dds_waitset_wait": [entity, pointer, ct.c_size_t, nanoseconds],
        "dds_set_status_mask": [entity, ct.c_uint32],
        "dds_get_status_changes": [entity, pointer],
        "dds_write": [entity, pointer],
        "dds_wait_for_acks": [entity, nanoseconds],
        "dds_assert_liveliness": [entity],
        "dds_delete": [entity],
        "dds_get_guid": [entity, pointer],
        "dds_get_instance_handle": [entity, pointer],
        "dds_get_entity_sertype": [entity, pointer],
        "dds_get_matched_subscriptions": [entity, pointer, ct.c_size_t],
        "dds_get_matched_publications": [entity, pointer, ct.c_size_t],
        "dds_get_matched_subscription_data": [entity, ct.c_uint64],
        "dds_get_matched_publication_data": [entity, ct.c_uint64],
        "dds_builtintopic_free_endpoint": [pointer],
        "dds_free": [pointer],
        "dds_create_qos": [],
        "dds_delete_qos": [pointer],
        "dds_qset_reliability": [pointer, ct.c_int, nanoseconds],
        "dds_qset_durability": [pointer, ct.c_int],
        "dds_qset_history": [pointer, ct.c_int, ct.c_int32],
        "dds_qset_durability_service": [pointer, nanoseconds, ct.c_int, *[ct.c_int32] * 4],
        "dds_qset_deadline": [pointer, nanoseconds],
        "dds_qset_lifespan": [pointer, nanoseconds],
        "dds_qset_liveliness": [pointer, ct.c_int, nanoseconds],
        "dds_qset_ignorelocal": [pointer, ct.c_int],
        "dds_qset_writer_data_lifecycle": [pointer, ct.c_bool],
        "dds_qset_userdata": [pointer, ct.c_char_p, ct.c_size_t],
        "dds_qset_data_representation": [pointer, ct.c_uint32, pointer],
        "dds_qget_reliability": [pointer] * 3,
        "dds_qget_durability": [pointer] * 2,
        "dds_qget_deadline": [pointer] * 2,
        "dds_qget_lifespan": [pointer] * 2,
        "dds_qget_liveliness": [pointer] * 3,
        "dds_qget_userdata": [pointer] * 3,
    }
    for function, _ in _STATUS.values():
        signatures[function] = [entity, pointer]
    for function, arguments in signatures.items():
        getattr(library, function).argtypes = arguments
    for function in (
        "dds_create_qos",
        "dds_get_matched_subscription_data",
        "dds_get_matched_publication_data",
    ):
        getattr(library, function).restype = pointer
    return library


_lib = _library()


def _checked(code: int, what: str) -> int:
    if code < 0:
        raise DdsError(f"Cyclone DDS could not {what} (code {code})")
    return code


@dataclass(frozen=True)
class Qos:
    """What a reader or writer asks for; `depth` 0 keeps all samples, durations are nanoseconds."""

    depth: int = 10
    reliable: bool = True
    transient_local: bool = False
    deadline_ns: int = FOREVER
    lifespan_ns: int = FOREVER
    liveliness: int = 0
    lease_ns: int = FOREVER
    ignore_local: bool = False
    user_data: bytes = b""

    def build(self, for_writer: bool) -> int:
        qos = _lib.dds_create_qos()
        kind = 1 if self.depth == 0 else 0
        depth = self.depth or -1
        _lib.dds_qset_reliability(qos, int(self.reliable), FOREVER)
        _lib.dds_qset_durability(qos, int(self.transient_local))
        _lib.dds_qset_history(qos, kind, depth)
        _lib.dds_qset_deadline(qos, self.deadline_ns)
        _lib.dds_qset_liveliness(qos, self.liveliness, self.lease_ns)
        _lib.dds_qset_ignorelocal(qos, int(self.ignore_local))
        xcdr1 = ct.c_int16(0)
        _lib.dds_qset_data_representation(qos, 1, ct.byref(xcdr1))
        if self.user_data:
            _lib.dds_qset_userdata(qos, self.user_data, len(self.user_data))
        if for_writer:
            _lib.dds_qset_lifespan(qos, self.lifespan_ns)
            _lib.dds_qset_writer_data_lifecycle(qos, False)
            if self.transient_local:
                _lib.dds_qset_durability_service(qos, 0, kind, depth, -1, -1, -1)
        return qos


def _read_qos(pointer: int) -> Qos:
    """The QoS of a discovered endpoint; what discovery does not carry (history) is left at its default."""
    reliability, durability, liveliness = ct.c_int(), ct.c_int(), ct.c_int()
    deadline, lifespan, lease, blocking = (ct.c_int64(FOREVER) for _ in range(4))
    data, size = ct.c_void_p(), ct.c_size_t()
    _lib.dds_qget_reliability(pointer, ct.byref(reliability), ct.byref(blocking))
    _lib.dds_qget_durability(pointer, ct.byref(durability))
    _lib.dds_qget_deadline(pointer, ct.byref(deadline))
    _lib.dds_qget_lifespan(pointer, ct.byref(lifespan))
    _lib.dds_qget_liveliness(pointer, ct.byref(liveliness), ct.byref(lease))
    _lib.dds_qget_userdata(pointer, ct.byref(data), ct.byref(size))
    user_data = ct.string_at(data, size.value) if data.value else b""
    if data.value:
        _lib.dds_free(data)
    return Qos(
        0, reliability.value == 1, durability.value > 0, deadline.value, lifespan.value,
        liveliness.value, lease.value, user_data=user_data,
    )  # fmt: skip


def user_data_values(user_data: bytes) -> dict[str, str]:
    """USER_DATA such as `typehash=RIHS01_...;serviceid=...;` as a dictionary."""
    parts = user_data.decode("latin-1").split(";")
    return {key.strip(" \0"): value for key, found, value in (part.partition("=") for part in parts) if found}


@dataclass(frozen=True)
class Endpoint:
    """A reader or writer somewhere in the domain."""

    gid: bytes
    participant: bytes
    topic: str
    type_name: str
    qos: Qos


def configuration() -> str:
    """Cyclone's configuration for ROS_AUTOMATIC_DISCOVERY_RANGE (default LOCALHOST), ROS_LOCALHOST_ONLY and
    ROS_STATIC_PEERS; what CYCLONEDDS_URI says wins."""
    wanted = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper()
    if os.environ.get("ROS_LOCALHOST_ONLY") == "1" or wanted not in ("SUBNET", "OFF", "SYSTEM_DEFAULT"):
        wanted = "LOCALHOST"
    peers = [peer for peer in os.environ.get("ROS_STATIC_PEERS", "").split(";") if peer]
    general = "<MaxMessageSize>65500B</MaxMessageSize><FragmentSize>60000B</FragmentSize>"
    if wanted == "LOCALHOST":
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        general += f'<Interfaces><NetworkInterface name="{loopback}"/></Interfaces>'
        peers.append("127.0.0.1")  # the address: a minimal system may not know the name
    if wanted in ("LOCALHOST", "OFF"):
        general += "<AllowMulticast>false</AllowMulticast>"
    listed = "".join(f'<Peer Address="{escape(peer)}"/>' for peer in peers)
    discovery = (
        "<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
    )
    # An uncompressed 1080p image has 6 MB; with Cyclone's default of 1 MB two of three such images are lost.
    # The kernel gives what net.core.rmem_max allows.
    internal = '<SocketReceiveBufferSize max="8MB"/>'
    own = (
        f"<CycloneDDS><Domain><General>{general}</General><Internal>{internal}</Internal>"
        f"<Discovery>{discovery}<Peers>{listed}</Peers></Discovery></Domain></CycloneDDS>"
    )
    user = os.environ.get("CYCLONEDDS_URI", "")
    return ",".join(part for part in (own if wanted != "SYSTEM_DEFAULT" else "", user) if part)


# The XTypes description of `struct Raw { octet first; }`, keyless: enough for Cyclone to carry any CDR.
# These are
# what `IdlStruct.__idl__` of the wheel says of that struct (a test compares); computing them would import
# all of it.
_RAW_TYPE = {
    "data_type_props": 0,
    "supported_versions": 5,
    "_xt_bytedata": (
        bytes.fromhex(
            "6000000001100040280000002400000014000000f1f5de112d140e2e8638d5b052e178002700000000000000040000000000000002"
            "100040280000002400000014000000f282d9c59576ea88b26eb761fb430b0038000000000000000400000000000000"
        ),
        bytes.fromhex(
            "3b00000001000000f1f5de112d140e2e8638d5b052e1780023000000f1510100010000000000000013000000010000000b00000000"
            "00000001000d8b04d5e3004c00000001000000f282d9c59576ea88b26eb761fb430b0034000000f25101000c000000000000000400"
            "0000526177001c00000001000000140000000000000001000d000600000066697273740000002200000001000000f282d9c59576ea"
            "88b26eb761fb430bf1f5de112d140e2e8638d5b052e178"
        ),
    ),
}

_patched_operations: dict[int, Any] = {}


def _hide_type_information(topic: int) -> None:
    """Keeps the XTypes description of the raw struct off the wire: ROS 2 peers match types by name and hash.

    The type's operations (14 pointers; 0 marks the layout, 8 to 10 give type id, map and information) are
    replaced by a copy without these three; Cyclone takes null as `no type information`."""
    sertype = ct.c_void_p()
    _checked(_lib.dds_get_entity_sertype(topic, ct.byref(sertype)), "get a topic's type")
    slot = ct.cast(sertype, ct.POINTER(ct.c_void_p))
    original = ct.cast(slot[0], ct.POINTER(ct.c_void_p))
    if original[0] != ct.cast(_lib.ddsi_sertype_v0, ct.c_void_p).value or not original[8]:
        return  # another layout, or patched already
    if slot[0] not in _patched_operations:
        copy = (ct.c_void_p * 14)(*original[:14])
        copy[8] = copy[9] = copy[10] = None
        _patched_operations[slot[0]] = copy
    slot[0] = ct.addressof(_patched_operations[slot[0]])


def _open_domain(domain_id: int) -> int:
    """The domain with our configuration. DdsError with what Cyclone wrote to stderr, if it refuses that."""
    said = io.StringIO()
    with _stderr_into(said):
        entity = _lib.dds_create_domain(domain_id, configuration().encode())
    if entity >= 0:
        if said.getvalue():
            print(said.getvalue(), end="", file=sys.stderr)  # warnings
        return entity
    lines = [re.sub(r"^[\d.]+ \[\d+\] +\S+: ", "", line) for line in said.getvalue().splitlines()]
    source = f" (CYCLONEDDS_URI is {uri!r})" if (uri := os.environ.get("CYCLONEDDS_URI")) else ""
    raise DdsError(f"Cyclone DDS refuses its configuration: {'; '.join(lines) or entity}{source}")


@contextlib.contextmanager
def _stderr_into(text: io.StringIO) -> Iterator[None]:
    """Collects what C code writes to the descriptor of stderr, if there is one."""
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            text.write(file.read())


class Participant:
    """A DDS participant and everything made from it; `close` deletes it all, in order."""

    _lock = threading.Lock()
    _domains: dict[int, list[int]] = {}  # noqa: RUF012  domain id -> [entity, participants]

    def __init__(self, domain_id: int) -> None:
        self.domain_id = domain_id
        with self._lock:
            if domain_id not in self._domains:
                self._domains[domain_id] = [_open_domain(domain_id), 0]
            qos = _lib.dds_create_qos()
            _lib.dds_qset_userdata(qos, b"enclave=/;", 10)
            self.entity = _lib.dds_create_participant(domain_id, qos, None)
            _lib.dds_delete_qos(qos)
            _checked(self.entity, f"join domain {domain_id}: are there more than 33 ROS processes in it?")
            self._domains[domain_id][1] += 1
        self.gid = guid(self.entity)
        self._topics: dict[tuple[str, str], int] = {}
        self._topic_lock = threading.Lock()
        self._builtin: dict[int, int] = {}

    def close(self) -> None:
        with self._lock:
            if self.entity:
                _lib.dds_delete(self.entity)
                self.entity = 0
                domain = self._domains[self.domain_id]
                domain[1] -= 1
                if not domain[1]:
                    _lib.dds_delete(domain[0])
                    del self._domains[self.domain_id]

    def _topic(self, name: str, type_name: str) -> int:
        with self._topic_lock:
            if (name, type_name) not in self._topics:
                idl = SimpleNamespace(idl_transformed_typename=type_name, **_RAW_TYPE)
                datatype = type("Raw", (), {"__idl__": idl})
                topic = _clayer.ddspy_topic_create(self.entity, name, datatype, None, None)
                _checked(topic, f"create topic {name} of type {type_name}")
                _hide_type_information(topic)
                self._topics[name, type_name] = topic
            return self._topics[name, type_name]

    def writer(self, name: str, type_name: str, qos: Qos) -> Writer:
        return Writer(self._make(_lib.dds_create_writer, name, type_name, qos, True))

    def reader(self, name: str, type_name: str, qos: Qos) -> Reader:
        return Reader(self._make(_lib.dds_create_reader, name, type_name, qos, False))

    def _make(self, create: Any, name: str, type_name: str, qos: Qos, for_writer: bool) -> int:
        topic = self._topic(name, type_name)
        pointer = qos.build(for_writer)
        try:
            return _checked(create(self.entity, topic, pointer, None), f"create an endpoint on {name}")
        finally:
            _lib.dds_delete_qos(pointer)

    def _read_builtin(self, which: int, read: Any, construct: Any) -> list[Any]:
        with self._topic_lock:
            if which not in self._builtin:
                reader = _lib.dds_create_reader(self.entity, which, None, None)
                self._builtin[which] = _checked(reader, "watch discovery")
            found = read(
                self._builtin[which],
                10000,
                construct,
                lambda pointer: _read_qos(pointer) if pointer else None,
            )
        return [item for item in found if item] if isinstance(found, list) else []

    def endpoints(self, writers: bool) -> list[Endpoint]:
        """All writers (or readers) known in the domain, our own included."""

        def construct(
            key: bytes, participant: bytes, _h: int, topic: str, kind: str, qos: Qos, info: Any, _t: Any
        ) -> Any:
            alive = info.valid_data and info.instance_state == ALIVE and topic and qos
            return Endpoint(key, participant, topic, kind, qos) if alive else False

        return self._read_builtin(
            _PUBLICATIONS if writers else _SUBSCRIPTIONS, _clayer.ddspy_read_endpoint, construct
        )

    def participants(self) -> dict[bytes, Qos]:
        """All participants alive in the domain by gid, our own included."""

        def construct(key: bytes, qos: Any, info: Any) -> Any:
            return (key, qos or Qos()) if info.valid_data and info.instance_state == ALIVE else False

        return dict(self._read_builtin(_PARTICIPANTS, _clayer.ddspy_read_participant, construct))


def guid(entity: int) -> bytes:
    buffer = (ct.c_uint8 * 16)()
    _checked(_lib.dds_get_guid(entity, buffer), "get a gid")
    return bytes(buffer)


class _End:
    """A reader or writer."""

    _matched: Any
    _matched_data: Any

    def __init__(self, entity: int) -> None:
        self.entity = entity
        self.gid = guid(entity)

    def close(self) -> None:
        _lib.dds_delete(self.entity)

    def watch(self, statuses: int) -> None:
        """Statuses whose changes trigger a wait set this is attached to."""
        _checked(_lib.dds_set_status_mask(self.entity, statuses), "watch a status")

    def changed(self) -> int:
        """Watched statuses that changed and have not been read since."""
        bits = ct.c_uint32()
        return bits.value if _lib.dds_get_status_changes(self.entity, ct.byref(bits)) == 0 else 0

    def status(self, bit: int) -> Any:
        """Reads a status (a dds_..._status_t structure) and marks it as seen."""
        function, structure = _STATUS[bit]
        value = structure()
        getattr(_lib, function)(self.entity, ct.byref(value))
        return value

    def match_count(self) -> int:
        return max(0, self._matched(self.entity, None, 0))

    def matches(self) -> list[Endpoint]:
        handles = (ct.c_uint64 * max(1, self.match_count()))()
        count = min(self._matched(self.entity, handles, len(handles)), len(handles))
        return [found for i in range(count) if (found := self.match(handles[i]))]

    def match(self, handle: int) -> Endpoint | None:
        """The matched endpoint with that instance handle."""
        pointer = self._matched_data(self.entity, handle)
        if not pointer:
            return None
        try:
            end = ct.cast(pointer, ct.POINTER(_Endpoint))[0]
            names = (end.topic_name or b"").decode(), (end.type_name or b"").decode()
            return Endpoint(bytes(end.key), bytes(end.participant_key), *names, _read_qos(end.qos))
        finally:
            _lib.dds_builtintopic_free_endpoint(pointer)


class Writer(_End):
    _matched = staticmethod(_lib.dds_get_matched_subscriptions)
    _matched_data = staticmethod(_lib.dds_get_matched_subscription_data)

    def write(self, data: memoryview) -> None:
        """Writes one sample of CDR (a writable buffer); DdsError if that fails."""
        size = len(data)
        sample = _Sample(ct.addressof(ct.c_char.from_buffer(data)), size)
        _checked(_lib.dds_write(self.entity, ct.byref(sample)), "write")

    def handle(self) -> int:
        value = ct.c_uint64()
        _checked(_lib.dds_get_instance_handle(self.entity, ct.byref(value)), "get a handle")
        return value.value

    def wait_for_acks(self, timeout_ns: int) -> bool:
        return _lib.dds_wait_for_acks(self.entity, timeout_ns) == 0

    def assert_liveliness(self) -> None:
        _checked(_lib.dds_assert_liveliness(self.entity), "assert liveliness")


class Reader(_End):
    _matched = staticmethod(_lib.dds_get_matched_publications)
    _matched_data = staticmethod(_lib.dds_get_matched_publication_data)

    def __init__(self, entity: int) -> None:
        super().__init__(entity)
        self.condition = _checked(_lib.dds_create_readcondition(entity, _ANY), "create a condition")

    def take(self, count: int = 1) -> list[tuple[bytes, Any]]:
        """At most `count` samples as (CDR, SampleInfo)."""
        samples = _clayer.ddspy_take(self.entity, _ANY, count)
        return [s for s in samples if s[1].valid_data] if isinstance(samples, list) else []


class Guard:
    """A condition set by hand; stays triggered until cleared."""

    def __init__(self, participant: Participant) -> None:
        self.entity = _checked(_lib.dds_create_guardcondition(participant.entity), "create a guard condition")

    def set(self) -> None:
        _lib.dds_set_guardcondition(self.entity, True)

    def clear(self) -> bool:
        """Clears it; whether it was set."""
        was = ct.c_bool()
        return _lib.dds_take_guardcondition(self.entity, ct.byref(was)) == 0 and was.value

    def close(self) -> None:
        _lib.dds_delete(self.entity)


class WaitSet:
    """Waits for conditions and entities, each attached under a number."""

    def __init__(self, participant: Participant) -> None:
        self.entity = _checked(_lib.dds_create_waitset(participant.entity), "create a wait set")
        self._found = (ct.c_ssize_t * 64)()

    def attach(self, entity: int, number: int) -> bool:
        return _lib.dds_waitset_attach(self.entity, entity, number) == 0

    def detach(self, entity: int) -> None:
        _lib.dds_waitset_detach(self.entity, entity)

    def wait(self, timeout_ns: int) -> list[int]:
        """Numbers of what triggered, at most 64; empty after `timeout_ns`; DdsError once the participant is
        gone."""
        count = _lib.dds_waitset_wait(self.entity, self._found, 64, max(0, timeout_ns))
        if count in (TIMEOUT, 0):
            return []
        _checked(count, "wait")
        return self._found[: min(count, 64)]

    def close(self) -> None:
        _lib.dds_delete(self.entity)
