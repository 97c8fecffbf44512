"""Names of nodes, namespaces, topics and services: validation, expansion, remapping."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rclpy.exceptions import (
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)

# DDS allows 255 characters for a topic. ROS puts `rq/` or `rr/` and `Request` or `Reply` around a name,
# and a namespace has at least `/x` after it.
LONGEST_NODE_NAME, LONGEST_FULL_NAME, LONGEST_NAMESPACE = 255, 247, 245

Rule = tuple[str, str]  # a pattern of what is wrong, and words for it
_ABSOLUTE = (r"^[^/]", "must be absolute, starting with '/'")
_LAST_SLASH = (r"(?<=.)/$", "must not end with '/'")
_CHARACTERS = (r"[^A-Za-z0-9_/]", "must not contain characters other than alphanumerics, '_' and '/'")
_REPEATED = (r"(?<=/)/", "must not contain repeated '/'")
_NUMBER = (r"(?<=/)[0-9]", "must not have a token that starts with a number")
_SUBSTITUTION = r"\{[A-Za-z_][A-Za-z0-9_]*\}"
_USER_RULES: tuple[Rule, ...] = (
    (r"/$", "must not end with '/'"),
    (r"\{[^}]*$|^[^{]*\}", "must not have unbalanced curly braces"),
    (rf"(?!{_SUBSTITUTION})\{{", "substitution must be an alphanumeric word in curly braces"),
    (
        r"[^A-Za-z0-9_/~{}]",
        "must not contain characters other than alphanumerics, '_', '/', '~', '{' and '}'",
    ),
    (r"^[0-9]", "must not start with a number"),
    (r"(?<=/)[0-9]", "token must not start with a number"),
    (r"(?<=.)~|^~(?=[^/])", "must have a tilde only at the start, followed by '/' or nothing"),
)


def _first_problem(name: str, rules: Iterable[Rule], longest: int | None = None) -> tuple[str, int] | None:
    """What is wrong with a name, and where; None if nothing is."""
    if not name:
        return "must not be empty", 0
    for pattern, words in rules:
        if found := re.search(pattern, name):
            return words, found.start()
    if longest is not None and len(name) > longest:
        return f"should not exceed {longest} characters", longest
    return None


def validate_node_name(node_name: str) -> bool:
    rules = (
        (r"[^A-Za-z0-9_]", "must not contain characters other than alphanumerics and '_'"),
        (r"^[0-9]", "must not start with a number"),
    )
    if problem := _first_problem(node_name, rules, LONGEST_NODE_NAME):
        raise InvalidNodeNameException(node_name, f"node name {problem[0]}", problem[1])
    return True


def validate_namespace(namespace: str) -> bool:
    rules = (_ABSOLUTE, _LAST_SLASH, _CHARACTERS, _REPEATED, _NUMBER)
    if problem := _first_problem(namespace, rules, LONGEST_NAMESPACE):
        raise InvalidNamespaceException(namespace, f"namespace {problem[0]}", problem[1])
    return True


def _refuse(name: str, problem: tuple[str, int] | None, is_service: bool) -> None:
    if problem:
        error, kind = (
            (InvalidServiceNameException, "service name")
            if is_service
            else (InvalidTopicNameException, "topic name")
        )
        raise error(name, f"{kind} {problem[0]}", problem[1])


def validate_full_topic_name(name: str, *, is_service: bool = False) -> bool:
    rules = (_ABSOLUTE, (r"/$", _LAST_SLASH[1]), _CHARACTERS, _REPEATED, _NUMBER)
    _refuse(name, _first_problem(name, rules, LONGEST_FULL_NAME), is_service)
    return True


def validate_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Checks a name as users write it: absolute, relative, `~/private`, with {node}, {ns}."""
    _refuse(name, _first_problem(name, _USER_RULES), is_service)
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
    known = {"node": node_name, "ns": base, "namespace": base}
    for word in re.findall(_SUBSTITUTION, name):
        if word[1:-1] not in known:
            choices = ", ".join(f"{{{key}}}" for key in known)
            _refuse(topic_name, (f"has an unknown substitution {word}; there are {choices}", 0), is_service)
        name = name.replace(word, known[word[1:-1]])
    name = name if name.startswith("/") else f"{base}/{name}"
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
        """ValueError for what is no rule."""
        source, found, target = text.partition(":=")
        if not found or not source or not target:
            raise ValueError(f"remap rule {text!r} is not of the form [node:]from:=to")
        match = re.match(r"(\w+):(?!//)(.+)", source)
        node, source = (match[1], match[2]) if match else ("", source)
        rule = cls(node, "__node" if source == "__name" else source, target)
        try:
            rule._validate()
        except (InvalidNamespaceException, InvalidNodeNameException, InvalidTopicNameException) as error:
            raise ValueError(f"remap rule {text!r}: {error}") from None
        return rule

    def _validate(self) -> None:
        if self.source == "__node":
            validate_node_name(self.target)
        elif self.source == "__ns":
            validate_namespace(self.target)
        else:
            validate_topic_name(self.source.rpartition("://")[2])
            validate_topic_name(self.target.rpartition("://")[2])


def remap_node(rules: list[Remap], name: str, namespace: str) -> tuple[str, str]:
    """Node name and namespace after __node and __ns rules; of several for one thing the first counts."""
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
