"""Names of nodes, namespaces, topics and services: validation, expansion, remapping."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rclpy.exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)

_NODE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def _first_bad(name: str, allowed: str) -> int:
    return next((i for i, char in enumerate(name) if not re.match(allowed, char, re.ASCII)), 0)


def validate_node_name(node_name: str) -> bool:
    if not node_name:
        raise InvalidNodeNameException(node_name, "node name must not be empty", 0)
    if not _NODE.fullmatch(node_name):
        message = (
            "node name must not contain characters other than alphanumerics or '_' nor start with a number"
        )
        raise InvalidNodeNameException(node_name, message, _first_bad(node_name, r"\w"))
    return True


def validate_namespace(namespace: str) -> bool:
    if not namespace.startswith("/"):
        raise InvalidNamespaceException(namespace, "namespace must be absolute, it must lead with a '/'", 0)
    if namespace != "/" and not all(_TOKEN.fullmatch(token) for token in namespace[1:].split("/")):
        message = "namespace tokens must be alphanumerics or '_', not empty, not starting with a number"
        raise InvalidNamespaceException(namespace, message, _first_bad(namespace, r"[\w/]"))
    return True


def validate_full_topic_name(name: str, *, is_service: bool = False) -> bool:
    error = InvalidServiceNameException if is_service else InvalidTopicNameException
    if not name.startswith("/"):
        raise error(name, "topic name must be absolute, it must lead with a '/'", 0)
    if not all(_TOKEN.fullmatch(token) for token in name[1:].split("/")):
        message = "topic name tokens must be alphanumerics or '_', not empty, not starting with a number"
        raise error(name, message, _first_bad(name, r"[\w/]"))
    return True


def validate_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Checks a name as users write it: absolute, relative, `~/private`, with {node}, {ns}."""
    error = InvalidServiceNameException if is_service else InvalidTopicNameException
    if not name:
        raise error(name, "topic name must not be empty string", 0)
    plain = re.sub(r"\{\w+\}", "x", name)
    plain = re.sub(r"^~(?=/|$)", "/x", plain)
    tokens = plain.removeprefix("/").split("/")
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        message = (
            "topic name must not contain characters other than alphanumerics, '_', '~', '{', '}', or '/'"
        )
        raise error(name, message, _first_bad(name, r"[\w/~{}]"))
    return True


def full_node_name(namespace: str, node_name: str) -> str:
    return f"{namespace.rstrip('/')}/{node_name}"


def expand_topic_name(
    topic_name: str, node_name: str, node_namespace: str, *, is_service: bool = False
) -> str:
    """The absolute name of what a node calls `topic_name`."""
    validate_topic_name(topic_name, is_service=is_service)
    base = node_namespace.rstrip("/")
    name = topic_name
    if name.startswith("~"):
        name = f"{base}/{node_name}{name[1:]}"
    for key, value in {"node": node_name, "ns": node_namespace, "namespace": node_namespace}.items():
        name = name.replace(f"{{{key}}}", value)
    name = re.sub("/+", "/", name if name.startswith("/") else f"{base}/{name}")
    validate_full_topic_name(name, is_service=is_service)
    return name


@dataclass(frozen=True)
class Remap:
    """`[node:]source:=target`; source may be __node, __ns, rostopic://x, rosservice://x."""

    node: str
    source: str
    target: str

    @classmethod
    def parse(cls, text: str) -> Remap:
        source, found, target = text.partition(":=")
        if not found or not source or not target:
            raise ValueError(f"remap rule {text!r} is not of the form [node:]from:=to")
        match = re.match(r"(\w+):(?!//)(.+)", source)
        node, source = (match[1], match[2]) if match else ("", source)
        return cls(node, "__node" if source == "__name" else source, target)


def remap_node(rules: list[Remap], name: str, namespace: str) -> tuple[str, str]:
    """Node name and namespace after __node and __ns rules."""
    found = {rule.source: rule.target for rule in reversed(rules) if rule.node in ("", name)}
    return found.get("__node", name), found.get("__ns", namespace)


def resolve(
    rules: list[Remap],
    name: str,
    node_name: str,
    namespace: str,
    *,
    is_service: bool = False,
    only_expand: bool = False,
) -> str:
    """Expands a name and applies the first remap rule that fits."""
    full = expand_topic_name(name, node_name, namespace, is_service=is_service)
    if only_expand:
        return full
    for rule in rules:
        if rule.node not in ("", node_name) or rule.source.startswith("__"):
            continue
        scheme, found, source = rule.source.rpartition("://")
        if found and scheme != ("rosservice" if is_service else "rostopic"):
            continue
        if expand_topic_name(source, node_name, namespace) == full:
            return expand_topic_name(rule.target, node_name, namespace, is_service=is_service)
    return full
