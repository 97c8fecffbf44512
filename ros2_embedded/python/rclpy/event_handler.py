"""QoS events: incompatible profiles, missed deadlines, liveliness, lost messages, matches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedded_dds import dds

from rclpy.destroyable import Destroyable
from rclpy.exceptions import UnsupportedEventTypeError
from rclpy.qos import _DDS_POLICIES, QoSPolicyKind, qos_policy_name_from_kind

if TYPE_CHECKING:
    from rclpy.callback_groups import CallbackGroup
    from rclpy.logging import RcutilsLogger


@dataclass(frozen=True)
class _Counted:
    total_count: int
    total_count_change: int


class QoSRequestedDeadlineMissedInfo(_Counted):
    """A subscription's deadline passed without a message."""


class QoSOfferedDeadlineMissedInfo(_Counted):
    """A publisher's deadline passed without a message."""


class QoSMessageLostInfo(_Counted):
    """A message did not reach a subscription."""


class QoSLivelinessLostInfo(_Counted):
    """A publisher did not say in time that it is alive."""


@dataclass(frozen=True)
class QoSRequestedIncompatibleQoSInfo(_Counted):
    last_policy_kind: QoSPolicyKind


QoSOfferedIncompatibleQoSInfo = QoSRequestedIncompatibleQoSInfo


@dataclass(frozen=True)
class QoSLivelinessChangedInfo:
    alive_count: int
    not_alive_count: int
    alive_count_change: int
    not_alive_count_change: int


@dataclass(frozen=True)
class QoSSubscriptionMatchedInfo(_Counted):
    current_count: int
    current_count_change: int


QoSPublisherMatchedInfo = QoSSubscriptionMatchedInfo


def _incompatible(status: Any) -> QoSRequestedIncompatibleQoSInfo:
    kind = _DDS_POLICIES.get(status.last_policy_id, QoSPolicyKind.INVALID)
    return QoSRequestedIncompatibleQoSInfo(status.total_count, status.total_count_change, kind)


def _counts(cls: type) -> Callable[[Any], Any]:
    return lambda status: cls(*(getattr(status, name) for name in cls.__dataclass_fields__))


_INFOS: dict[int, Callable[[Any], Any]] = {
    dds.OFFERED_DEADLINE: _counts(QoSOfferedDeadlineMissedInfo),
    dds.REQUESTED_DEADLINE: _counts(QoSRequestedDeadlineMissedInfo),
    dds.OFFERED_INCOMPATIBLE: _incompatible,
    dds.REQUESTED_INCOMPATIBLE: _incompatible,
    dds.SAMPLE_LOST: _counts(QoSMessageLostInfo),
    dds.LIVELINESS_LOST: _counts(QoSLivelinessLostInfo),
    dds.LIVELINESS_CHANGED: _counts(QoSLivelinessChangedInfo),
    dds.PUBLICATION_MATCHED: _counts(QoSSubscriptionMatchedInfo),
    dds.SUBSCRIPTION_MATCHED: _counts(QoSSubscriptionMatchedInfo),
}


class EventSource(Destroyable):
    """Runs the event callbacks of one publisher or subscription."""

    rank = 4

    def __init__(
        self, end: dds.Reader | dds.Writer, handlers: dict[int, Callable], group: CallbackGroup | None
    ) -> None:
        self._end, self._handlers, self.callback_group = end, handlers, group
        self.entity = end.entity
        mask = 0
        for bit in handlers:
            mask |= bit
        end.watch(mask)

    def take(self) -> Callable[[], Any] | None:
        changed = self._end.changed()
        found = [
            (handler, _INFOS[bit](self._end.status(bit)))
            for bit, handler in self._handlers.items()
            if changed & bit
        ]
        return (lambda: [handler(info) for handler, info in found] and None) if found else None


class SubscriptionEventCallbacks:
    """Callbacks for a subscription's events; incompatible QoS is logged unless a callback is given."""

    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[QoSRequestedIncompatibleQoSInfo], None] | None = None,
        liveliness: Callable[[QoSLivelinessChangedInfo], None] | None = None,
        message_lost: Callable[[Any], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[QoSSubscriptionMatchedInfo], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        if incompatible_type is not None:
            raise UnsupportedEventTypeError("the embedded runtime reports no incompatible types")
        self.deadline, self.incompatible_qos, self.liveliness = deadline, incompatible_qos, liveliness
        self.message_lost, self.matched, self.use_default_callbacks = (
            message_lost,
            matched,
            use_default_callbacks,
        )

    def _handlers(self, logger: RcutilsLogger, topic: str) -> dict[int, Callable]:
        incompatible = self.incompatible_qos
        if incompatible is None and self.use_default_callbacks:

            def incompatible(info: QoSRequestedIncompatibleQoSInfo) -> None:
                logger.warning(
                    f"New publisher discovered on topic '{topic}', offering incompatible QoS. "
                    f"No messages will be received from it. Last incompatible policy: "
                    f"{qos_policy_name_from_kind(info.last_policy_kind)}"
                )

        found = {
            dds.REQUESTED_DEADLINE: self.deadline,
            dds.REQUESTED_INCOMPATIBLE: incompatible,
            dds.LIVELINESS_CHANGED: self.liveliness,
            dds.SAMPLE_LOST: self.message_lost,
            dds.SUBSCRIPTION_MATCHED: self.matched,
        }
        return {bit: handler for bit, handler in found.items() if handler is not None}


class PublisherEventCallbacks:
    """Callbacks for a publisher's events; incompatible QoS is logged unless a callback is given."""

    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[QoSRequestedIncompatibleQoSInfo], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        incompatible_type: Callable[[Any], None] | None = None,
        matched: Callable[[QoSSubscriptionMatchedInfo], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None:
        if incompatible_type is not None:
            raise UnsupportedEventTypeError("the embedded runtime reports no incompatible types")
        self.deadline, self.incompatible_qos, self.liveliness = deadline, incompatible_qos, liveliness
        self.matched, self.use_default_callbacks = matched, use_default_callbacks

    def _handlers(self, logger: RcutilsLogger, topic: str) -> dict[int, Callable]:
        incompatible = self.incompatible_qos
        if incompatible is None and self.use_default_callbacks:

            def incompatible(info: QoSRequestedIncompatibleQoSInfo) -> None:
                logger.warning(
                    f"New subscription discovered on topic '{topic}', requesting incompatible QoS. "
                    f"No messages will be sent to it. Last incompatible policy: "
                    f"{qos_policy_name_from_kind(info.last_policy_kind)}"
                )

        found = {
            dds.OFFERED_DEADLINE: self.deadline,
            dds.OFFERED_INCOMPATIBLE: incompatible,
            dds.LIVELINESS_LOST: self.liveliness,
            dds.PUBLICATION_MATCHED: self.matched,
        }
        return {bit: handler for bit, handler in found.items() if handler is not None}
