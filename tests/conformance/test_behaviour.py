"""Every file in behaviour/, unchanged, on the embedded runtime and on the real rclpy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # together some two minutes
BEHAVIOUR = Path(__file__).parent / "behaviour"
FILES = sorted(path.stem for path in BEHAVIOUR.glob("*.py") if path.stem not in ("conftest", "waiting"))
LIMIT_S = 300  # the slowest takes some 15 s on a quiet machine


@pytest.mark.parametrize("file", FILES)
def test_behaviour(runtime, file):
    command = [runtime.python, "-m", "pytest", "-q", "-c", BEHAVIOUR / "pytest.ini", BEHAVIOUR / f"{file}.py"]
    done = subprocess.run(
        command, env=runtime.environment(), cwd=BEHAVIOUR, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, f"on the {runtime.name} runtime:\n{done.stdout}{done.stderr}"
