"""What an episode leaves behind, and the statistics in it."""

import json

import av
import numpy as np
import pytest
from hilam_ros.episode import EpisodeRecorder, summary_lines
from hilam_ros.timing import StageStats, summarize_ms

FACTS = {"success": True, "steps": 3, "rate_hz": 19.9, "mode": "lockstep", "task": "pick", "init_state": 4}


def record(folder):
    recorder = EpisodeRecorder(folder, "pick", ["left", "right"], control_hz=20)
    for step in range(3):
        images = {
            "left": np.full((32, 32, 3), 80 * step, np.uint8),
            "right": np.full((32, 32, 3), 200, np.uint8),
        }
        recorder.add_frame(images)
        recorder.actions.append(np.full(7, step / 10, np.float32))
        recorder.durations_s["act"].append(0.001 * (step + 1))
    return recorder, recorder.write(FACTS)


def test_episode_folder_holds_video_facts_and_actions(tmp_path):
    recorder, _ = record(tmp_path)
    assert sorted(path.name for path in recorder.folder.iterdir()) == [
        "episode.json",
        "episode.mp4",
        "episode_actions.npy",
    ]
    with av.open(str(recorder.folder / "episode.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert float(video.streams.video[0].average_rate) == 20
    assert [frame.shape for frame in frames] == [(64, 128, 3)] * 3
    assert frames[2][:, :60].mean() == pytest.approx(160, abs=4)
    assert frames[2][:, 68:].mean() == pytest.approx(200, abs=4)
    facts = json.loads((recorder.folder / "episode.json").read_text())
    assert facts["latency_ms"]["act"]["p50"] == 2.0
    np.testing.assert_allclose(np.load(recorder.folder / "episode_actions.npy")[:, 0], [0, 0.1, 0.2])


def test_two_episodes_in_one_second_keep_apart(tmp_path):
    assert record(tmp_path)[0].folder != record(tmp_path)[0].folder


def test_summary_names_outcome_rate_and_latencies(tmp_path):
    lines = summary_lines(record(tmp_path)[1])
    assert lines[0] == "pick, initial state 4: success after 3 steps at 19.9 Hz (lockstep)"
    assert any(line.split()[0] == "act" and "2.00" in line for line in lines)


def test_stage_statistics_stay_bounded_and_forget_the_past():
    stats = StageStats(window=100)
    for step in range(1000):
        stats.add(1.0 if step < 800 else 0.01, now_s=step * 0.05)
    report = stats.report(now_s=50.0)
    assert report["count"] == 1000
    assert report["rate_hz"] == 20.0
    assert report["max_ms"] == 10.0
    assert report["age_s"] == pytest.approx(0.05)
    assert summarize_ms([]) == {"count": 0}
