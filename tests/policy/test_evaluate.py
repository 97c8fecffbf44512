"""Evaluation and report, on policies with random weights."""

import base64
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import evaluate
import pytest
import report

from hilam_core.errors import CheckpointError, DataError, FileError
from hilam_core.files import sole_writer
from hilam_core.policy import Policy, PolicyConfig, random_policy, save_policy
from hilam_core.video import read_video

pytest.importorskip("robosuite")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """A finished small evaluation: (configuration, its result)."""
    folder = tmp_path_factory.mktemp("evaluation")
    policy = random_policy(folder / "blind", PolicyConfig.blind())
    config = evaluate.Config(
        policy,
        tasks=("0", "4"),
        episodes=2,
        max_steps=4,
        workers=2,
        batch=2,
        out=folder / "eval/blind.json",
        assets="builtin",
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


def test_parts_of_processes_that_were_stopped_are_joined_not_run_again(evaluation, monkeypatch):
    config, result = evaluation
    parts = [{**result, "episodes": result["episodes"][i::2][:1]} for i in (0, 1)]
    config.out.unlink()
    for number, part in enumerate(parts):
        evaluate.part_path(config.out, number).write_text(json.dumps(part))
    ran = []
    original = evaluate.run_episodes
    monkeypatch.setattr(
        evaluate, "run_episodes", lambda specs, *a, **k: ran.extend(specs) or original(specs, *a, **k)
    )
    evaluate.main(config)
    assert len(ran) == 2 and json.loads(config.out.read_text())["episodes"] == result["episodes"]
    assert list(config.out.parent.iterdir()) == [config.out]


def test_results_do_not_depend_on_the_number_of_workers(evaluation, tmp_path):
    config, result = evaluation
    out = tmp_path / "alone.json"
    evaluate.main(replace(config, workers=1, out=out))
    assert json.loads(out.read_text())["episodes"] == result["episodes"]


def test_shards_of_an_evaluation_make_a_whole_one(evaluation, tmp_path, monkeypatch):
    config, result = evaluation
    monkeypatch.chdir(tmp_path)
    for shard in ("0/3", "1/3", "2/3"):
        evaluate.main(replace(config, out=None, shard=shard))
    files = sorted((tmp_path / "runs/eval").iterdir())
    assert [file.stem[-7:] for file in files if file.suffix == ".json"] == ["_0_of_3", "_1_of_3", "_2_of_3"]
    (joined,) = report.read_results([tmp_path / "runs/eval"])
    assert joined["name"] == "blind"
    assert sorted(joined["episodes"]) == sorted(report.episode_key(e) for e in result["episodes"])


def test_a_policy_can_be_told_something_else_and_is_compared_on_the_same_episodes(evaluation, tmp_path):
    config, _ = evaluation
    told = "pick up the milk and place it in the basket"
    for out, instruction in ((tmp_path / "a.json", None), (tmp_path / "b.json", told)):
        evaluate.main(replace(config, tasks=("0",), instruction=instruction, out=out))
    results = report.read_results([tmp_path])
    assert {result["name"] for result in results} == {"blind (told None)", f"blind (told {told!r})"}
    (row,) = report.comparison_table(results).rows
    assert row[4] == 2  # episodes in common


def test_each_suite_has_a_file_of_its_own(evaluation, tmp_path, monkeypatch):
    config, _ = evaluation
    monkeypatch.chdir(tmp_path)
    suites = ("libero_object", "libero_spatial")
    evaluate.main(replace(config, out=None, suite=suites, tasks=(), episodes=1, max_steps=1, shard="0/10"))
    results = report.read_results([tmp_path / "runs/eval"])
    assert [(result["suite"], len(result["episodes"])) for result in results] == [(s, 1) for s in suites]


def test_a_simulation_worker_does_not_load_torch():
    program = "import evaluate, sys; sys.exit('torch' in sys.modules)"
    path = os.pathsep.join([str(Path(evaluate.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0


def test_results_of_another_checkpoint_are_not_mixed(evaluation, tmp_path):
    config, _ = evaluation
    other = random_policy(tmp_path / "other", PolicyConfig.blind(), seed=1)
    with pytest.raises(DataError, match="checkpoint_hash"):
        evaluate.main(evaluate.Config(**{**vars(config), "policy": other}))


def test_a_damaged_checkpoint_is_refused_before_any_worker_starts(tmp_path):
    policy = random_policy(tmp_path / "policy", PolicyConfig.blind())
    weights = policy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    config = evaluate.Config(policy, tasks=("0",), episodes=1, out=tmp_path / "result.json", assets="builtin")
    with pytest.raises(CheckpointError, match="is damaged"):
        evaluate.main(config)
    assert not config.out.exists()


def identity_of(config):
    return evaluate.make_identity(config, config.suite[0], evaluate.load_runner(config))


def default_path(config):
    return evaluate.result_path(config, identity_of(config))


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A folder that is taken for the official assets."""
    for name in ("stable_hope_objects", "stable_scanned_objects", "scenes", "textures"):
        (tmp_path / "official" / name).mkdir(parents=True)
    monkeypatch.setenv("LIBERO_ASSETS", str(tmp_path / "official"))


def test_whatever_decides_an_episode_has_a_default_file_of_its_own(tmp_path, official):
    policy = random_policy(tmp_path / "policy", PolicyConfig.blind())
    other = tmp_path / "other"
    config = evaluate.Config(policy, assets="builtin")
    changes = [
        {"suite": ("libero_goal",)},
        {"placement": "scattered"},
        {"seed": 1},
        {"max_steps": 100},
        {"assets": "official"},
        {"quality": "stock"},
        {"exact": True},
        {"batch": 1},
        {"tasks": ("0",), "instruction": "turn on the stove"},
        {"policy": random_policy(other / "seed" / "policy", PolicyConfig.blind(), seed=1)},
        {"policy": random_policy(other / "decay" / "policy", PolicyConfig.blind(aggregation_decay=-0.01))},
        {"policy": random_policy(other / "period" / "policy", PolicyConfig.blind(plan_period=3))},
    ]
    paths = {default_path(replace(config, **change)) for change in [{}, *changes]}
    assert len(paths) == 1 + len(changes)
    same = [{"max_steps": 280}, {"quality": "fast"}, {"episodes": 3}, {"tasks": ("1",)}, {"workers": 1}]
    assert {default_path(replace(config, **change)) for change in same} == {default_path(config)}
    assert default_path(config).name.startswith("policy_libero_object_stored_")


def test_what_the_policy_was_trained_on_is_drawn_and_another_choice_is_warned_of(tmp_path, official, capsys):
    policy = Policy(PolicyConfig.tiny())
    trained = save_policy(tmp_path / "trained", policy, {"data": {"assets": "builtin"}})
    config = evaluate.Config(trained, tasks=("0",), episodes=1, max_steps=1, out=tmp_path / "result.json")
    assert identity_of(config)["assets"] == "builtin"  # though official ones are found
    assert (
        identity_of(replace(config, policy=save_policy(tmp_path / "unknown", policy)))["assets"] == "official"
    )
    config.out.write_text("{}")  # ends the program after its checks
    for assets, warned in ((None, False), ("builtin", False), ("official", True)):
        with pytest.raises(DataError):
            evaluate.main(replace(config, assets=assets))
        assert ("trained on pictures of the builtin assets" in capsys.readouterr().err) == warned


def test_two_processes_never_write_one_result(evaluation):
    config, _ = evaluation
    before = config.out.read_text()
    with sole_writer(config.out), pytest.raises(FileError, match="another process is writing"):
        evaluate.main(replace(config, episodes=3))
    assert config.out.read_text() == before


def test_results_are_printed_though_the_disk_is_full(evaluation, tmp_path, capsys):
    config, _ = evaluation
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(FileError, match=r"cannot write '.*full\.json'"):
            evaluate.main(replace(config, tasks=("0",), episodes=1, out=tmp_path / "full.json"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "full.json").exists()
    assert "0/1" in capsys.readouterr().out


def test_exact_stepping_can_be_asked_for_and_is_recorded(evaluation, tmp_path, capsys):
    config, _ = evaluation
    out = tmp_path / "exact.json"
    evaluate.main(
        replace(config, tasks=("pick_up_the_milk_and_place_it_in_the_basket",), exact=True, out=out)
    )
    result = json.loads(out.read_text())
    assert result["exact"] is True and [e["task"] for e in result["episodes"]] == [7, 7]
    assert "exact" in capsys.readouterr().out
    with pytest.raises(DataError, match="holds results with exact True, not False"):
        evaluate.main(replace(config, out=out))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "seed must be at least 0, got -1"),
        (["--seed", "4294967296"], "seed must be at most"),
        (["--episodes", "0"], "episodes must be at least 1, got 0"),
        (["--max-steps", "0"], "max_steps must be at least 1, got 0"),
        (["--workers", "0"], "workers must be at least 1, got 0"),
        (["--batch", "0"], "batch must be at least 1, got 0"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--episodes", "51"], "51 episodes"),
        (["--tasks", "10"], "unknown task 10 in libero_object"),
        (["--tasks", "juggle"], "unknown task 'juggle' in libero_object"),
        (["--suite", "libero_objects"], "unknown suite 'libero_objects'"),
        (["--suite", "libero_object", "libero_goals"], "unknown suite 'libero_goals'"),
        (["--suite", "libero_object", "libero_goal", "--tasks", "1"], "tasks 1 of 2 suites"),
        (["--suite", "libero_object", "libero_goal", "--out", "result.json"], "is one file for 2 suites"),
        (["--instruction", "pick up the milk"], "instruction 'pick up the milk' is for one task"),
        (["--shard", "4/4"], "shard '4/4' must be such as 0/4"),
        (["--shard", "1/2", "--tasks", "0", "--episodes", "1"], "shard '1/2' of 1 episodes is empty"),
        (["--out", "."], "out '.' is a folder"),
        (["--out", "text.txt"], "'text.txt' is not a result of evaluate.py"),
        (["--out", "text.txt/result.json"], "cannot write to the folder 'text.txt'"),
        (["--videos", "text.txt"], "cannot write to the folder 'text.txt"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    policy = random_policy(tmp_path / "policy")
    (tmp_path / "text.txt").write_text("notes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process keeps its own
    monkeypatch.setattr(sys, "argv", ["evaluate.py", str(policy), *arguments])
    with pytest.raises(SystemExit) as ended:
        evaluate.run_program(evaluate.main, evaluate.Config)
    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_videos_lie_beside_the_result_and_the_report_shows_them(tmp_path):
    policy = random_policy(tmp_path / "policy")
    out = tmp_path / "eval/result.json"
    evaluate.main(
        evaluate.Config(
            policy,
            tasks=("0",),
            episodes=2,
            max_steps=2,
            workers=2,
            out=out,
            videos=tmp_path / "videos",
            assets="builtin",
        )
    )
    videos = [out.parent / episode["video"] for episode in json.loads(out.read_text())["episodes"]]
    assert [len(read_video(video)) for video in videos] == [3, 3]
    report.main(report.Config([out], tmp_path / "report"))
    page = (tmp_path / "report/results.html").read_text()
    assert base64.b64encode(videos[0].read_bytes()).decode() in page
    assert base64.b64encode(videos[1].read_bytes()).decode() not in page


def test_a_report_reads_what_evaluations_write(evaluation, tmp_path):
    config, _ = evaluation
    report.main(report.Config([config.out], tmp_path))
    assert (
        "| libero_object | stored | blind | 0.0% | 0.0% to 49.0% | 4 |"
        in (tmp_path / "results.md").read_text()
    )
