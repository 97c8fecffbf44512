"""Demonstrations as video without actions: a round trip through the readers the learning programs use."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_demonstrations

from hilam_core.data import read_clips, read_demonstrations, split_held_out
from hilam_core.errors import DataError, FileError

PROGRAM = Path(__file__).parents[2] / "training" / "export_video.py"


def _command(folder, *arguments):
    data, output = str(folder / "data"), str(folder / "video")
    return [sys.executable, str(PROGRAM), "--data", data, "--out", output, *arguments]


def _export(folder, *arguments):
    return subprocess.run(_command(folder, *arguments), capture_output=True, text=True, timeout=120)


def _captions(folder):
    return [json.loads(line) for line in (folder / "video" / "captions.jsonl").read_text().splitlines()]


def test_what_is_exported_reads_as_the_clips_it_was_made_from(tmp_path):
    write_demonstrations(tmp_path / "data" / "push_the_blob_demo.hdf5", episodes=12)
    done = _export(tmp_path)
    assert done.returncode == 0, done.stderr
    episodes = read_demonstrations(tmp_path / "data")
    captions = _captions(tmp_path)
    assert captions[3] == {
        "file": "push_the_blob_0003.mp4",
        "caption": "push the blob",
        "frames": len(episodes[3]),
        "fps": 20,
        "camera": "agentview",
        "size": 32,
    }
    clips = read_clips(tmp_path / "video")
    assert [len(clip) for clip in clips] == [row["frames"] for row in captions]
    for clip, episode in zip(clips, episodes, strict=True):
        upright = episode.frames["agentview"][:].astype(int)
        error = np.abs(clip.frames["agentview"] - upright).mean()
        assert error < min(12, np.abs(clip.frames["agentview"][:, ::-1] - upright).mean() - 1)
    assert [clip.instruction for clip in clips] == ["push the blob"] * 12
    held_out = [{clip.key for clip in split_held_out(some)[1]} for some in (clips, episodes)]
    numbers = [{int(re.search(r"_(\d+)", key)[1]) for key in keys} for keys in held_out]
    assert numbers[0] == numbers[1] != set(), "a video falls on its demonstration's side"


def test_a_size_is_one_of_the_whole_folder(tmp_path):
    write_demonstrations(tmp_path / "data" / "push_the_blob_demo.hdf5", episodes=1)
    assert _export(tmp_path, "--size", "64").returncode == 0
    assert read_clips(tmp_path / "video")[0].frames["agentview"].shape[1:] == (64, 64, 3)
    for arguments, message in (
        (("--size", "48"), "push_the_blob_0000.mp4 was written otherwise"),
        (("--size", "33"), "videos need an even number of pixels, not 33"),
        (("--camera", "ceiling"), "no camera 'ceiling'"),
    ):
        done = _export(tmp_path, *arguments)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("error: ")
        assert message in done.stderr


@pytest.mark.slow
def test_ctrl_c_keeps_whole_videos_and_the_same_command_continues(tmp_path):
    write_demonstrations(tmp_path / "data" / "push_the_blob_demo.hdf5", episodes=60, size=32)
    process = subprocess.Popen(_command(tmp_path, "--size", "480"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "video").glob("[!.]*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "the same command continues" in errors
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "video").glob("*.mp4")}
    assert 0 < len(kept) < 60
    assert sorted(row["file"] for row in _captions(tmp_path)) == sorted(path.name for path in kept)
    assert not list((tmp_path / "video").glob(".*mp4"))
    assert _export(tmp_path, "--size", "480").returncode == 0
    assert len(_captions(tmp_path)) == len(list((tmp_path / "video").glob("*.mp4"))) == 60
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_a_file_of_captions_that_is_none_is_named(tmp_path):
    write_demonstrations(tmp_path / "data" / "push_the_blob_demo.hdf5", episodes=1)
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "captions.jsonl").write_text("file,caption\n")
    done = _export(tmp_path)
    assert done.returncode == 1
    assert "captions.jsonl is no list of captions" in done.stderr


def test_a_video_that_cannot_be_written_leaves_nothing(tmp_path):
    from hilam_core.video import write_video

    with pytest.raises(DataError, match="no frames"):
        write_video(tmp_path / "empty.mp4", [])
    with pytest.raises(DataError, match="even sides, the frames are 33x32"):
        write_video(tmp_path / "odd.mp4", np.zeros((2, 32, 33, 3), np.uint8))
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"cannot write '.*file/clip\.mp4': File exists"):
        write_video(tmp_path / "file" / "clip.mp4", np.zeros((2, 32, 32, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
