"""The runtimes that the behaviour tests run on."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from domains import own_domain
from sourcing import UNDERLAY, sourced

REPO = Path(__file__).resolve().parents[2]
INTERFACES = Path(__file__).parent / "interfaces"
_ROS_VARIABLES = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "PYTHONPATH", "ROS_DISTRO", "RMW_IMPLEMENTATION")


@dataclass(frozen=True)
class Runtime:
    """A Python and the environment in which it has an rclpy."""

    name: str
    python: str
    variables: dict[str, str]

    def environment(self) -> dict[str, str]:
        """The environment with a ROS domain of its own; Python's output is not buffered."""
        own = {"PYTHONUNBUFFERED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return own_domain({**self.variables, **own})


@pytest.fixture(scope="session")
def embedded() -> Runtime:
    plain = {key: value for key, value in os.environ.items() if key not in _ROS_VARIABLES}
    variables = sourced(UNDERLAY / "setup.bash", environment=plain)
    if str(UNDERLAY) not in variables.get("AMENT_PREFIX_PATH", ""):
        pytest.skip("a real rclpy is installed beside this Python: the embedded runtime steps aside")
    variables["AMENT_PREFIX_PATH"] = f"{INTERFACES}:{variables['AMENT_PREFIX_PATH']}"
    variables["PYTHONPATH"] = f"{INTERFACES / 'python'}:{variables['PYTHONPATH']}"
    return Runtime("embedded", sys.executable, variables)


@pytest.fixture(scope="session")
def real() -> Runtime:
    """The sourced ROS 2 if there is one, else the one that tools/real_rclpy.sh installs."""
    spec = importlib.util.find_spec("rclpy")
    if spec and spec.origin and not Path(spec.origin).is_relative_to(UNDERLAY):
        return Runtime("real", sys.executable, dict(os.environ))
    script = REPO / "tools" / "real_rclpy.sh"
    done = subprocess.run(
        [script], env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(done.stderr.strip().rpartition("\n")[2])
    # Shared memory would outlive a process that is killed; the embedded runtime has sockets only, too.
    plain = {key: value for key, value in os.environ.items() if key not in _ROS_VARIABLES}
    own = {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return Runtime("real", str(REPO / ".venv-ros" / "bin" / "python"), {**plain, **own})


@pytest.fixture(params=["embedded", "real"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return request.getfixturevalue(request.param)
