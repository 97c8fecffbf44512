"""Turning what users write (text, substitutions, one or many actions) into one form."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from launch.substitution import Substitution, TextSubstitution


def normalize_to_list_of_substitutions(subst: Any) -> list[Substitution]:
    """Text, a path, a substitution or a sequence of these as a list of substitutions. Raises TypeError."""
    if isinstance(subst, Substitution):
        return [subst]
    if isinstance(subst, (str, os.PathLike)):
        return [TextSubstitution(text=os.fspath(subst))]
    if isinstance(subst, Iterable) and not isinstance(subst, (dict, bytes)):
        return [item for part in subst for item in normalize_to_list_of_substitutions(part)]
    raise TypeError(f"expected text, a path, a Substitution or a list of these, got {subst!r}")


def perform_substitutions(context, subs: Iterable[Substitution]) -> str:
    """The joined text of the substitutions."""
    return "".join(sub.perform(context) for sub in subs)


def to_text(context, value: Any) -> str:
    """The text of whatever normalize_to_list_of_substitutions accepts, of numbers and of booleans."""
    if isinstance(value, (bool, int, float)):
        return str(value)
    return perform_substitutions(context, normalize_to_list_of_substitutions(value))


def to_bool(context, value: Any) -> bool:
    """True for `true` and `1`, False for `false` and `0`. Raises ValueError."""
    text = to_text(context, value).strip().lower()
    if text not in ("true", "1", "false", "0"):
        raise ValueError(f"expected true, false, 1 or 0, got '{text}'")
    return text in ("true", "1")


def as_list(entities: Any) -> list:
    """None, one entity or several as a list."""
    if entities is None:
        return []
    return list(entities) if isinstance(entities, Iterable) else [entities]


def describe(subst: Any) -> str:
    """A substitution list as `--show-args` prints it."""
    return " + ".join(sub.describe() for sub in normalize_to_list_of_substitutions(subst)) or "''"
