"""A workspace built once for all tests, and a policy with random weights."""

import sys

import pytest
from ros_workspace import PACKAGES, Workspace

sys.path.insert(0, str(PACKAGES / "hilam_ros"))  # its plain modules need no ROS


@pytest.fixture(scope="session")
def built_workspace(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("ros2_ws"))
    workspace.build()
    return workspace


@pytest.fixture
def workspace(built_workspace):
    yield built_workspace
    for launch in built_workspace.launches:
        launch.kill()
    built_workspace.launches.clear()


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory):
    """A valid policy with random weights."""
    from hilam_core.policy import random_policy

    return random_policy(tmp_path_factory.mktemp("checkpoint") / "policy", seed=3)
