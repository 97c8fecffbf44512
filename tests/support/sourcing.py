"""Environments with the embedded runtime sourced, as a user's shell has them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

UNDERLAY = Path(__file__).resolve().parents[2] / "ros2_embedded"


def sourced(*scripts: Path, environment: dict[str, str] | None = None) -> dict[str, str]:
    """The environment after `source`-ing the scripts in bash."""
    command = " && ".join([*(f". '{script}'" for script in scripts), "env -0"])
    base = dict(os.environ) if environment is None else environment
    result = subprocess.run(["bash", "-c", command], env=base, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in result.stdout.split("\0") if "=" in line)
