"""Interface definitions: .msg, .srv and .action files, and the Jazzy store of `rosbags`, read into `Message`
records.

Names are full ROS names (`sensor_msgs/msg/Image`, `std_srvs/srv/Trigger_Request`, `pkg/action/Do_Goal`).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHARE = Path(__file__).resolve().parents[2] / "share"

# RIHS01 type ids of the scalars (REP-2016); arrays add 48, bounded sequences 96, unbounded sequences 144.
TYPE_IDS = {
    "int8": 2, "uint8": 3, "int16": 4, "uint16": 5, "int32": 6, "uint32": 7, "int64": 8, "uint64": 9,
    "float32": 10, "float64": 11, "char": 3, "bool": 15, "byte": 16, "string": 17,
}  # fmt: skip
EMPTY = "structure_needs_at_least_one_member"
# rosbags drops the default values of fields; these are all there are among its Jazzy messages.
STORE_DEFAULTS = {("geometry_msgs/msg/Quaternion", "w"): 1.0}


class DefinitionError(ValueError):
    """A definition that cannot be found or read."""


@dataclass(frozen=True)
class Field:
    """One field. `base` is a scalar's name or a full message name; `kind` is scalar, array or sequence;
    `size` an array's length or a sequence's bound (0: none); `bound` the longest string (0: any)."""

    name: str
    base: str
    kind: str = "scalar"
    size: int = 0
    bound: int = 0
    default: Any = None

    @property
    def nested(self) -> bool:
        return "/" in self.base


@dataclass(frozen=True)
class Message:
    """A message: `fields` in order, `constants` as (name, scalar, value)."""

    name: str
    fields: tuple[Field, ...]
    constants: tuple[tuple[str, str, Any], ...] = field(default=())


_LINE = re.compile(
    r"(?P<base>[A-Za-z][\w/]*)(<=(?P<bound>\d+))?(?P<array>\[(?P<limit><=)?(?P<size>\d*)\])?\s+"
    r"(?P<name>[A-Za-z]\w*)\s*(?P<rest>.*)"
)


def parse_message(name: str, text: str, source: str = "") -> Message:
    """`text` in .msg syntax as message `name`; raises DefinitionError naming the line."""
    fields, constants = [], []
    for number, raw in enumerate(text.splitlines(), 1):
        line = _strip_comment(raw)
        if not line or line.startswith("@"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise DefinitionError(f"{source or name}:{number}: cannot read {raw.strip()!r}")
        base, rest = _full_base(match["base"], name), match["rest"].strip()
        if "/" not in base and base not in TYPE_IDS:
            raise DefinitionError(f"{source or name}:{number}: unknown type {base!r}")
        if rest.startswith("=") and not match["array"]:
            constants.append((match["name"], base, _literal(base, rest[1:].strip())))
            continue
        kind = "scalar"
        if match["array"]:
            kind = "array" if match["size"] and not match["limit"] else "sequence"
        default = _literal(base, rest) if rest else None
        fields.append(
            Field(match["name"], base, kind, int(match["size"] or 0), int(match["bound"] or 0), default)
        )
    return Message(name, tuple(fields) or (Field(EMPTY, "uint8"),), tuple(constants))


def _strip_comment(line: str) -> str:
    """The line up to a # outside quotes."""
    quote = ""
    for i, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#":
            return line[:i].strip()
    return line.strip()


def _full_base(base: str, owner: str) -> str:
    package = owner.split("/")[0]
    parts = base.split("/")
    if len(parts) == 3:
        return base
    if len(parts) == 2:
        return f"{parts[0]}/msg/{parts[1]}"
    return base if base in TYPE_IDS or base[0].islower() else f"{package}/msg/{base}"


def _literal(base: str, text: str) -> Any:
    """A default or constant as a Python value."""
    if base == "string" and not text.startswith("["):
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
        return ast.literal_eval(text) if quoted else text
    value = ast.literal_eval(re.sub(r"\b(true|false)\b", lambda m: m[0].capitalize(), text))
    return _as_scalar(base, value)


def _as_scalar(base: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_scalar(base, v) for v in value]
    if base == "bool":
        return bool(value)
    if base == "byte":
        return bytes([value])
    return float(value) if base.startswith("float") else value


