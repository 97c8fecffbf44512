"""Videos are read as a player shows them, at the rate of demonstrations, under names that stay apart."""

import json
import os
import resource
import shutil
from fractions import Fraction

import av
import h5py
import numpy as np
import pytest

from hilam_core.data import content_hash, read_clips
from hilam_core.errors import DataError
from hilam_core.video import frames_at, read_video, write_video

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def quarters(count=4):
    """Frames 32 high, 48 wide: red and blue above green and black."""
    frames = np.zeros((count, 32, 48, 3), np.uint8)
    frames[:, :16, :24], frames[:, :16, 24:], frames[:, 16:, :24] = RED, BLUE, GREEN
    return frames


def ramp(count):
    """Frame i is grey 4 i."""
    return (
        np.zeros((count, 32, 32, 3), np.uint8) + (4 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    )


def record(path, frames, rate=20, display=None, pixel_shape=None, times=None):
    """A video whose file says how it is meant to be shown; times: of each frame, in 1/1000 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        if display is not None:
            stream.set_display_rotation(display[0], hflip="h" in display, vflip="v" in display)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def corners(image):
    """The colours of the corners, top left first."""
    height, width = image.shape[:2]
    picked = [image[y, x] for y in (4, height - 5) for x in (4, width - 5)]
    return [tuple(np.where(colour > 128, 255, 0).tolist()) for colour in picked]


@pytest.mark.parametrize(
    ("display", "shape", "expected"),
    [
        (None, (32, 48), [RED, BLUE, GREEN, BLACK]),
        ((90,), (48, 32), [BLUE, BLACK, RED, GREEN]),
        ((-90,), (48, 32), [GREEN, RED, BLACK, BLUE]),
        ((180,), (32, 48), [BLACK, GREEN, BLUE, RED]),
        ((0, "h"), (32, 48), [BLUE, RED, BLACK, GREEN]),
        ((0, "v"), (32, 48), [GREEN, BLACK, RED, BLUE]),
    ],
)
def test_a_turned_or_mirrored_video_comes_upright(tmp_path, display, shape, expected):
    frames = read_video(record(tmp_path / "clip.mp4", quarters(), display=display))
    assert frames.shape[1:3] == shape
    assert corners(frames[0]) == expected


@pytest.mark.parametrize(("pixel_shape", "width"), [(Fraction(2), 96), (Fraction(1, 2), 24)])
def test_pixels_that_are_not_square_are_stretched(tmp_path, pixel_shape, width):
    frames = read_video(record(tmp_path / "clip.mkv", quarters(), pixel_shape=pixel_shape))
    assert frames.shape == (4, 32, width, 3)
    assert corners(frames[0]) == [RED, BLUE, GREEN, BLACK]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("rate", [10, 12, 20, 30, 60, Fraction(30000, 1001)])
def test_clips_have_twenty_frames_a_second(tmp_path, rate, suffix):
    record(tmp_path / f"clip.{suffix}", ramp(60), rate)
    frames = read_clips(tmp_path)[0].frames["agentview"]
    assert len(frames) == pytest.approx(60 / float(rate) * 20, abs=1)
    shown = np.round(frames[:, 0, 0, 0] / 4)
    np.testing.assert_allclose(shown, (np.arange(len(frames)) + 0.5) / 20 * float(rate) - 0.5, atol=1)


def test_a_frame_stays_until_the_next_one_is_due(tmp_path):
    path = record(tmp_path / "clip.mkv", ramp(4), times=[0, 50, 350, 400])
    assert np.round(np.stack([*frames_at(path, np.arange(0.025, 0.4, 0.05))])[:, 0, 0, 0] / 4).tolist() == [
        0,
        1,
        1,
        1,
        1,
        1,
        1,
        2,
    ]


def test_videos_that_differ_in_suffix_or_folder_stay_apart(tmp_path):
    for i, name in enumerate(("a/1.mp4", "a/1.mkv", "b/1.mp4", "b/2.MP4")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        record(tmp_path / name.replace("MP4", "mp4"), ramp(12)[i : i + 4])
    (tmp_path / "b" / "2.mp4").rename(tmp_path / "b" / "2.MP4")
    clips = read_clips([tmp_path / "b", tmp_path / "a"])
    assert [c.key for c in clips] == ["1.mkv/video", "a/1.mp4/video", "b/1.mp4/video", "2.MP4/video"]
    firsts = [int(np.round(c.frames["agentview"][0, 0, 0, 0] / 4)) for c in clips]
    assert firsts == [1, 0, 2, 3]


def test_the_hash_of_clips_is_that_of_their_files_wherever_they_lie(tmp_path):
    for folder, frames in (("x", ramp(8)), ("y", ramp(8)), ("z", 255 - ramp(8))):
        (tmp_path / folder).mkdir()
        write_video(tmp_path / folder / "clip.mp4", frames)
    x, y, z = (content_hash(read_clips(tmp_path / folder)) for folder in "xyz")
    assert x == y != z


def test_a_caption_beside_a_video_is_its_instruction(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, ramp(4))
    before = content_hash(read_clips(tmp_path))
    row = {"file": "b.mp4", "caption": "push the blob"}
    (tmp_path / "captions.jsonl").write_text(json.dumps(row) + "\n")
    clips = read_clips(tmp_path)
    assert [clip.instruction for clip in clips] == ["", "push the blob"]
    assert content_hash(clips) != before, "another instruction is other data"
    (tmp_path / "captions.jsonl").write_text(json.dumps({"file": "b.mp4"}))
    with pytest.raises(DataError, match=r"captions\.jsonl is no list of captions"):
        read_clips(tmp_path)


def test_latents_beside_videos_are_no_demonstrations(tmp_path):
    with h5py.File(tmp_path / "latents.h5", "w") as file:
        file.attrs["kind"] = "latents"
    with pytest.raises(DataError, match=r"no data in .*: neither .*"):
        read_clips(tmp_path)
    write_video(tmp_path / "clip.mp4", ramp(4))
    assert [clip.key for clip in read_clips(tmp_path)] == ["clip.mp4/video"]


def test_long_videos_come_whole(tmp_path):
    frames = np.tile(ramp(50), (3, 1, 1, 1))
    write_video(tmp_path / "clip.mp4", frames)
    clip = read_clips(tmp_path)[0]
    assert len(clip) == 150 and np.abs(clip.frames["agentview"][:].astype(int) - frames).mean() < 4


def test_more_videos_than_a_process_may_open_files_are_read(tmp_path):
    write_video(tmp_path / "0.mp4", ramp(4))
    for i in range(1, 60):
        shutil.copy(tmp_path / "0.mp4", tmp_path / f"{i}.mp4")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
        clips = read_clips(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(clips) == 60 and all(len(clip) == 4 for clip in clips)


@pytest.mark.parametrize("kept", [0, 100, 1500])
def test_a_video_that_broke_off_is_named(tmp_path, kept):
    path = record(tmp_path / "bad.mp4", quarters(40))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"bad\.mp4") as error:
        read_clips(tmp_path)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / ".frames").rglob("*.npy"))
