"""Quality of service profiles."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

from embedded_dds import dds

from rclpy.duration import Duration

_UNSET = Duration()


class InvalidQoSProfileException(Exception):
    """Raised when a profile is not complete or not consistent."""

    def __init__(self, *args: object) -> None:
        super().__init__("Invalid QoSProfile", *args)


class _Policy(IntEnum):
    @classmethod
    def short_keys(cls) -> list[str]:
        return [key.lower() for key in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> Any:
        return cls[name.upper()]

    @property
    def short_key(self) -> str:
        return self.name.lower()


class HistoryPolicy(_Policy):
    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(_Policy):
    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class DurabilityPolicy(_Policy):
    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class LivelinessPolicy(_Policy):
    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4
    BEST_AVAILABLE = 5


class QoSPolicyKind(IntEnum):
    INVALID = 1
    DURABILITY = 2
    DEADLINE = 4
    LIVELINESS = 8
    RELIABILITY = 16
    HISTORY = 32
    LIFESPAN = 64
    DEPTH = 128
    LIVELINESS_LEASE_DURATION = 256
    AVOID_ROS_NAMESPACE_CONVENTIONS = 512


class QoSCompatibility(IntEnum):
    OK = 0
    WARNING = 1
    ERROR = 2


QoSHistoryPolicy = HistoryPolicy
QoSReliabilityPolicy = ReliabilityPolicy
QoSDurabilityPolicy = DurabilityPolicy
QoSLivelinessPolicy = LivelinessPolicy

_DDS_POLICIES = {
    2: QoSPolicyKind.DURABILITY, 4: QoSPolicyKind.DEADLINE, 8: QoSPolicyKind.LIVELINESS,
    11: QoSPolicyKind.RELIABILITY, 13: QoSPolicyKind.HISTORY, 21: QoSPolicyKind.LIFESPAN,
}  # fmt: skip


def qos_policy_name_from_kind(kind: int) -> str:
    names = {
        int(k): f"{k.name}_QOS_POLICY" if k.name in ("RELIABILITY", "DURABILITY") else k.name
        for k in QoSPolicyKind
    }
    return names.get(int(kind), "INVALID")


class QoSProfile:
    """A profile. `history` or `depth` must be given, unless `based_on` names a profile to change."""

    __slots__ = (
        "avoid_ros_namespace_conventions", "deadline", "depth", "durability", "history", "lifespan",
        "liveliness", "liveliness_lease_duration", "reliability",
    )  # fmt: skip

    def __init__(self, based_on: QoSProfile | None = None, **kwargs: Any) -> None:
        base = {name: getattr(based_on, name) for name in self.__slots__} if based_on else {}
        values = base | kwargs
        if unknown := set(values) - set(self.__slots__):
            raise TypeError(
                f"unknown QoS policies {', '.join(sorted(unknown))}; there are {', '.join(self.__slots__)}"
            )
        if "history" not in values and "depth" not in values:
            raise InvalidQoSProfileException("History and/or depth settings are required.")
        self.history = HistoryPolicy(values.get("history", HistoryPolicy.KEEP_LAST))
        if self.history == HistoryPolicy.KEEP_LAST and "depth" not in values:
            raise InvalidQoSProfileException("History set to KEEP_LAST without a depth setting.")
        self.depth = values.get("depth", 0)
        if not isinstance(self.depth, int) or self.depth < 0:
            raise ValueError(f"Depth must be an integer >= 0, not {self.depth!r}")
        self.reliability = ReliabilityPolicy(values.get("reliability", ReliabilityPolicy.RELIABLE))
        self.durability = DurabilityPolicy(values.get("durability", DurabilityPolicy.VOLATILE))
        self.liveliness = LivelinessPolicy(values.get("liveliness", LivelinessPolicy.SYSTEM_DEFAULT))
        for name in ("deadline", "lifespan", "liveliness_lease_duration"):
            if not isinstance(values.get(name, _UNSET), Duration):
                raise TypeError(f"{name} must be a Duration, not {values[name]!r}")
            setattr(self, name, values.get(name, _UNSET))
        self.avoid_ros_namespace_conventions = bool(values.get("avoid_ros_namespace_conventions", False))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSProfile):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"QoSProfile({', '.join(f'{name}={getattr(self, name)!s}' for name in self.__slots__)})"

    def get_c_qos_profile(self) -> QoSProfile:
        return self

    def _to_dds(self, user_data: bytes, ignore_local: bool = False) -> dds.Qos:
        best_effort = (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.BEST_AVAILABLE)
        return dds.Qos(
            depth=0 if self.history == HistoryPolicy.KEEP_ALL else self.depth or 1,
            reliable=self.reliability not in best_effort,
            transient_local=self.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            deadline_ns=self.deadline.nanoseconds or dds.FOREVER,
            lifespan_ns=self.lifespan.nanoseconds or dds.FOREVER,
            liveliness=2 if self.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC else 0,
            lease_ns=self.liveliness_lease_duration.nanoseconds or dds.FOREVER,
            ignore_local=ignore_local,
            user_data=user_data,
        )

    @classmethod
    def _from_dds(cls, qos: dds.Qos) -> QoSProfile:
        return cls(
            history=HistoryPolicy.UNKNOWN,
            reliability=ReliabilityPolicy.RELIABLE if qos.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.transient_local else DurabilityPolicy.VOLATILE,
            deadline=Duration(nanoseconds=qos.deadline_ns),
            lifespan=Duration(nanoseconds=qos.lifespan_ns),
            liveliness=LivelinessPolicy.MANUAL_BY_TOPIC
            if qos.liveliness == 2
            else LivelinessPolicy.AUTOMATIC,
            liveliness_lease_duration=Duration(nanoseconds=qos.lease_ns),
        )


def qos_check_compatible(
    publisher_qos: QoSProfile, subscription_qos: QoSProfile
) -> tuple[QoSCompatibility, str]:
    """Whether a subscription would get a publisher's messages, and why not."""
    reasons = []
    if (publisher_qos.reliability, subscription_qos.reliability) == (
        ReliabilityPolicy.BEST_EFFORT,
        ReliabilityPolicy.RELIABLE,
    ):
        reasons.append("ERROR: Best effort publisher and reliable subscription;")
    if (publisher_qos.durability, subscription_qos.durability) == (
        DurabilityPolicy.VOLATILE,
        DurabilityPolicy.TRANSIENT_LOCAL,
    ):
        reasons.append("ERROR: Volatile publisher and transient local subscription;")
    offered, asked = publisher_qos.deadline.nanoseconds, subscription_qos.deadline.nanoseconds
    if asked and (not offered or offered > asked):
        reasons.append("ERROR: Subscription's deadline is less than publisher's deadline;")
    if (publisher_qos.liveliness, subscription_qos.liveliness) == (
        LivelinessPolicy.AUTOMATIC,
        LivelinessPolicy.MANUAL_BY_TOPIC,
    ):
        reasons.append("ERROR: Publisher's liveliness is automatic and subscription's is manual by topic;")
    return (QoSCompatibility.ERROR, "".join(reasons)) if reasons else (QoSCompatibility.OK, "")


