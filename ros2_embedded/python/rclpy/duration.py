"""Time spans in nanoseconds."""

from __future__ import annotations

from builtin_interfaces.msg import Duration as DurationMsg

from rclpy.constants import S_TO_NS


class Duration:
    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -(2**63) <= total < 2**63:
            raise OverflowError("Total nanoseconds value is too large to store in C duration.")
        self._ns = total

    @property
    def nanoseconds(self) -> int:
        return self._ns

    def to_msg(self) -> DurationMsg:
        sec, nanosec = divmod(self._ns, S_TO_NS)
        return DurationMsg(sec=sec, nanosec=nanosec)

    @classmethod
    def from_msg(cls, msg: DurationMsg) -> Duration:
        if not isinstance(msg, DurationMsg):
            raise TypeError(f"{msg!r} is no builtin_interfaces.msg.Duration")
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)

    def __eq__(self, other: object) -> bool:
        return self._ns == other._ns if isinstance(other, Duration) else NotImplemented

    def __lt__(self, other: Duration) -> bool:
        return self._ns < other._ns if isinstance(other, Duration) else NotImplemented

    def __le__(self, other: Duration) -> bool:
        return self._ns <= other._ns if isinstance(other, Duration) else NotImplemented

    def __gt__(self, other: Duration) -> bool:
        return self._ns > other._ns if isinstance(other, Duration) else NotImplemented

    def __ge__(self, other: Duration) -> bool:
        return self._ns >= other._ns if isinstance(other, Duration) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Duration(nanoseconds={self._ns})"

    def __str__(self) -> str:
        return "Infinite" if self == Infinite else f"{self._ns} nanoseconds"


Infinite = Duration(nanoseconds=2**63 - 1)
