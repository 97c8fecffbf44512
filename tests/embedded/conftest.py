"""The embedded ROS 2 runtime, driven as a user drives it: through processes with setup.bash sourced."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
from pathlib import Path

import pytest

UNDERLAY = Path(__file__).resolve().parents[2] / "ros2_embedded"
_domains = itertools.count(os.getpid())


def pytest_collection_modifyitems(config, items):
    spec = importlib.util.find_spec("rclpy")
    if spec and spec.origin and not Path(spec.origin).is_relative_to(UNDERLAY):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a real rclpy is installed: the runtime steps aside"))


def sourced(*scripts: Path, environment: dict[str, str] | None = None) -> dict[str, str]:
    """The environment after `source`-ing the scripts in bash."""
    command = " && ".join([*(f". '{script}'" for script in scripts), "env -0"])
    base = dict(os.environ) if environment is None else environment
    result = subprocess.run(["bash", "-c", command], env=base, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in result.stdout.split("\0") if "=" in line)


@pytest.fixture(scope="session")
def underlay() -> dict[str, str]:
    """The environment with the embedded runtime sourced."""
    return sourced(UNDERLAY / "setup.bash")


@pytest.fixture
def ros_env(underlay) -> dict[str, str]:
    """`underlay` with a ROS domain of its own: tests that run at the same time do not hear each other.

    Domains up to 100 keep DDS ports below the kernel's ephemeral ones.
    """
    return {**underlay, "ROS_DOMAIN_ID": str(1 + next(_domains) * 7 % 100)}
