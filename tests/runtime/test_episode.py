"""What an episode leaves behind."""

import json

import av
import numpy as np
import pytest

from hilam_core.runtime.episode import EpisodeRecorder, summary_lines

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
