"""Folders of video as people have them: Something-Something V2, captions in a table, broken files among good
ones."""

import csv
import json

import av
import numpy as np
import pytest
from programs import LAM, SKILLS, program, run_how_to

from hilam_core.data import ReadConfig, SkillStore, read_clips
from hilam_core.errors import DataError
from hilam_core.video import frames_at, read_video, write_video


def moving(count=24, height=24, width=32, seed=0):
    """A bar that moves over a wall."""
    frames = np.zeros((count, height, width, 3), np.uint8) + np.uint8(20 * seed)
    for t in range(count):
        frames[t, :, t % width : t % width + 4] = 220
    return frames


@pytest.fixture
def something(tmp_path):
    """A folder with the files and lists of Something-Something V2 as published."""
    for i, number in enumerate(("78687", "42326", "100904")):
        write_video(tmp_path / f"20bn-something-something-v2/{number}.webm", moving(seed=i), fps=12)
    labels = [
        {
            "id": number,
            "label": label,
            "template": "Holding [something] next to [something]",
            "placeholders": ["a", "b"],
        }
        for number, label in (
            ("78687", "holding potato next to vicks vaporub bottle"),
            ("42326", "spreading margarine onto bread"),
        )
    ]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/train.json").write_text(json.dumps(labels))
    return tmp_path


def test_something_something_is_read_as_it_is_published(something):
    videos, labels = something / "20bn-something-something-v2", something / "labels/train.json"
    clips = {clip.key: clip for clip in read_clips(videos, config=ReadConfig(captions=labels))}
    assert set(clips) == {"78687.webm/video", "42326.webm/video"}, "the list says which videos to read"
    assert clips["42326.webm/video"].instruction == "spreading margarine onto bread"
    assert len(clips["42326.webm/video"]) == 40, "24 frames at 12 a second last two seconds"
    assert len(read_clips(videos)) == 3, "without a list all are read"
    with pytest.raises(DataError, match=r"train\.json lists none of the 1 videos"):
        read_clips(videos / "100904.webm", config=ReadConfig(captions=labels))


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl"])
def test_captions_stand_in_a_table_beside_the_videos(tmp_path, name):
    for file in ("a.mp4", "b.mp4"):
        write_video(tmp_path / file, moving())
    rows = [{"file": "a.mp4", "caption": 'push the "blue", then stop', "who": "me"}]
    with open(tmp_path / name, "w", newline="") as file:
        if name.endswith("csv"):
            table = csv.DictWriter(file, ["file", "caption", "who"])
            table.writeheader()
            table.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    assert [clip.instruction for clip in read_clips(tmp_path)] == ['push the "blue", then stop', ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.json", '[{"id": "1"}]', "no list of captions .*label"),
        ("list.csv", "video;text\n1.mp4;push\n", "no list of captions .*file"),
        ("list.jsonl", "push the blob", "no list of captions"),
        ("gone.jsonl", None, "the list of captions, does not exist"),
    ],
)
def test_a_list_of_captions_that_is_none_is_named(tmp_path, name, content, message):
    write_video(tmp_path / "1.mp4", moving())
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read_clips(tmp_path / "1.mp4", config=ReadConfig(captions=tmp_path / name))
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.fixture
def with_broken(tmp_path):
    """Good videos, one that broke off, one that is text, and one in which nothing moves."""
    folder = tmp_path / "video"
    for i in range(6):
        write_video(folder / f"good_{i}.mp4", moving(seed=i, height=32))
    whole = (folder / "good_0.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "text.webm").write_text("not found")
    write_video(folder / "still.mp4", np.full((20, 32, 32, 3), 90, np.uint8))
    return folder


def test_broken_videos_are_an_error_that_names_one_or_are_listed_and_left_out(with_broken, capsys):
    with pytest.raises(DataError, match=r"cut\.mp4 .*remove it, or leave such videos out with --skip-broken"):
        read_clips(with_broken)
    for _ in range(2):  # what was found is remembered
        clips = read_clips(with_broken, config=ReadConfig(skip_broken=True))
        assert [clip.key for clip in clips] == [f"good_{i}.mp4/video" for i in range(6)]
        said = capsys.readouterr().out.splitlines()
        assert [line.split(" ")[2].rpartition("/")[2] for line in said] == [
            "cut.mp4",
            "still.mp4",
            "text.webm",
        ]
        assert "shows the same picture in all its 20 frames" in said[1]


def test_nothing_but_broken_videos_is_an_error(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="all 1 videos are broken"):
        read_clips(tmp_path, config=ReadConfig(skip_broken=True))


def test_the_how_to_ends_with_a_picture_of_skills(tmp_path):
    for i, (height, width, fps) in enumerate(((32, 48, 20), (48, 32, 30), (32, 32, 12), (40, 56, 25))):
        frames = moving(count=40, height=height, width=width, seed=i)
        write_video(tmp_path / f"my_videos/clip_{i}.mp4", frames, fps)
    settings = {
        "train_lam": [*LAM, "--train.steps", 2],
        "extract_latents": [],
        "train_skills": [*SKILLS, "--train.steps", 2],
        "extract_skills": [],
    }
    run_how_to("my folder of videos", settings, tmp_path)
    assert list((tmp_path / "runs/mine/skills/strips").glob("clip_*.mp4/video.png"))
    assert set(SkillStore.read(tmp_path / "runs/mine/skills.h5")) == {f"clip_{i}.mp4/video" for i in range(4)}


def test_programs_leave_broken_videos_out_and_name_those_that_are_too_short(with_broken):
    data = ["--data", "video", *LAM, "--train.steps", 1]
    assert "--skip-broken" in program("train_lam", *data, cwd=with_broken.parent).errors
    assert program("train_lam", *data, "--skip-broken", cwd=with_broken.parent).code == 0
    arguments = ["--data", "video", "--out", "latents.h5", "--skip-broken"]
    assert program("extract_latents", *arguments, cwd=with_broken.parent).code == 0
    write_video(with_broken / "short.mp4", moving(count=3))
    result = program("extract_latents", *arguments, cwd=with_broken.parent)
    assert "short.mp4/video has 3 frames, latent actions 4 frames apart need more" in result.errors


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx")])
def test_a_part_of_a_long_video_is_what_stands_there_in_the_whole(tmp_path, suffix, codec):
    """Looking for a key frame finds the same pictures as decoding from the start."""
    path = tmp_path / f"long.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20, options={"g": "30", "deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        for image in moving(count=150, width=64, height=32):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    whole = read_video(path)
    for start in (0, 19, 61, 100, 140):
        times = (np.arange(start, start + 10) + 0.5) / 20
        np.testing.assert_array_equal(np.stack([*frames_at(path, times)]), whole[start : start + 10])
    assert [*frames_at(path, [21.0])] == []