def prefixes() -> list[Path]:
    """Share folders to look in: every AMENT_PREFIX_PATH entry, then this runtime's own."""
    folders = [Path(p) / "share" for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    return list(dict.fromkeys([*folders, SHARE]))


def find_file(name: str) -> Path | None:
    """The file that defines `package/kind/Name`, if a prefix has one."""
    package, kind, short = name.split("/")
    for share in prefixes():
        path = share / package / kind / f"{short}.{kind}"
        if path.is_file():
            return path
    return None


@functools.cache
def _store() -> dict[str, Any]:
    from rosbags.typesys.stores.ros2_jazzy import FIELDDEFS

    return FIELDDEFS


def _from_store(name: str) -> Message | None:
    if name not in _store():
        return None
    constants, entries = _store()[name]
    fields = []
    for field_name, (node, detail) in entries:
        kind, size = "scalar", 0
        if node in (3, 4):
            kind = "array" if node == 3 else "sequence"
            (node, detail), size = detail
        base, bound = (detail, 0) if node == 2 else detail
        default = STORE_DEFAULTS.get((name, field_name))
        fields.append(Field(field_name, base, kind, size, bound, default))
    return Message(name, tuple(fields), tuple((n, b, _as_scalar(b, v)) for n, b, v in constants))


_SPLIT = re.compile(r"^---\s*$", re.MULTILINE)
_UUID = Field("goal_id", "unique_identifier_msgs/msg/UUID")
_STAMP = Field("stamp", "builtin_interfaces/msg/Time")


def _parts(name: str, count: int) -> list[str]:
    path = find_file(name)
    if path is None:
        raise DefinitionError(f"no interface {name!r} in {', '.join(map(str, prefixes()))}")
    parts = _SPLIT.split(path.read_text())
    if len(parts) != count:
        raise DefinitionError(f"{path}: {len(parts)} sections, expected {count} separated by ---")
    return parts


@functools.cache
def load(name: str) -> Message:
    """The definition of a message, of a service's part (`_Request`, `_Response`, `_Event`) or of an
    action's (`_Goal`, `_Result`, `_Feedback`, `_FeedbackMessage`, `_SendGoal_Request`, ...)."""
    if name.count("/") != 2:
        raise DefinitionError(f"{name!r} is not an interface name such as sensor_msgs/msg/Image")
    _, kind, short = name.split("/")
    if kind == "msg":
        path = find_file(name)
        found = parse_message(name, path.read_text(), str(path)) if path else _from_store(name)
        if found is None:
            raise DefinitionError(f"no interface {name!r}")
        return found
    part = short.rpartition("_")[2]
    owner_name = name[: len(name) - len(part) - 1]
    if part == "Event":
        return Message(name, (
            Field("info", "service_msgs/msg/ServiceEventInfo"),
            Field("request", f"{owner_name}_Request", "sequence", 1),
            Field("response", f"{owner_name}_Response", "sequence", 1),
        ))  # fmt: skip
    if kind == "srv" and part in ("Request", "Response"):
        return parse_message(name, _parts(owner_name, 2)[part == "Response"], owner_name)
    if kind == "action":
        if part in ("Goal", "Result", "Feedback"):
            index = ("Goal", "Result", "Feedback").index(part)
            return parse_message(name, _parts(owner_name, 3)[index], owner_name)
        base = name.removesuffix(f"_{part}").removesuffix("_SendGoal").removesuffix("_GetResult")
        implied = {
            "FeedbackMessage": (_UUID, Field("feedback", f"{base}_Feedback")),
            "SendGoal_Request": (_UUID, Field("goal", f"{base}_Goal")),
            "SendGoal_Response": (Field("accepted", "bool"), _STAMP),
            "GetResult_Request": (_UUID,),
            "GetResult_Response": (Field("status", "int8"), Field("result", f"{base}_Result")),
        }
        key = name[len(base) + 1 :]
        if key in implied:
            return Message(name, implied[key])
    raise DefinitionError(f"no interface {name!r}")


def text(name: str) -> str:
    """A definition in .msg, .srv or .action syntax: its file's text, else what `load` found, written out."""
    path = find_file(name)
    if path is not None:
        return path.read_text().rstrip()
    message = load(name)
    constants = [f"{base} {constant}={value}" for constant, base, value in message.constants]
    return "\n".join([*constants, *(_field_text(field) for field in message.fields)])


def _field_text(item: Field) -> str:
    sequence = f"[<={item.size}]" if item.size else "[]"
    array = {"scalar": "", "array": f"[{item.size}]", "sequence": sequence}[item.kind]
    bound = f"<={item.bound}" if item.bound else ""
    default = "" if item.default is None else f" {item.default}"
    return f"{item.base.replace('/msg/', '/')}{bound}{array} {item.name}{default}"


def full_text(name: str) -> str:
    """A message's definition followed by those of all messages in it, as bags carry it."""
    found: dict[str, str] = {}

    def collect(message: str) -> None:
        found[message] = text(message)
        for item in load(message).fields:
            if item.nested and item.base not in found:
                collect(item.base)

    collect(name)
    own = found.pop(name)
    nested = (f"{'=' * 80}\nMSG: {key.replace('/msg/', '/')}\n{value}" for key, value in found.items())
    return "\n".join([own, *nested]) + "\n"


def exists(name: str) -> bool:
    """Whether a message, service or action of that full name can be loaded."""
    try:
        kind = name.split("/")[1]
        if kind == "msg":
            load(name)
        else:
            _parts(name, 2 if kind == "srv" else 3)
    except (DefinitionError, IndexError):
        return False
    return True


def interfaces(package: str, kind: str) -> list[str]:
    """Names of a package's interfaces of kind msg, srv or action, sorted."""
    found = {p.stem for share in prefixes() for p in (share / package / kind).glob(f"*.{kind}")}
    if kind == "msg":
        found |= {name.split("/")[2] for name in _store() if name.startswith(f"{package}/msg/")}
    return sorted(found)


def packages() -> list[str]:
    """Packages that have interfaces."""
    found = {name.split("/")[0] for name in _store()}
    for share in prefixes():
        for kind in ("msg", "srv", "action"):
            found |= {path.parent.name for path in share.glob(f"*/{kind}") if any(path.glob(f"*.{kind}"))}
    return sorted(found)


def _service_fields(name: str) -> tuple[Field, ...]:
    if "/srv/" in name or name.endswith(("_SendGoal", "_GetResult")):
        parts = ("Request", "Response", "Event")
        return tuple(Field(f"{p.lower()}_message", f"{name}_{p}") for p in parts)
    return (
        Field("goal", f"{name}_Goal"),
        Field("result", f"{name}_Result"),
        Field("feedback", f"{name}_Feedback"),
        Field("send_goal_service", f"{name}_SendGoal"),
        Field("get_result_service", f"{name}_GetResult"),
        Field("feedback_message", f"{name}_FeedbackMessage"),
    )


def _hash_fields(name: str) -> tuple[Field, ...]:
    try:
        return load(name).fields
    except DefinitionError:
        return _service_fields(name)


@functools.cache
def type_hash(name: str) -> str:
    """The RIHS01 hash of a message, a service or an action."""
    described: dict[str, Any] = {}

    def describe(type_name: str) -> None:
        fields = _hash_fields(type_name)
        described[type_name] = {"type_name": type_name, "fields": [entry(f) for f in fields]}
        for item in fields:
            if item.nested and item.base not in described:
                describe(item.base)

    def entry(item: Field) -> dict[str, Any]:
        offset = {"scalar": 0, "array": 48, "sequence": 96 if item.size else 144}[item.kind]
        number = 1 if item.nested else 21 if item.bound else TYPE_IDS[item.base]
        return {
            "name": item.name,
            "type": {
                "type_id": number + offset,
                "capacity": item.size,
                "string_capacity": item.bound,
                "nested_type_name": item.base if item.nested else "",
            },
        }

    describe(name)
    own = described.pop(name)
    text = json.dumps({
        "type_description": own,
        "referenced_type_descriptions": [described[key] for key in sorted(described)],
    })  # fmt: skip
    return "RIHS01_" + hashlib.sha256(text.encode()).hexdigest()
