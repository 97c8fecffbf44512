"""What arguments of actions accept: text, a path, a substitution, or a sequence of these to be joined."""

from __future__ import annotations

import os
from collections.abc import Iterable

from launch.substitution import Substitution

SomeSubstitutionsType = str | os.PathLike | Substitution | Iterable[str | os.PathLike | Substitution]
