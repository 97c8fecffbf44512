"""An evaluation through the nodes gives the numbers of the one in a single process."""

import json
import sys

import pytest
from ros_workspace import REPO

SHIPPED = REPO / "checkpoints" / "libero_object"


def evaluate(workspace, out, *options):
    """The episodes that evaluate.py writes, without what names their file."""
    program = f"'{sys.executable}' '{REPO / 'training' / 'evaluate.py'}'"
    chosen = "--tasks 0 6 --episodes 1 --assets builtin --workers 1"
    launch = workspace.start(f"{program} '{SHIPPED}' --out '{out}' {chosen} {' '.join(options)}")
    code = launch.wait(540)
    return code, launch.output, json.loads(out.read_text()) if out.exists() else None


@pytest.mark.slow
def test_success_and_steps_are_the_same_through_the_nodes_and_in_one_process(workspace, tmp_path):
    code, said, alone = evaluate(workspace, tmp_path / "alone.json", "--batch", "1")
    assert code == 0, said
    code, said, nodes = evaluate(workspace, tmp_path / "nodes.json", "--ros")
    assert code == 0, said
    for episode in alone["episodes"]:
        del episode["progress"]  # conditions of the goal are known within the process alone
    assert nodes["episodes"] == alone["episodes"]
    assert any(episode["success"] for episode in nodes["episodes"])  # steps to success tell policies apart
    assert nodes["overall"] == {**alone["overall"], "progress": None}
    code, said, _ = evaluate(workspace, tmp_path / "nodes.json", "--ros")
    assert code == 0 and ": 0 episodes in" in said, said  # all are there


def test_an_evaluation_without_the_ros2_command_says_what_to_do(tmp_path, monkeypatch):
    from ros_episodes import RosError, perform_in_ros

    from hilam_sim.rollout import EpisodeSpec

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RosError, match="no 'ros2' command: source"):
        perform_in_ros([EpisodeSpec("libero_object", 0)], {}, print)
