"""Which files are meant by a file, a folder, or several of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hilam_core.errors import DataError

Paths = str | Path | Sequence[str | Path]


def as_list(paths: Paths) -> list[Path]:
    """Paths as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]


def find_files(paths: Paths, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with these suffixes in `paths` and the folders among them, by name. DataError: missing."""
    found: list[Path] = []
    for path in as_list(paths):
        if not path.exists():
            raise DataError(f"{path} does not exist")
        found += sorted(p for p in path.iterdir() if p.suffix in suffixes) if path.is_dir() else [path]
    return [p for p in found if p.suffix in suffixes and not p.name.startswith(".")]


def names_of(paths: Paths) -> str:
    """Paths for a message."""
    return ", ".join(f"'{path}'" for path in as_list(paths))
