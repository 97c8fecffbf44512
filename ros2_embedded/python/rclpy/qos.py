"""Quality of service profiles."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from enum import Enum, IntEnum
from operator import attrgetter
from typing import Any

from embedded_dds import dds

from rclpy.duration import Duration


class InvalidQoSProfileException(Exception):
    """Raised when a profile is not complete or not consistent."""

    def __init__(self, *args: object) -> None:
        super().__init__("Invalid QoSProfile", *args)


class _LongName:
    """The name that a policy's value had in the first distributions of ROS 2; using it gives a warning."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, obj: object, policy: Any) -> Any:
        warnings.warn(
            f"Use {policy.__name__}.{self._name} instead of the deprecated long name.", stacklevel=2
        )
        return policy[self._name]


class _Policy(IntEnum):
    @classmethod
    def short_keys(cls) -> list[str]:
        return [key.lower() for key in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> int:
        return cls[name.upper()].value

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


for _class in (HistoryPolicy, ReliabilityPolicy, DurabilityPolicy, LivelinessPolicy):
    for _member in _class:
        if _member.name != "BEST_AVAILABLE":
            _prefix = f"RMW_QOS_POLICY_{_class.__name__.removesuffix('Policy').upper()}"
            type.__setattr__(_class, f"{_prefix}_{_member.name}", _LongName(_member.name))


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


def qos_policy_name_from_kind(policy_kind: int) -> str:
    return QoSPolicyKind(policy_kind).name


def _checked(name: str, kinds: tuple[type, ...], convert: Callable[[Any], Any] = lambda value: value) -> Any:
    """An attribute of a profile that checks what it is given; AssertionError for another type."""

    def set_(self: QoSProfile, value: Any) -> None:
        words = " or ".join(kind.__name__ for kind in kinds)
        assert isinstance(value, kinds), f"{name} must be of type {words}, not {value!r}"
        setattr(self, f"_{name}", convert(value))

    return property(attrgetter(f"_{name}"), set_)


class QoSProfile:
    """A profile. `history` or `depth` must be given; durations of zero mean none."""

    _names = (
        "history", "depth", "reliability", "durability", "lifespan", "deadline", "liveliness",
        "liveliness_lease_duration", "avoid_ros_namespace_conventions",
    )  # fmt: skip
    __slots__ = tuple(f"_{name}" for name in _names)

    history = _checked("history", (HistoryPolicy, int), HistoryPolicy)
    reliability = _checked("reliability", (ReliabilityPolicy, int), ReliabilityPolicy)
    durability = _checked("durability", (DurabilityPolicy, int), DurabilityPolicy)
    liveliness = _checked("liveliness", (LivelinessPolicy, int), LivelinessPolicy)
    lifespan = _checked("lifespan", (Duration,))
    deadline = _checked("deadline", (Duration,))
    liveliness_lease_duration = _checked("liveliness_lease_duration", (Duration,))
    avoid_ros_namespace_conventions = _checked("avoid_ros_namespace_conventions", (bool,))

    def __init__(self, **kwargs: Any) -> None:
        unknown = set(kwargs) - set(self._names)
        assert not unknown, f"unknown QoS policies {unknown}; there are {', '.join(self._names)}"
        if "history" not in kwargs and "depth" not in kwargs:
            raise InvalidQoSProfileException("History and/or depth settings are required.")
        if kwargs.get("history") == HistoryPolicy.KEEP_LAST and "depth" not in kwargs:
            raise InvalidQoSProfileException("History set to KEEP_LAST without a depth setting.")
        for name, default in _DEFAULTS.items():
            setattr(self, name, kwargs.get(name, default))

    @property
    def depth(self) -> int:
        return self._depth

    @depth.setter
    def depth(self, value: int) -> None:
        assert isinstance(value, int), f"depth must be an int, not {value!r}"
        if value == 0 and self.history == HistoryPolicy.KEEP_LAST:
            warnings.warn(
                "A zero depth with KEEP_LAST makes no sense; it is taken as SYSTEM_DEFAULT.", stacklevel=2
            )
        self._depth = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSProfile):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in self._names)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"QoSProfile({', '.join(f'{name}={getattr(self, name)}' for name in self._names)})"

    def _with(self, **changes: Any) -> QoSProfile:
        return QoSProfile(**{name: getattr(self, name) for name in self._names} | changes)

    def _for_publisher(self) -> QoSProfile:
        """Without BEST_AVAILABLE: a publisher offers most if it is reliable and keeps messages."""
        changes: dict[str, Any] = {}
        if self.reliability == ReliabilityPolicy.BEST_AVAILABLE:
            changes["reliability"] = ReliabilityPolicy.RELIABLE
        if self.durability == DurabilityPolicy.BEST_AVAILABLE:
            changes["durability"] = DurabilityPolicy.TRANSIENT_LOCAL
        return self._with(**changes) if changes else self

    def _for_subscription(self, offered: Callable[[], list[dds.Qos]]) -> QoSProfile:
        """Without BEST_AVAILABLE: a subscription asks for what every publisher that is there offers."""
        reliable = self.reliability == ReliabilityPolicy.BEST_AVAILABLE
        durable = self.durability == DurabilityPolicy.BEST_AVAILABLE
        if not reliable and not durable:
            return self
        changes: dict[str, Any] = {}
        found = offered()
        if reliable:
            all_reliable = all(qos.reliable for qos in found)
            changes["reliability"] = (
                ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT
            )
        if durable:
            all_durable = all(qos.transient_local for qos in found)
            changes["durability"] = (
                DurabilityPolicy.TRANSIENT_LOCAL if all_durable else DurabilityPolicy.VOLATILE
            )
        return self._with(**changes)

    def _to_dds(self, user_data: bytes, ignore_local: bool = False) -> dds.Qos:
        def span(duration: Duration) -> int:
            ns = duration.nanoseconds
            return dds.FOREVER if ns in (0, _BEST_AVAILABLE_NS) else ns

        return dds.Qos(
            depth=0 if self.history == HistoryPolicy.KEEP_ALL else self.depth or 1,
            reliable=self.reliability != ReliabilityPolicy.BEST_EFFORT,
            transient_local=self.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            deadline_ns=span(self.deadline),
            lifespan_ns=span(self.lifespan),
            liveliness=2 if self.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC else 0,
            lease_ns=span(self.liveliness_lease_duration),
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


def _strength(
    what: str,
    offered: IntEnum,
    asked: IntEnum,
    strong: IntEnum,
    weak: IntEnum,
    words: tuple[str, str, str, str],
) -> tuple[str, str]:
    """Whether a policy with a strong and a weak value fits, as (kind of problem, words)."""
    weak_offer, strong_offer, weak_but, strong_but = words
    unclear = ("SYSTEM_DEFAULT", "UNKNOWN")
    if offered == weak and asked == strong:
        return "ERROR", f"{weak_offer} and {strong_offer}"
    if offered.name in unclear and asked == strong:
        return "WARNING", strong_but.format(offered.name.lower())
    if offered == weak and asked.name in unclear:
        return "WARNING", weak_but.format(asked.name.lower())
    if offered.name in unclear and asked.name in unclear:
        a, b = offered.name.lower(), asked.name.lower()
        return "WARNING", f"Publisher {what} is {a} and subscription {what} is {b}"
    return "", ""


def _span(offered: Duration, asked: Duration, missing: str, less: str) -> tuple[str, str]:
    """Whether a policy that promises something within a time fits."""
    if asked.nanoseconds == 0 or 0 < offered.nanoseconds <= asked.nanoseconds:
        return "", ""
    return "ERROR", less if offered.nanoseconds else missing


def qos_check_compatible(
    publisher_qos: QoSProfile, subscription_qos: QoSProfile
) -> tuple[QoSCompatibility, str]:
    """Whether a subscription would get a publisher's messages, and why not; a warning where nobody knows."""
    a, b = publisher_qos, subscription_qos
    found = [
        _strength(
            "reliability", a.reliability, b.reliability,
            ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT,
            ("Best effort publisher", "reliable subscription",
             "Best effort publisher, but subscription is {}", "Reliable subscription, but publisher is {}"),
        ),
        _strength(
            "durability", a.durability, b.durability,
            DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE,
            ("Volatile publisher", "transient local subscription",
             "Volatile publisher, but subscription is {}",
             "Transient local subscription, but publisher is {}"),
        ),
        _span(
            a.deadline, b.deadline, "Subscription has a deadline, but publisher does not",
            "Subscription deadline is less than publisher deadline",
        ),
        _strength(
            "liveliness", a.liveliness, b.liveliness,
            LivelinessPolicy.MANUAL_BY_TOPIC, LivelinessPolicy.AUTOMATIC,
            ("Publisher's liveliness is automatic", "subscription's is manual by topic",
             "Publisher's liveliness is automatic, but subscription's is {}",
             "Subscription's liveliness is manual by topic, but publisher's is {}"),
        ),
        _span(
            a.liveliness_lease_duration, b.liveliness_lease_duration,
            "Subscription has a liveliness lease duration, but publisher does not",
            "Subscription liveliness lease duration is less than publisher",
        ),
    ]  # fmt: skip
    for verdict in (QoSCompatibility.ERROR, QoSCompatibility.WARNING):
        if reasons := [f"{kind}: {words};" for kind, words in found if kind == verdict.name]:
            return verdict, "".join(reasons)
    return QoSCompatibility.OK, ""


_DEFAULTS = {
    "history": HistoryPolicy.KEEP_LAST, "depth": 10, "reliability": ReliabilityPolicy.RELIABLE,
    "durability": DurabilityPolicy.VOLATILE, "lifespan": Duration(), "deadline": Duration(),
    "liveliness": LivelinessPolicy.SYSTEM_DEFAULT, "liveliness_lease_duration": Duration(),
    "avoid_ros_namespace_conventions": False,
}  # fmt: skip
_BEST_AVAILABLE_NS = 2**63 - 2  # ROS 2's number for `whatever the other side has`
DeadlineBestAvailable = Duration(nanoseconds=_BEST_AVAILABLE_NS)
LivelinessLeaseDurationeBestAvailable = Duration(nanoseconds=_BEST_AVAILABLE_NS)

qos_profile_default = QoSProfile(depth=10)
qos_profile_unknown = QoSProfile(
    history=HistoryPolicy.UNKNOWN, depth=0, reliability=ReliabilityPolicy.UNKNOWN,
    durability=DurabilityPolicy.UNKNOWN, liveliness=LivelinessPolicy.UNKNOWN,
)  # fmt: skip
qos_profile_system_default = QoSProfile(
    history=HistoryPolicy.SYSTEM_DEFAULT, depth=0, reliability=ReliabilityPolicy.SYSTEM_DEFAULT,
    durability=DurabilityPolicy.SYSTEM_DEFAULT,
)  # fmt: skip
qos_profile_sensor_data = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
qos_profile_services_default = QoSProfile(depth=10)
qos_profile_parameters = QoSProfile(depth=1000)
qos_profile_parameter_events = QoSProfile(depth=1000)
qos_profile_rosout_default = QoSProfile(
    depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL, lifespan=Duration(seconds=10)
)
qos_profile_best_available = QoSProfile(
    depth=10, reliability=ReliabilityPolicy.BEST_AVAILABLE, durability=DurabilityPolicy.BEST_AVAILABLE,
    deadline=DeadlineBestAvailable, liveliness=LivelinessPolicy.BEST_AVAILABLE,
    liveliness_lease_duration=LivelinessLeaseDurationeBestAvailable,
)  # fmt: skip
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
    if not isinstance(value, int):
        raise TypeError(f"Expected QoSProfile or int, but received {value!r}")
    if value < 0:
        raise ValueError(f"history depth must be greater than or equal to zero, not {value}")
    return QoSProfile(depth=value)
