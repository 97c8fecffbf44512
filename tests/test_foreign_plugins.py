"""The suite beside a sourced ROS 2, whose pytest plugins (launch_testing and others) are on PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# What stops pytest 9: hooks with arguments of older versions, and hooks that no plugin declares.
PLUGIN = """
def pytest_pycollect_makemodule(path, parent):
    raise SystemExit("a foreign plugin was asked")

def pytest_launch_collect_makemodule(path, parent, entrypoint):
    pass
"""


@pytest.fixture
def collect(tmp_path):
    """Collects this file in a pytest of its own, with the plugins installed."""
    for name in ("launch_testing", "launch_ros", "launch_pytest"):
        (tmp_path / f"{name}_plugin.py").write_text(PLUGIN)
        info = tmp_path / f"{name}-3.4.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.4.3\n")
        (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}_plugin\n")

    def run(*options: str) -> subprocess.CompletedProcess:
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", *options, __file__],
            cwd=Path(__file__).parents[1], env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    return run


def test_plugins_of_a_sourced_ros_do_not_stop_the_suite(collect):
    assert collect("-o", "addopts=").returncode != 0  # they would
    result = collect()
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 tests collected" in result.stdout


def test_the_time_limit_of_a_test_is_still_there(request):
    assert request.config.pluginmanager.hasplugin("timeout")
    assert float(request.config.getini("timeout")) > 0
