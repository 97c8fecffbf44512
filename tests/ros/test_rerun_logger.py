"""The stack as a file for the Rerun viewer. The SDK has 500 MB: CI lacks it, and tests the error instead."""

from collections import Counter
from importlib.util import find_spec

import pytest
from domains import next_domain

has_sdk = find_spec("rerun") is not None


def contents(path):
    """How often each entity was logged, and the texts."""
    from rerun.chunk import RrdReader

    rows, texts = Counter(), []
    for chunk in RrdReader(path).store().stream():
        rows[chunk.entity_path] += chunk.num_rows
        batch = chunk.to_record_batch()
        if "TextLog:text" in batch.schema.names:
            texts += [text for cell in batch.column("TextLog:text").to_pylist() for text in cell or []]
    return rows, texts


@pytest.mark.skipif(has_sdk, reason="rerun-sdk is installed")
def test_without_the_sdk_the_launch_says_what_to_install(workspace):
    launch = workspace.simulate(rerun="true")
    assert launch.wait() == 1
    assert "rerun:=true needs a package that is missing: pip install 'hilam[rerun]'" in launch.output


def test_without_a_folder_of_records_there_is_no_place_for_the_file(workspace):
    launch = workspace.simulate(rerun="true", output="none")
    assert launch.wait() == 1
    assert "rerun:=true" in launch.output and "Traceback" not in launch.output


@pytest.mark.slow
@pytest.mark.skipif(not has_sdk, reason="rerun-sdk is not installed")
def test_a_file_has_what_the_stack_did(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    launch = workspace.simulate(
        domain, mode="realtime", serve="true", rerun="true", output=tmp_path, policy=random_checkpoint
    )
    launch.wait_for(f"logging to {tmp_path}")
    goal = workspace.send_goal(domain, "{time_limit_s: 3.0, start: {suite: libero_object, task: '0'}}")
    goal.wait()
    launch.interrupt()
    assert "Traceback" not in launch.output, launch.output

    (path,) = tmp_path.glob("*.rrd")
    rows, texts = contents(path)
    for entity in (
        *("/camera/agentview", "/camera/eye_in_hand", "/joints/panda_joint1", "/ee_pose/position_m"),
        *("/command/linear_m_s", "/skill/boundary_probability", "/skill/id", "/latency_ms/total", "/safety"),
    ):
        assert rows[entity] > 0, (entity, rows)
    assert "episode 1 begins: pick up the alphabet soup and place it in the basket" in texts
    assert "task_server: ready" in texts
