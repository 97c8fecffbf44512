"""One task after the other, and no node grows: the short form of what tools/soak.py does."""

import sys

import pytest
from ros_workspace import REPO

NODES = (
    *("action_executor", "camera_ingest", "libero_bridge", "run_tasks", "safety_monitor"),
    *("skill_planner", "task_server"),
)


def test_growth_is_found_from_the_second_third_on():
    from soak import Sample, growth

    filling = [Sample(100.0 + 10 * min(n, 10), 5, 20) for n in range(30)]
    assert growth(filling) == []
    leaking = [Sample(100.0 + n, 5 + n // 10, 20) for n in range(30)]
    assert growth(leaking) == ["memory_mb from 119 to 129", "threads from 6 to 7"]
    assert growth([Sample(100.0, 5, 20)] * 2) == []


@pytest.mark.slow
def test_no_node_grows_over_some_episodes(workspace, random_checkpoint):
    command = (
        f"'{sys.executable}' '{REPO}/tools/soak.py' --minutes 0.3 --steps 60 --policy {random_checkpoint}"
    )
    soak = workspace.start(command)
    assert soak.wait(900) == 0, soak.output
    assert "6 episodes, 360 steps at" in soak.output
    for node in NODES:
        (row,) = [line for line in soak.output.splitlines() if line.startswith(f"| {node} |")]
        assert row.endswith("| no |")
    for stage in ("ingest", "plan", "act", "topics", "observation_to_command"):
        assert f"| {stage} | " in soak.output
