"""Which files are meant by a file, a folder, or several of them, and what tells them apart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hilam_core.errors import DataError

Paths = str | Path | Sequence[str | Path]


def as_list(paths: Paths) -> list[Path]:
    """Paths as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(p) for p in paths]


def find_sources(paths: Paths, is_source: Callable[[Path], bool], kinds: str) -> list[Path]:
    """What `is_source` takes of `paths`, and of the entries of the folders among them; each once, by name.

    kinds: what is taken, for a message.

    Raises:
        DataError: a path does not exist, or is a file of another kind.
    """
    found: dict[Path, Path] = {}
    for path in as_list(paths):
        if not path.exists():
            raise DataError(f"{path} does not exist")
        if path.is_file() and not is_source(path):
            raise DataError(f"{path} is none of {kinds}")
        entries = path.iterdir() if path.is_dir() and not is_source(path) else [path]
        for entry in entries:
            if not entry.name.startswith(".") and is_source(entry):
                found.setdefault(entry.resolve(), entry)
    return sorted(found.values(), key=lambda p: (p.name, str(_plain(p))))


def source_names(names: dict[Path, str]) -> dict[Path, str]:
    """`names` of files made unique: where several share one, as many folders before it as tell them apart.

    Raises:
        DataError: files of one folder have the same name.
    """
    places: dict[tuple[Path, str], Path] = {}
    for path, name in names.items():
        other = places.setdefault((_plain(path).parent, name), path)
        if other != path:
            raise DataError(f"{other} and {path} have the same name {name!r}: rename one of them")
    folders = {path: [p.name for p in _plain(path).parents] for path in names}
    depth = dict.fromkeys(names, 0)
    while True:
        labels = {p: "/".join([*reversed(folders[p][: depth[p]]), name]) for p, name in names.items()}
        count = Counter(labels.values())
        if len(count) == len(names):
            return labels
        for path in names:
            depth[path] += count[labels[path]] > 1


def _plain(path: Path) -> Path:
    """The absolute path without `..`; links stay what they are called."""
    return Path(os.path.abspath(path))


def names_of(paths: Paths) -> str:
    """Paths for a message."""
    return ", ".join(f"'{path}'" for path in as_list(paths))
