"""rosbag2 bags (MCAP) in and out: messages as the CDR bytes that were on the wire. Needs the extra `ros`.

A bag is a folder with `<folder>_0.mcap` and `metadata.yaml`, as rosbag2 of Jazzy writes it (profile ros2,
schemas ros2msg). Beside the messages it has facts, text by name: in a metadata record at the beginning of the
MCAP file, where a killed process cannot lose them, and with those of the end as custom data in metadata.yaml.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, Message, Metadata, Schema
from mcap.stream_reader import CRCValidationError, StreamReader, breakup_chunk
from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from hilam_core.errors import DataError, FileError
from hilam_core.files import replacing

FACTS = "hilam"  # name of the metadata record
VERSION = 9  # of metadata.yaml: Jazzy's
CHUNK_BYTES = 1 << 20  # what a killed process may lose, and a second's messages: see `flush`


@dataclass(frozen=True)
class Topic:
    """A recorded topic: its type ("sensor_msgs/msg/Image"), the definition in .msg syntax with those of all
    nested messages, the RIHS01 hash (empty: unknown), the quality of service of its publishers (YAML)."""

    name: str
    type: str
    definition: str
    type_hash: str = ""
    qos: str = "[]"


class _File:
    """A file that takes all of what it is given or raises; the MCAP writer expects that of a stream."""

    def __init__(self, path: Path):
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)  # until it is closed, also by the end of this process
        self.size = 0

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self, size: int) -> None:
        """Close the file, cut to its first `size` bytes."""
        with self._file as file:
            file.truncate(size)


class BagWriter:
    """A new bag, in the empty folder `folder`.

    Raises:
        FileError: it cannot be made or written. What was written before stays readable; nothing more can be
        written.
    """

    def __init__(self, folder: Path, facts: Mapping[str, str]):
        self.folder, self.facts = folder, dict(facts)
        self.path = folder / f"{folder.name}_0.mcap"
        self.counts: Counter[Topic] = Counter()
        self.start_ns = self.end_ns = 0
        self._schemas: dict[str, int] = {}
        self._channels: dict[Topic, int] = {}
        try:
            self._file = _File(self.path)
        except OSError as error:
            raise FileError(f"cannot write '{self.path}': {error.strerror}") from None
        self._whole = 0  # bytes that end with a whole record
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE)  # type: ignore[arg-type]
        with self._writing():
            self._writer.start("ros2", "hilam")
            self._writer.add_metadata(FACTS, self.facts)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._whole

    def write(self, topic: Topic, received_ns: int, data: bytes, published_ns: int = 0) -> None:
        """Add a message. Times in nanoseconds since the epoch; published_ns: 0 where it is not known."""
        with self._writing():
            if topic not in self._channels:
                self._channels[topic] = self._register(topic)
            at_ns = published_ns or received_ns
            self._writer.add_message(self._channels[topic], received_ns, data, at_ns)
        self.start_ns = min(self.start_ns or received_ns, received_ns)
        self.end_ns = max(self.end_ns, received_ns)
        self.counts[topic] += 1

    def _register(self, topic: Topic) -> int:
        if topic.type not in self._schemas:
            schema = self._writer.register_schema(topic.type, "ros2msg", topic.definition.encode())
            self._schemas[topic.type] = schema
        described = {"offered_qos_profiles": topic.qos, "topic_type_hash": topic.type_hash}
        return self._writer.register_channel(topic.name, "cdr", self._schemas[topic.type], described)

    def flush(self) -> None:
        """Hand what has come so far to the system: the end of this process cannot lose it any more."""
        with self._writing():
            self._writer.flush()

    def close(self, facts: Mapping[str, str]) -> None:
        """Complete the bag; facts: what is known only now."""
        self.facts |= facts
        self.flush()  # what comes now may find the disk full, and must not take the last messages along
        with self._writing():
            self._writer.finish()
        self._file.close(self._whole)
        self._write_metadata()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What is done within leaves the file whole, or closes it and raises FileError."""
        try:
            yield
        except OSError as error:
            raise self._give_up(error) from None
        self._whole = self._file.size

    def _give_up(self, error: OSError) -> FileError:
        """Close a file that can take no more, at the end of its last whole record."""
        with suppress(OSError):
            self._file.close(self._whole)
        self.facts["unfinished"] = error.strerror or str(error)
        with suppress(FileError):
            self._write_metadata()
        return FileError(f"cannot write '{self.path}': {error.strerror}")

    def _span(self) -> dict[str, Any]:
        return {
            "starting_time": {"nanoseconds_since_epoch": self.start_ns},
            "duration": {"nanoseconds": self.end_ns - self.start_ns},
            "message_count": sum(self.counts.values()),
        }

    def _write_metadata(self) -> None:
        topics = [
            {
                "topic_metadata": {
                    "name": topic.name,
                    "type": topic.type,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": yaml.safe_load(topic.qos),
                    "type_description_hash": topic.type_hash,
                },
                "message_count": self.counts[topic],
            }
            for topic in self._channels
        ]
        content = {
            "version": VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [self.path.name],
            **self._span(),
            "topics_with_message_count": topics,
            "compression_format": "",
            "compression_mode": "",
            "files": [{"path": self.path.name, **self._span()}],
            "custom_data": self.facts,
            "ros_distro": "jazzy",
        }
        _write_yaml(self.folder, content)


