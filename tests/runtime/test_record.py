"""What an episode leaves behind."""

import json

import numpy as np
import pytest

from hilam_core.runtime.record import LINE_PX, EpisodeRecorder, RecordedSkill, strip, summary_lines
from hilam_core.runtime.timing import Cycle, TimeAccount
from hilam_core.video import read_video

INSTRUCTION = "pick up the milk and place it in the basket"


def images(step):
    return [np.full((64, 64, 3), 80 * step, np.uint8), np.full((64, 64, 3), 200, np.uint8)]


def record(folder):
    """An episode of two steps."""
    recorder, account = EpisodeRecorder(folder, "pick", INSTRUCTION, control_hz=20), TimeAccount()
    recorder.skills += [RecordedSkill(0, 0, 0.1), RecordedSkill(2, 1, 0.9)]
    for step in range(3):
        recorder.add_frame(step, images(step))
    for step in range(2):
        recorder.actions.append(np.full(7, step / 10, np.float32))
        account.add_command(stamp_ns=step, total_s=0.009 + step * 0.1)
        account.add_cycle(Cycle(step, 0, 0.001, 0.004, 0.002 * (step + 1), 0.001, step == 0, 0.5))
    content = {
        "name": "pick",
        "outcome": "success",
        "reason": "the goal holds",
        "steps": 2,
        "rate_hz": 10.0,
        "mode": "lockstep",
        "control_hz": 20.0,
        "cadence": account.cadence(20.0),
        "latency_ms": {"act": {"count": 2, "p50": 3.0, "p99": 4.0}, "plan": {"count": 0}},
    }
    return recorder.write(content), content


def test_episode_folder_holds_video_facts_and_actions(tmp_path):
    folder, content = record(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "episode.json",
        "episode.mp4",
        "episode_actions.npy",
    ]
    frames = read_video(folder / "episode.mp4")
    assert [frame.shape for frame in frames] == [(128 + 2 * LINE_PX, 256, 3)] * 3
    assert frames[2][:128, :120].mean() == pytest.approx(160, abs=4)
    assert frames[2][:128, 136:].mean() == pytest.approx(200, abs=4)
    assert json.loads((folder / "episode.json").read_text()) == content
    np.testing.assert_allclose(np.load(folder / "episode_actions.npy")[:, 0], [0, 0.1])


def test_under_the_picture_stand_the_instruction_the_skill_and_how_probable_its_boundary_was(tmp_path):
    none = strip(256, INSTRUCTION, None)
    assert none[:LINE_PX].max() > 200 and none[LINE_PX:].max() < 50  # text only where there is something
    unlikely = strip(256, INSTRUCTION, RecordedSkill(0, 0, 0.1))
    likely = strip(256, INSTRUCTION, RecordedSkill(2, 1, 0.9))
    bar = [(picture[-1] == (120, 60, 20)).all(axis=1).sum() for picture in (unlikely, likely)]
    assert bar == [26, 230]
    assert (strip(256, INSTRUCTION + " and then some" * 9, None)[:, -4:] == 24).all()  # cut, not overflowing
    frames = read_video(record(tmp_path)[0] / "episode.mp4").astype(float)
    assert np.abs(frames[1, -LINE_PX:] - frames[0, -LINE_PX:]).mean() < 2
    assert np.abs(frames[2, -LINE_PX:] - frames[1, -LINE_PX:]).mean() > 10  # the next skill


def test_two_episodes_in_one_second_keep_apart(tmp_path):
    assert record(tmp_path)[0] != record(tmp_path)[0]


@pytest.mark.parametrize(
    "name", ["../../etc/milk", "put the milk\0 away\n", "Milch für alle " * 40, "牛" * 300]
)
def test_any_instruction_makes_one_folder_below_the_output(tmp_path, name):
    recorder = EpisodeRecorder(tmp_path / "runs", name, name, control_hz=20)
    assert recorder.write({}).parent == tmp_path / "runs"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_summary_names_outcome_cadence_and_latencies(tmp_path):
    lines = summary_lines(record(tmp_path)[1])
    assert lines[0] == "pick: success after 2 steps at 10.0 Hz (lockstep): the goal holds"
    assert lines[1] == "cadence: 10.0 of 20 Hz, 1 of 2 cycles over 50 ms, headroom -116%"
    assert any(line.split()[0] == "act" and "3.00" in line for line in lines)
    assert not any("plan" in line for line in lines)
