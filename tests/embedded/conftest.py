"""The embedded ROS 2 runtime, driven as a user drives it: through processes with setup.bash sourced."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from domains import own_domain
from sourcing import UNDERLAY, sourced


def pytest_collection_modifyitems(config, items):
    spec = importlib.util.find_spec("rclpy")
    if spec and spec.origin and not Path(spec.origin).is_relative_to(UNDERLAY):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="a real rclpy is installed: the runtime steps aside"))


@pytest.fixture(scope="session")
def underlay() -> dict[str, str]:
    """The environment with the embedded runtime sourced."""
    return sourced(UNDERLAY / "setup.bash")


@pytest.fixture
def ros_env(underlay) -> dict[str, str]:
    """`underlay` in a domain of its own."""
    return own_domain(underlay)
