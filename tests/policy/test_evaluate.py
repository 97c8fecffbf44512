"""Evaluation and report, on a policy with random weights that needs no images."""

import json

import evaluate
import pytest
import report

from hilam_core.errors import CheckpointError, DataError
from hilam_core.policy import PolicyConfig, random_policy

pytest.importorskip("robosuite")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """A finished small evaluation: (configuration, its result)."""
    folder = tmp_path_factory.mktemp("evaluation")
    policy = random_policy(folder / "blind", PolicyConfig.blind())
    config = evaluate.Config(
        policy, tasks=(0, 4), episodes=2, max_steps=4, out=folder / "eval/blind.json", assets="builtin"
    )
    evaluate.main(config)
    return config, json.loads(config.out.read_text())


def test_a_result_names_what_made_it_and_counts_every_episode(evaluation):
    _, result = evaluation
    assert [(e["task"], e["init_state"]) for e in result["episodes"]] == [(0, 0), (0, 1), (4, 0), (4, 1)]
    assert result["overall"]["successes"] == 0 and result["overall"]["n"] == 4
    assert result["overall"]["interval"][1] < 0.6 and len(result["tasks"]) == 2
    assert all(episode["steps"] == 4 for episode in result["episodes"])
    assert len(result["checkpoint_hash"]) == 64 and "evaluate.py" in result["command"]


def test_an_interrupted_evaluation_runs_only_what_is_missing(evaluation, monkeypatch):
    config, result = evaluation
    config.out.write_text(json.dumps({**result, "episodes": result["episodes"][:3]}))
    ran = []
    original = evaluate.run_episodes
    monkeypatch.setattr(
        evaluate, "run_episodes", lambda specs, *a, **k: ran.extend(specs) or original(specs, *a, **k)
    )
    evaluate.main(config)
    assert [(spec.task, spec.init_state) for spec in ran] == [(4, 1)]
    again = json.loads(config.out.read_text())
    assert again["episodes"] == result["episodes"] and again["overall"] == result["overall"]


def test_results_of_another_checkpoint_are_not_mixed(evaluation, tmp_path):
    config, _ = evaluation
    other = random_policy(tmp_path / "other", PolicyConfig.blind(), seed=1)
    with pytest.raises(DataError, match="checkpoint_hash"):
        evaluate.main(evaluate.Config(**{**vars(config), "policy": other}))


def test_a_damaged_checkpoint_is_refused_before_any_worker_starts(tmp_path):
    policy = random_policy(tmp_path / "policy", PolicyConfig.blind())
    weights = policy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    config = evaluate.Config(policy, tasks=(0,), episodes=1, out=tmp_path / "result.json", assets="builtin")
    with pytest.raises(CheckpointError, match="is damaged"):
        evaluate.main(config)
    assert not config.out.exists()


def test_the_report_has_a_row_for_every_evaluation_and_a_picture(evaluation, tmp_path):
    _, result = evaluation
    episodes = [{**e, "success": True} for e in result["episodes"]]
    results = tmp_path / "results"
    results.mkdir()
    (results / "a.json").write_text(json.dumps(result))
    (results / "b.json").write_text(json.dumps({**result, "label": "seeing", "episodes": episodes}))
    report.main(report.Config([results], tmp_path / "report"))
    text = (tmp_path / "report/results.md").read_text()
    assert "| blind | stored | 0.0% |" in text and "| seeing | stored | 100.0% |" in text and "2/2" in text
    assert (tmp_path / "report/results.png").stat().st_size > 5000


def test_a_report_of_something_else_is_refused_in_one_line(tmp_path):
    (tmp_path / "x.json").write_text("[1, 2")
    with pytest.raises(DataError, match=r"x\.json"):
        report.read_results([tmp_path])
