"""What an episode leaves behind."""

import json

import numpy as np
import pytest

from hilam_core.runtime.episode import Episode, EpisodeError, EpisodeRecorder, summary_lines
from hilam_core.runtime.timing import Cycle
from hilam_core.video import read_video

SETTING = {"mode": "lockstep", "task": "pick", "init_state": 4}
PEERS = ("ingest", "planner")


def start(folder, peers=()):
    recorder = EpisodeRecorder(folder, "pick", ["left", "right"], control_hz=20)
    return Episode(recorder, SETTING, peers, now_s=100.0, start_timeout_s=60, step_timeout_s=10)


def images(step):
    return {
        "left": np.full((32, 32, 3), 80 * step, np.uint8),
        "right": np.full((32, 32, 3), 200, np.uint8),
    }


def record(folder):
    """An episode of two steps a tenth of a second each."""
    episode = start(folder)
    episode.begin(now_s=110.0)
    for step in range(2):
        episode.observed(images(step), now_s=110.0 + step / 10)
        episode.stepped(np.full(7, step / 10, np.float32), step_s=0.001)
        episode.account.add_command(stamp_ns=step, total_s=0.009)
        episode.account.add_cycle(Cycle(step, 0, 0.001, 0.004, 0.002 * (step + 1), 0.001, step == 0))
    episode.end(images(2), success=True, now_s=110.2)
    content = episode.result({"late_ticks": 1})
    return episode.recorder.write(content), content


def test_episode_folder_holds_video_facts_and_actions(tmp_path):
    folder, _ = record(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "episode.json",
        "episode.mp4",
        "episode_actions.npy",
    ]
    frames = read_video(folder / "episode.mp4")
    assert [frame.shape for frame in frames] == [(64, 128, 3)] * 3
    assert frames[2][:, :60].mean() == pytest.approx(160, abs=4)
    assert frames[2][:, 68:].mean() == pytest.approx(200, abs=4)
    facts = json.loads((folder / "episode.json").read_text())
    assert facts["latency_ms"]["act"]["p50"] == 3.0
    assert (facts["late_ticks"], facts["task"], facts["rate_hz"]) == (1, "pick", 10.0)
    np.testing.assert_allclose(np.load(folder / "episode_actions.npy")[:, 0], [0, 0.1])


def test_two_episodes_in_one_second_keep_apart(tmp_path):
    assert record(tmp_path)[0] != record(tmp_path)[0]


def test_summary_names_outcome_rate_and_latencies(tmp_path):
    lines = summary_lines(record(tmp_path)[1])
    assert lines[0] == "pick, initial state 4: success after 2 steps at 10.0 Hz (lockstep)"
    assert any(line.split()[0] == "act" and "3.00" in line for line in lines)


def test_an_episode_begins_when_every_peer_is_prepared_and_names_those_that_are_not(tmp_path):
    episode = start(tmp_path, PEERS)
    assert episode.unprepared() == ["ingest: not heard of", "planner: not heard of"]
    episode.hear("ingest", "no camera came yet", prepared=True)
    episode.hear("planner", "waiting for a task", prepared=False)
    episode.hear("stranger", "broken", prepared=False)
    assert episode.unprepared() == ["planner: waiting for a task"]
    episode.check_start(now_s=159.0, lacking=[])
    with pytest.raises(
        EpisodeError, match="not ready after 60 s: planner: waiting for a task; arm: no power"
    ):
        episode.check_start(now_s=161.0, lacking=["arm: no power"])
    episode.hear("planner", "ready", prepared=True)
    assert episode.unprepared() == []


def test_an_overdue_command_ends_the_episode_with_what_is_missing(tmp_path):
    episode = start(tmp_path, PEERS)
    episode.hear("planner", "skill is not finite", prepared=False)
    episode.check_step(now_s=1000.0, missing=["twist"])  # nothing was asked for yet
    episode.begin(now_s=110.0)
    episode.observed(images(0), now_s=112.0)
    episode.check_step(now_s=121.0, missing=["twist"])
    with pytest.raises(
        EpisodeError,
        match=r"no twist and no gripper command for observation 0 within 10 s; .*"
        "planner: skill is not finite",
    ):
        episode.check_step(now_s=122.5, missing=["twist", "gripper"])
    episode.end(images(1), success=False, now_s=122.6)
    episode.check_step(now_s=1000.0, missing=["twist"])
