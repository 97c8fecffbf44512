"""QoS of a topic as parameters, which launch files and command lines may override."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult

from rclpy.duration import Duration
from rclpy.exceptions import ParameterAlreadyDeclaredException
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)

if TYPE_CHECKING:
    from rclpy.node import Node

_ENUMERATIONS = {
    QoSPolicyKind.HISTORY: HistoryPolicy, QoSPolicyKind.RELIABILITY: ReliabilityPolicy,
    QoSPolicyKind.DURABILITY: DurabilityPolicy, QoSPolicyKind.LIVELINESS: LivelinessPolicy,
}  # fmt: skip
_DURATIONS = (QoSPolicyKind.DEADLINE, QoSPolicyKind.LIFESPAN, QoSPolicyKind.LIVELINESS_LEASE_DURATION)


class InvalidQosOverridesError(Exception):
    """Raised when the callback of the options refuses the profile."""


class QoSOverridingOptions:
    """Which policies may be overridden by `qos_overrides.<topic>.<publisher|subscription>[_id].<policy>`."""

    def __init__(
        self,
        policy_kinds: Iterable[QoSPolicyKind],
        *,
        callback: Callable[[QoSProfile], SetParametersResult] | None = None,
        entity_id: str | None = None,
    ) -> None:
        self.policy_kinds, self.callback, self.entity_id = policy_kinds, callback, entity_id

    @classmethod
    def with_default_policies(
        cls,
        *,
        callback: Callable[[QoSProfile], SetParametersResult] | None = None,
        entity_id: str | None = None,
    ) -> QoSOverridingOptions:
        """History, depth and reliability."""
        kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
        return cls(kinds, callback=callback, entity_id=entity_id)


def declare_qos_parameters(
    role: str, node: Node, topic: str, qos: QoSProfile, options: QoSOverridingOptions | None
) -> None:
    """Declares the parameters and puts their values into `qos`; `role` is publisher or subscription."""
    if options is None:
        return
    entity = f"{role}_{options.entity_id}" if options.entity_id is not None else role
    for kind in options.policy_kinds:
        if kind == QoSPolicyKind.LIFESPAN and role == "subscription":
            continue
        policy = kind.name.lower()
        name = f"qos_overrides.{topic}.{entity}.{policy}"
        descriptor = ParameterDescriptor(description=f"{policy} of the {role} of {topic}", read_only=True)
        try:
            parameter = node.declare_parameter(name, _as_parameter(kind, qos), descriptor)
        except ParameterAlreadyDeclaredException:
            parameter = node.get_parameter(name)
        setattr(qos, policy, _from_parameter(kind, parameter.value))
    if options.callback is not None and not (result := options.callback(qos)).successful:
        raise InvalidQosOverridesError(
            f"QoS overrides of the {role} of {topic} are not valid: {result.reason}"
        )


def _as_parameter(kind: QoSPolicyKind, qos: QoSProfile) -> str | int | bool:
    value = getattr(qos, kind.name.lower())
    if kind in _ENUMERATIONS:
        return value.short_key
    return value.nanoseconds if kind in _DURATIONS else value


def _from_parameter(kind: QoSPolicyKind, value: str | int | bool) -> object:
    if kind in _DURATIONS:
        return Duration(nanoseconds=value)  # type: ignore[arg-type]
    if kind not in _ENUMERATIONS:
        return value
    found = _ENUMERATIONS[kind].__members__.get(str(value).upper())
    if found is None:
        choices = ", ".join(_ENUMERATIONS[kind].short_keys())
        raise RuntimeError(f"QoS override {value!r} of {kind.name.lower()} is none of {choices}")
    return found
