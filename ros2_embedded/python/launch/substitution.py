"""Text that is known only while launching."""

from __future__ import annotations


class SubstitutionFailure(RuntimeError):
    """A substitution that has no value; the message says which and why."""


class Substitution:
    """Base class: `perform` gives the text."""

    def perform(self, context) -> str:
        raise NotImplementedError(f"{type(self).__name__}.perform")

    def describe(self) -> str:
        """How `ros2 launch --show-args` prints it."""
        return f"{type(self).__name__}()"


class TextSubstitution(Substitution):
    """Plain text."""

    def __init__(self, *, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution expects text, got {text!r}")
        self.text = text

    def perform(self, context) -> str:
        return self.text

    def describe(self) -> str:
        return f"'{self.text}'"
