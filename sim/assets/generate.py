"""Writes the built-in pack."""

from pathlib import Path


def generate(folder: Path) -> None:
    """Fills `folder` with the XMLs, meshes and textures of the built-in pack."""
    raise NotImplementedError
