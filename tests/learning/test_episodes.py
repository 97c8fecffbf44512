import h5py
import numpy as np
import pytest
from synthetic import PHASES, write_demonstrations

from hilam_core.data import (
    LatentStore,
    SkillStore,
    content_hash,
    read_clips,
    read_demonstrations,
)
from hilam_core.errors import ConfigError, DataError
from hilam_core.video import read_video, write_video


def test_demonstrations_come_upright_and_complete(tmp_path):
    path = write_demonstrations(tmp_path / "push_the_blob_demo.hdf5", episodes=3)
    episodes = read_demonstrations(tmp_path)
    assert [e.key for e in episodes] == [f"push_the_blob_demo/demo_{i}" for i in range(3)]
    with h5py.File(path) as file:
        raw = file["data/demo_1/obs/agentview_rgb"][:]
        np.testing.assert_array_equal(episodes[1].frames["agentview"], raw[:, ::-1])
        np.testing.assert_array_equal(episodes[1].actions, file["data/demo_1/actions"][:])
    episode = episodes[1]
    assert episode.instruction == "push the blob" and episode.attrs["placement"] == "scattered"
    assert set(episode.phases) == set(PHASES) and len(episode.phases) == len(episode) == len(episode.ee_quat)
    np.testing.assert_allclose(episode.ee_quat[0], [1, 0, 0, 0], atol=1e-9)


def test_rotation_vectors_serve_where_robot_states_are_missing(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/robot_states"]
    np.testing.assert_allclose(read_demonstrations(path)[0].ee_quat[0], [1, 0, 0, 0], atol=1e-9)


def cached_frames(folder):
    return {f.name: f.stat().st_mtime_ns for f in (folder / ".frames").rglob("*.npy")}


def test_frames_are_decoded_once_and_again_after_a_change(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=2)
    read_demonstrations(path)
    cached = cached_frames(tmp_path)
    assert len(cached) == 2
    path.touch()
    read_demonstrations(path)
    assert cached == cached_frames(tmp_path), "the same content under a new time is not decoded again"
    write_demonstrations(path, episodes=3, seed=1)
    assert len(read_demonstrations(path)) == 3
    now = cached_frames(tmp_path)
    assert len(now) == 2 and not set(now) & set(cached), "the stale cache is replaced"


def test_tasks_and_limit_select(tmp_path):
    for name in ("a", "b"):
        write_demonstrations(tmp_path / f"{name}_demo.hdf5", episodes=3)
    assert [e.key for e in read_demonstrations(tmp_path, tasks=["b"], limit=2)] == [
        "b_demo/demo_0",
        "b_demo/demo_1",
    ]
    with pytest.raises(DataError, match=r"'c'.*a, b"):
        read_demonstrations(tmp_path, tasks=["c"])


@pytest.mark.parametrize("damage", ["truncate", "text", "no_data", "no_camera", "short_images", "no_demos"])
def test_bad_files_give_one_line_that_names_the_file(tmp_path, damage):
    path = write_demonstrations(tmp_path / "bad_demo.hdf5", episodes=2)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "text":
        path.write_text("not HDF5")
    else:
        with h5py.File(path, "a") as file:
            if damage == "no_data":
                del file["data"]
            elif damage == "no_camera":
                del file["data/demo_1/obs/agentview_rgb"]
            elif damage == "short_images":
                images = file["data/demo_1/obs/agentview_rgb"][:-1]
                del file["data/demo_1/obs/agentview_rgb"]
                file["data/demo_1/obs/agentview_rgb"] = images
            else:
                del file["data/demo_0"], file["data/demo_1"]
    with pytest.raises(DataError, match=r"bad_demo\.hdf5") as error:
        read_demonstrations(path)
    assert "\n" not in str(error.value)
    assert not [f for f in (tmp_path / ".frames").rglob(".*")], "no half-written cache is left"


def test_missing_folder_and_empty_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_demonstrations(tmp_path / "nowhere")
    with pytest.raises(DataError, match=f"no demonstrations .* in '{tmp_path}'"):
        read_demonstrations([tmp_path])


def test_counts_that_leave_nothing_are_refused(tmp_path):
    write_demonstrations(tmp_path / "a_demo.hdf5", episodes=3)
    for limit in (0, -1):
        with pytest.raises(ConfigError, match=f"at least 1, got {limit}"):
            read_demonstrations(tmp_path, limit=limit)


def test_video_round_trip_and_corrupt_video(tmp_path):
    frames = np.zeros((12, 32, 32, 3), np.uint8)
    frames[:, :, :16] = 200
    write_video(tmp_path / "clip.mp4", frames)
    again = read_video(tmp_path / "clip.mp4")
    assert again.shape == frames.shape and np.abs(again.astype(int) - frames).mean() < 4
    clips = read_clips(tmp_path)
    assert [c.key for c in clips] == ["clip.mp4/video"] and len(clips[0]) == 12
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"bad\.mp4"):
        read_video(tmp_path / "bad.mp4")


def test_content_hash_follows_content_not_place(tmp_path):
    for folder, seed in (("x", 0), ("y", 0), ("z", 1)):
        write_demonstrations(tmp_path / folder / "a_demo.hdf5", seed=seed)
    x, y, z = (content_hash(read_demonstrations(tmp_path / f)) for f in "xyz")
    assert x == y != z


def test_stores_round_trip_and_refuse_what_does_not_fit(tmp_path):
    z = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    store = LatentStore({"a/demo_0": {"z": z, "valid": np.int64(5)}}, {"checkpoint_hash": "abc"})
    store.write(tmp_path / "latents.h5")
    again = LatentStore.read(tmp_path / "latents.h5").require({"a/demo_0": 7}, checkpoint_hash="abc")
    np.testing.assert_array_equal(again["a/demo_0"]["z"], z)
    assert again["a/demo_0"]["valid"] == 5
    with pytest.raises(DataError, match=r"latents\.h5.*'abc'.*'xyz'"):
        again.require(checkpoint_hash="xyz")
    with pytest.raises(DataError, match="7 steps, the demonstration 8"):
        again.require({"a/demo_0": 8})
    with pytest.raises(DataError, match="'latents', not 'skills'"):
        SkillStore.read(tmp_path / "latents.h5")
    with pytest.raises(DataError, match="demo_9"):
        again["a/demo_9"]