_system = {
    "reliability": ReliabilityPolicy.SYSTEM_DEFAULT,
    "durability": DurabilityPolicy.SYSTEM_DEFAULT,
}
qos_profile_default = QoSProfile(depth=10)
qos_profile_unknown = QoSProfile(history=HistoryPolicy.UNKNOWN)
qos_profile_system_default = QoSProfile(history=HistoryPolicy.SYSTEM_DEFAULT, **_system)
qos_profile_sensor_data = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
qos_profile_services_default = QoSProfile(depth=10)
qos_profile_parameters = QoSProfile(depth=1000)
qos_profile_parameter_events = QoSProfile(depth=1000)
qos_profile_rosout_default = QoSProfile(
    depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL, lifespan=Duration(seconds=10)
)
qos_profile_best_available = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.BEST_AVAILABLE, durability=DurabilityPolicy.BEST_AVAILABLE
)
qos_profile_action_status_default = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class QoSPresetProfiles(Enum):
    UNKNOWN = qos_profile_unknown
    DEFAULT = qos_profile_default
    SYSTEM_DEFAULT = qos_profile_system_default
    SENSOR_DATA = qos_profile_sensor_data
    SERVICES_DEFAULT = qos_profile_services_default
    PARAMETERS = qos_profile_parameters
    PARAMETER_EVENTS = qos_profile_parameter_events
    ACTION_STATUS_DEFAULT = qos_profile_action_status_default
    BEST_AVAILABLE = qos_profile_best_available

    @classmethod
    def short_keys(cls) -> list[str]:
        return [key.lower() for key in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> QoSProfile:
        return cls[name.upper()].value


def get_qos_profile(value: QoSProfile | int) -> QoSProfile:
    """What a `qos_profile` argument means: a profile, or a depth."""
    if isinstance(value, QoSProfile):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return QoSProfile(depth=value)
    raise TypeError(f"Expected QoSProfile or a depth as non-negative int, but received {value!r}")
