"""import_bags.py: what a recording becomes, and what is said of one that cannot be imported."""

import json

import numpy as np
import pytest
from programs import program
from recordings import INGEST, picture, record

from hilam_core.data import camera_names, read_clips, read_demonstrations
from hilam_core.observation import proprioception


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    record(folder)
    record(folder, seconds=1.5)
    record(folder, "push the plate", outcome="timeout")
    return folder


def run(tmp_path, recordings, *arguments):
    return program("import_bags", "--bags", recordings, "--out", tmp_path / "out", *arguments, cwd=tmp_path)


def test_recordings_become_demonstrations_that_every_program_reads(tmp_path, recordings):
    assert run(tmp_path, recordings).code == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pick_up_the_milk_demo.hdf5"]
    longer, shorter = read_demonstrations([tmp_path / "out"])
    assert camera_names([tmp_path / "out"]) == INGEST.cameras
    assert (longer.instruction, longer.fps, longer.attrs["outcome"]) == ("pick up the milk", 20.0, "success")
    assert longer.key == "pick_up_the_milk_demo/demo_0" and len(shorter) < len(longer)

    # 30 images a second become 20 steps: from the first proposal at 0.503 s to the last at 1.703 s.
    frames = np.asarray(longer.frames["agentview"])
    numbers = [next(i for i in range(60) if np.array_equal(frame, picture(i))) for frame in frames]
    assert 14 <= numbers[0] <= 15 and 50 <= numbers[-1] <= 51
    assert set(np.diff(numbers)) == {1, 2} and len(numbers) == pytest.approx(25, abs=1)
    hands = np.asarray(longer.frames["eye_in_hand"])
    for frame, number in zip(hands, numbers, strict=True):
        assert any(np.array_equal(frame, picture(1000 + near)) for near in (number - 1, number))

    times_s = np.array(numbers) / 30
    states = longer.states
    np.testing.assert_allclose(states["ee_pos"][:, 0], 0.5 - 0.6 + 0.1 * times_s, atol=0.0021)
    np.testing.assert_allclose(states["gripper_qpos"], np.tile([0.03, -0.03], (len(longer), 1)))
    assert states["joint_pos"].shape == (len(longer), 6)
    expected = proprioception(*(states[name] for name in ("ee_pos", "ee_quat", "gripper_qpos")))
    np.testing.assert_array_equal(longer.proprio, expected)

    # 0.1 m/s is half of what full action means here (0.01 m in a period of 50 ms); later it is all of it.
    early, late = times_s < 0.94, times_s > 1.01
    np.testing.assert_allclose(longer.actions[early, 0], 0.5)
    np.testing.assert_allclose(longer.actions[late, 0], 1.0)
    assert set(longer.actions[early, 6]) == {-1.0}  # the open fingers say what they were told before
    assert set(longer.actions[late, 6]) == {1.0}
    assert not longer.actions[:, 1:6].any()
    assert set(longer.phases) == {"", "grasp"} and longer.phases[-1] == "grasp"


def test_recordings_become_plain_video_with_captions(tmp_path, recordings):
    done = run(tmp_path, recordings, "--video", "--camera", "eye_in_hand", "--outcomes", "success", "timeout")
    assert done.code == 0, done.errors
    clips = read_clips([tmp_path / "out"])
    assert sorted({clip.instruction for clip in clips}) == ["pick up the milk", "push the plate"]
    assert [len(clip) for clip in clips] == [40, 30, 40]
    assert clips[0].frames["agentview"].shape[1:] == (32, 32, 3)
    topic = run(tmp_path, recordings, "--video", "--topic", "/front/image_raw", "--instruction", "wave")
    assert topic.code == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "captions.jsonl").read_text().splitlines()]
    assert [row["caption"] for row in rows] == ["wave"] * 3


CASES = {
    "missing": (
        {"without": "/ee_pose"},
        [],
        "has nothing on /ee_pose; it has /front/image_raw, /hand/image_raw, /joint_states, /phase",
    ),
    "no proposals": ({"without": "/proposed_twist"}, [], "has nothing on /proposed_twist"),
    "no outcome": (
        {"outcome": ""},
        [],
        "ended: import it with --outcomes success none, or remove it",
    ),
    "another outcome": ({"outcome": "timeout"}, [], "all 1 recordings had another outcome than success"),
    "rate": (
        {"camera_hz": 10.0},
        [],
        "has 10.0 observations a second, control_hz is 20: images came at another rate, or were lost",
    ),
    "video's rate": ({"camera_hz": 10.0}, ["--video"], "10.0 images a second on /front/image_raw, not 20"),
    "camera": ({}, ["--video", "--camera", "side"], "has no camera 'side', but agentview, eye_in_hand"),
    "topic": ({}, ["--video", "--topic", "/side"], "has 0 images on /side; it has /ee_pose, /front/im"),
    "options": ({}, ["--camera", "agentview"], "--camera, --topic and --instruction are for --video"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_imported_is_one_line(tmp_path, case):
    settings, arguments, message = CASES[case]
    record(tmp_path / "bags", **settings)
    done = run(tmp_path, tmp_path / "bags", *arguments)
    error = done.errors.splitlines()[-1]
    assert done.code == 1 and error.startswith("error: ") and message in error, done.errors
    assert not list(tmp_path.glob("out/*"))


def test_a_recording_that_breaks_off_is_imported_only_when_told_to(tmp_path):
    folder = record(tmp_path / "bags", outcome="")
    (file,) = folder.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-3000])
    (folder / "metadata.yaml").unlink()
    done = run(tmp_path, tmp_path / "bags")
    assert done.code == 1 and f"'{file}' breaks off after" in done.errors and "--unfinished" in done.errors
    arguments = ("--unfinished", "--outcomes", "none")
    assert run(tmp_path, tmp_path / "bags", *arguments).code == 0
    assert len(read_demonstrations([tmp_path / "out"])) == 1


def test_cameras_of_two_profiles_are_not_mixed(tmp_path):
    record(tmp_path / "bags")
    record(tmp_path / "bags", cameras=("front", "hand"))
    done = run(tmp_path, tmp_path / "bags")
    assert done.code == 1 and "import them apart" in done.errors
