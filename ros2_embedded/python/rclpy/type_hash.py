"""Hashes of interface definitions."""

from __future__ import annotations

SIZE = 32


class TypeHash:
    """A RIHS type hash; version -1 if there is none."""

    __slots__ = ("_value", "_version")

    def __init__(self, version: int = -1, value: bytes = bytes(SIZE)) -> None:
        self.version, self.value = version, value

    @property
    def version(self) -> int:
        return self._version

    @version.setter
    def version(self, value: int) -> None:
        assert isinstance(value, int), f"version must be an int, not {value!r}"
        self._version = value

    @property
    def value(self) -> bytes:
        return self._value

    @value.setter
    def value(self, value: bytes) -> None:
        assert isinstance(value, bytes), f"value must be bytes, not {value!r}"
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeHash) and (self.version, self.value) == (other.version, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        good = self.version > 0 and len(self.value) == SIZE
        return f"RIHS{self.version:02}_{self.value.hex()}" if good else "INVALID"