def add_facts(folder: Path, facts: Mapping[str, str]) -> None:
    """Add facts to a complete bag.

    Raises:
        DataError: it has no metadata.yaml.
        FileError: that cannot be written.
    """
    content = _read_yaml(folder)
    content["custom_data"] = {**(content.get("custom_data") or {}), **facts}
    _write_yaml(folder, content)


def _read_yaml(folder: Path) -> dict[str, Any]:
    path = folder / "metadata.yaml"
    try:
        return dict(yaml.safe_load(path.read_text())["rosbag2_bagfile_information"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"'{path}' is not a bag's metadata: {error}") from None


def _write_yaml(folder: Path, content: Mapping[str, Any]) -> None:
    text = yaml.safe_dump({"rosbag2_bagfile_information": dict(content)}, sort_keys=False)
    with replacing(folder / "metadata.yaml") as draft:
        draft.write_text(text)


class BagReader:
    """A bag, complete or not: a folder, or its one MCAP file.

    facts: as of the end. topics: type by name. complete: the file has its end. end_ns: when the last message
    came.

    Raises:
        DataError: there is no bag, or nothing in it can be read.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.file = _mcap_file(self.path)
        self.facts: dict[str, str] = {}
        self.topics: dict[str, str] = {}
        self.end_ns = 0
        self.counts: Counter[str] = Counter()
        self.complete = True
        self._types = get_typestore(Stores.EMPTY)
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._look_through()
        if (self.path / "metadata.yaml").is_file():
            self.facts |= _read_yaml(self.path).get("custom_data") or {}

    def _look_through(self) -> None:
        for record in self._records():
            if isinstance(record, Metadata) and record.name == FACTS:
                self.facts |= record.metadata
            elif isinstance(record, Schema):
                self._schemas[record.id] = record
            elif isinstance(record, Channel) and record.id not in self._channels:
                self._channels[record.id] = record
                self.topics[record.topic] = self._schemas[record.schema_id].name
                _register_types(self._types, self._schemas[record.schema_id], self.file)
            elif isinstance(record, Message):
                self.counts[self._channels[record.channel_id].topic] += 1
                self.end_ns = max(self.end_ns, record.log_time)
        if not self.counts:
            why = "" if self.complete else " that can be read: it is cut off at its beginning, or no MCAP"
            raise DataError(f"bag '{self.file}' has no messages{why}")

    def messages(self, topics: Collection[str], published: bool = False) -> Iterator[tuple[str, int, Any]]:
        """(topic, when, message) of these topics, in the order of their arrival, or of their publication, for
        which all are held in memory. Messages have the fields that ROS names, numbers in sequences as arrays.
        """
        chosen = (
            record
            for record in self._records()
            if isinstance(record, Message) and self._channels[record.channel_id].topic in topics
        )
        for record in sorted(chosen, key=lambda record: record.publish_time) if published else chosen:
            topic = self._channels[record.channel_id].topic
            message: Any = self._types.deserialize_cdr(memoryview(record.data), self.topics[topic])
            yield topic, record.publish_time if published else record.log_time, message

    def records(self) -> Iterator[tuple[Topic, Message]]:
        """Every message as it is, with its topic."""
        topics = {}
        for number, channel in self._channels.items():
            schema, said = self._schemas[channel.schema_id], channel.metadata
            definition = schema.data.decode()
            described = said.get("topic_type_hash", ""), said.get("offered_qos_profiles") or "[]"
            topics[number] = Topic(channel.topic, schema.name, definition, *described)
        for record in self._records():
            if isinstance(record, Message):
                yield topics[record.channel_id], record

    def _records(self) -> Iterator[Any]:
        """Records up to the end of the file, or to where it breaks off."""
        try:
            with open(self.file, "rb") as stream:
                for record in StreamReader(stream, emit_chunks=True).records:
                    if isinstance(record, Chunk):
                        yield from breakup_chunk(record, validate_crc=True)
                    else:
                        yield record
        except OSError as error:
            raise DataError(f"bag '{self.file}' cannot be read: {error.strerror}") from None
        except (McapError, CRCValidationError, struct.error, EOFError, ValueError):
            self.complete = False


def complete_bag(folder: Path) -> bool:
    """Give a bag that a killed process left the end, the index and the metadata.yaml that other readers need;
    False where there is nothing to do, or its writer still writes. Its fact `unfinished` says what happened.

    Raises:
        DataError: nothing in it can be read.
        FileError: it cannot be written.
    """
    if (folder / "metadata.yaml").exists():
        return False
    file = _mcap_file(folder)
    with file.open("rb") as own:
        try:
            fcntl.flock(own, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    bag, draft = BagReader(folder), folder / ".complete" / folder.name
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    writer = BagWriter(draft, bag.facts)
    for topic, record in bag.records():
        writer.write(topic, record.log_time, record.data, record.publish_time)
    writer.close({"unfinished": "the recorder was killed"})
    os.replace(writer.path, file)
    os.replace(draft / "metadata.yaml", folder / "metadata.yaml")
    shutil.rmtree(draft.parent)
    return True


def _register_types(types: Typestore, schema: Schema, file: Path) -> None:
    if schema.encoding != "ros2msg":
        raise DataError(f"bag '{file}': {schema.name} is described in '{schema.encoding}', expected ros2msg")
    found = get_types_from_msg(schema.data.decode(), schema.name)
    types.register({name: fields for name, fields in found.items() if name not in types.fielddefs})


def _mcap_file(path: Path) -> Path:
    files = sorted(path.glob("*.mcap")) if path.is_dir() else [path]
    if not files and list(path.glob("*.db3*")):
        raise DataError(f"bag '{path}' is in sqlite3: convert it to MCAP with 'ros2 bag convert'")
    if len(files) != 1:
        raise DataError(f"'{path}' has {len(files)} MCAP files, expected one: a bag, or one of its files")
    return files[0]


def find_bags(paths: Sequence[Path]) -> list[Path]:
    """The bags in files and folders and below, sorted; DataError where a path has none."""
    found: list[Path] = []
    for path in paths:
        files = [path] if path.is_file() else sorted(path.rglob("*.mcap"))
        if not files:
            raise DataError(f"no bag (*.mcap) in '{path}'")
        found += [file if file == path else file.parent for file in files]
    return list(dict.fromkeys(found))
