import os
import shutil
import uuid

import h5py
import numpy as np
import pytest
from synthetic import PHASES, write_demonstrations

from hilam_core.data import (
    Clip,
    LatentStore,
    Lineage,
    ReadConfig,
    SkillStore,
    content_hash,
    describe_data,
    read_clips,
    read_demonstrations,
    split_held_out,
)
from hilam_core.errors import ConfigError, DataError
from hilam_core.video import read_video, write_video

LINEAGE = {"lam": "", "lam_hash": "abc", "cameras": ["agentview"], "gap": 2}


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
    assert set(episode.phases) == set(PHASES) and len(episode.phases) == len(episode) == len(
        episode.states["ee_quat"]
    )
    np.testing.assert_allclose(episode.states["ee_quat"][0], [1, 0, 0, 0], atol=1e-9)


def test_a_description_names_the_instructions_and_the_assets_where_all_files_have_the_same(tmp_path):
    for name, assets_hash in (("a", "aa"), ("b", "aa"), ("c", "bb")):
        with h5py.File(write_demonstrations(tmp_path / f"{name}_demo.hdf5", episodes=1), "a") as file:
            file["data"].attrs.update({"assets": "builtin", "assets_hash": assets_hash})
    episodes = read_demonstrations(tmp_path)
    same, mixed = describe_data(tmp_path, episodes[:2]), describe_data(tmp_path, episodes)
    assert (same["assets"], same["assets_hash"]) == ("builtin", "aa")
    assert same["instructions"] == sorted({episode.instruction for episode in episodes[:2]})
    assert mixed["assets"] == "builtin" and "assets_hash" not in mixed


def test_rotation_vectors_serve_where_robot_states_are_missing(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    with h5py.File(path, "a") as file:
        del file["data/demo_0/robot_states"]
    np.testing.assert_allclose(read_demonstrations(path)[0].states["ee_quat"][0], [1, 0, 0, 0], atol=1e-9)


def cached_frames(folder):
    return {f.name: f.stat().st_mtime_ns for f in (folder / ".frames").rglob("*.npy")}


def test_frames_are_decoded_once_and_again_after_a_change(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=2)
    read_demonstrations(path)
    cached = cached_frames(tmp_path)
    assert len(cached) == 4, "a piece for each demonstration and camera"
    path.touch()
    read_demonstrations(path)
    assert cached == cached_frames(tmp_path), "the same content under a new time is not decoded again"
    write_demonstrations(path, episodes=3, seed=1)
    assert len(read_demonstrations(path)) == 3
    now = cached_frames(tmp_path)
    assert len(now) == 6 and not set(now) & set(cached), "the stale cache is replaced"


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        (ReadConfig(limit=2), [0, 1]),
        (ReadConfig(episodes=(2, 0)), [0, 2]),
        (ReadConfig(limit=1, episodes=(1, 2)), [1]),
    ],
)
def test_limit_and_episodes_select_of_each_file(tmp_path, config, numbers):
    for name in ("a", "b"):
        write_demonstrations(tmp_path / f"{name}_demo.hdf5", episodes=3)
    found = [e.key for e in read_demonstrations(tmp_path, config=config)]
    assert found == [f"{name}_demo/demo_{i}" for name in "ab" for i in numbers]


def test_episodes_that_are_not_there_are_named(tmp_path):
    write_demonstrations(tmp_path / "a_demo.hdf5", episodes=3)
    with pytest.raises(DataError, match=r"a_demo\.hdf5 has none of the episodes 7"):
        read_demonstrations(tmp_path, config=ReadConfig(episodes=(7,)))


def test_another_rate_picks_steps_by_their_time(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    whole, half = (read_demonstrations(path, config=ReadConfig(fps=fps))[0] for fps in (None, 10))
    rows = np.arange(1, len(whole), 2)[: len(half)]
    assert (whole.fps, half.fps) == (20, 10) and abs(len(half) - len(whole) / 2) <= 1
    np.testing.assert_array_equal(half.actions, whole.actions[rows])
    np.testing.assert_array_equal(half.states["ee_pos"], whole.states["ee_pos"][rows])
    np.testing.assert_array_equal(half.frames["agentview"], whole.frames["agentview"][rows])
    assert half.phases == [whole.phases[row] for row in rows]
    assert content_hash([half]) != content_hash([whole])


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
    with pytest.raises(DataError, match=f"no data in '{tmp_path}'"):
        read_demonstrations([tmp_path])


def test_counts_that_leave_nothing_are_refused(tmp_path):
    write_demonstrations(tmp_path / "a_demo.hdf5", episodes=3)
    for limit in (0, -1):
        with pytest.raises(ConfigError, match=f"at least 1, got {limit}"):
            read_demonstrations(tmp_path, config=ReadConfig(limit=limit))


def test_video_round_trip_and_corrupt_video(tmp_path):
    frames = np.zeros((12, 32, 32, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, : 16 + i] = 200
    write_video(tmp_path / "clip.mp4", frames)
    again = read_video(tmp_path / "clip.mp4")
    assert again.shape == frames.shape and np.abs(again.astype(int) - frames).mean() < 4
    clips = read_clips(tmp_path)
    assert [c.key for c in clips] == ["clip.mp4/video"] and len(clips[0]) == 12
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"bad\.mp4"):
        read_video(tmp_path / "bad.mp4")


def test_files_of_one_name_stay_apart_by_their_folders(tmp_path):
    for seed, folder in enumerate(("scattered", "stored")):
        write_demonstrations(tmp_path / folder / "a_demo.hdf5", episodes=2, seed=seed)
    write_demonstrations(tmp_path / "stored" / "b_demo.hdf5", episodes=1)
    paths = [tmp_path / "scattered", tmp_path / "stored"]
    episodes = read_demonstrations(paths)
    assert [e.key for e in episodes] == [
        "scattered/a_demo/demo_0",
        "scattered/a_demo/demo_1",
        "stored/a_demo/demo_0",
        "stored/a_demo/demo_1",
        "b_demo/demo_0",
    ]
    around = [tmp_path / "stored" / ".." / "scattered", tmp_path / "stored"]
    assert [e.key for e in read_demonstrations(around)] == [e.key for e in episodes]
    assert not np.array_equal(episodes[0].frames["agentview"], episodes[2].frames["agentview"])
    store = LatentStore({e.key: {"z": e.actions, "valid": np.int64(1)} for e in episodes}, LINEAGE)
    store.write(tmp_path / "latents.h5")
    again = LatentStore.read(tmp_path / "latents.h5")
    assert sorted(again) == sorted(store)
    np.testing.assert_array_equal(again["stored/a_demo/demo_1"]["z"], episodes[3].actions)


def test_a_file_given_twice_is_read_once_and_in_any_order(tmp_path):
    first = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    second = write_demonstrations(tmp_path / "b_demo.hdf5", episodes=1)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a_demo.hdf5").symlink_to(first)
    keys = ["a_demo/demo_0", "b_demo/demo_0"]
    for paths in ([tmp_path], [second, first], [tmp_path, tmp_path / "links", first]):
        assert [e.key for e in read_demonstrations(paths)] == keys


def test_two_files_of_one_name_in_a_folder_are_refused(tmp_path):
    write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    write_demonstrations(tmp_path / "a_demo.h5", episodes=1, seed=1)
    with pytest.raises(
        DataError, match=r"a_demo\.h5 and .*a_demo\.hdf5 have the same name 'a_demo': rename one"
    ):
        read_demonstrations(tmp_path)


@pytest.mark.parametrize("name", ["a_demo.HDF5", "a_demo.h5", "a_demo.Hdf5"])
def test_suffixes_in_capitals_and_h5_are_demonstrations_and_stores_are_not(tmp_path, name):
    write_demonstrations(tmp_path / name, episodes=1)
    LatentStore({"a/demo_0": {"z": np.zeros((2, 2)), "valid": 1}}, LINEAGE).write(tmp_path / "latents.h5")
    assert [e.key for e in read_demonstrations(tmp_path)] == ["a_demo/demo_0"]
    assert [c.key for c in read_clips(tmp_path)] == ["a_demo/demo_0"]


def test_a_file_of_another_kind_is_named(tmp_path):
    for name, read in (("clip.mp4", read_demonstrations), ("notes.txt", read_clips)):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match=rf"{name} is none of \*\.hdf5, \*\.h5"):
            read(tmp_path / name)


def with_other_pictures(source, path, change):
    """A copy of a file of demonstrations, with agentview's images changed."""
    path.parent.mkdir(exist_ok=True)
    shutil.copy2(source, path)
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():
            images = demo["obs/agentview_rgb"]
            images[:] = change(images[:])
    return path


def inverted(images):
    return 255 - images


def one_pixel_of_the_last_image(images):
    images[-1, 3, 3, 0] ^= 1
    return images


@pytest.mark.parametrize("change", [inverted, one_pixel_of_the_last_image])
def test_other_pictures_are_other_data_unless_nobody_looked_at_them(tmp_path, change):
    path = write_demonstrations(tmp_path / "x" / "a_demo.hdf5")
    other = with_other_pictures(path, tmp_path / "y" / "a_demo.hdf5", change)
    ours, theirs = read_demonstrations(path), read_demonstrations(other)
    assert content_hash(ours) != content_hash(theirs)
    assert content_hash(ours, ["agentview"]) != content_hash(theirs, ["agentview"])
    assert content_hash(ours, ["eye_in_hand"]) == content_hash(theirs, ["eye_in_hand"])
    seen = [content_hash(read_demonstrations(p, cameras=())) for p in (path, other)]
    assert seen[0] == seen[1], "a blind policy sees no difference"
    assert content_hash(read_clips(path, ("agentview",))) == content_hash(ours, ["agentview"])


def test_the_hash_of_the_pictures_is_made_once(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=2)
    first, again = read_demonstrations(path), read_demonstrations(path)
    assert content_hash(first) == content_hash(again)
    for episode in again:
        unknown = Clip(key=episode.key, frames=episode.frames, instruction=episode.instruction)
        known = Clip(**{**vars(unknown), "picture_hashes": episode.picture_hashes})
        assert known.content_hash() == unknown.content_hash()
        assert set(episode.picture_hashes) == {"agentview", "eye_in_hand"}


@pytest.mark.parametrize("field", ["actions", "obs/ee_pos", "obs/joint_states"])
def test_other_numbers_are_other_data(tmp_path, field):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=2)
    before = content_hash(read_demonstrations(path))
    with h5py.File(path, "r+") as file:
        file[f"data/demo_1/{field}"][0, 0] = 0.5
    assert content_hash(read_demonstrations(path)) != before


def test_content_hash_follows_content_not_place_nor_order(tmp_path):
    for folder, seed in (("x", 0), ("y", 0), ("z", 1)):
        write_demonstrations(tmp_path / folder / "a_demo.hdf5", seed=seed)
    x, y, z = (content_hash(read_demonstrations(tmp_path / f)) for f in "xyz")
    assert x == y != z
    assert content_hash(read_demonstrations(tmp_path / "x")[::-1]) == x


def test_a_file_replaced_in_place_under_its_old_time_is_decoded_again(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    other = with_other_pictures(path, tmp_path / "other" / "a_demo.hdf5", inverted)
    before, stat = read_demonstrations(path)[0].frames["agentview"][:], path.stat()
    assert other.stat().st_size == stat.st_size
    shutil.copyfile(other, path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    np.testing.assert_array_equal(read_demonstrations(path)[0].frames["agentview"], 255 - before)


def test_frames_of_read_only_data_lie_in_the_users_cache(tmp_path, monkeypatch):
    path = write_demonstrations(tmp_path / "data" / "a_demo.hdf5", episodes=1)
    monkeypatch.setenv("HILAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, as tests often run, may write everywhere
    for _ in range(2):
        assert len(read_demonstrations(path, cameras=("agentview",))) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert len(list((tmp_path / "cache" / "frames").rglob("*.npy"))) == 1


def test_a_damaged_cache_is_made_again(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    frames = read_demonstrations(path)[0].frames["agentview"][:]
    for cached in (tmp_path / ".frames" / "a_demo.hdf5").glob("agentview*.npy"):
        cached.write_bytes(cached.read_bytes()[:200])
        np.testing.assert_array_equal(read_demonstrations(path)[0].frames["agentview"], frames)


def test_cameras_whose_names_resemble_each_other_keep_their_caches(tmp_path):
    path = write_demonstrations(tmp_path / "a_demo.hdf5", episodes=1)
    cameras = ("agentview", "agentview.left", "agentview%2F")
    with h5py.File(path, "r+") as file:
        obs = file["data/demo_0/obs"]
        for i, camera in enumerate(cameras[1:], 1):
            obs[f"{camera}_rgb"] = obs["agentview_rgb"][:] ^ i
    for _ in range(2):
        frames = read_demonstrations(path, cameras=cameras)[0].frames
        for i, camera in enumerate(cameras):
            np.testing.assert_array_equal(frames[camera], frames["agentview"][:] ^ i)
    assert len(cached_frames(tmp_path)) == 3


def clips_named(keys):
    return [Clip(key=key, frames={}) for key in keys]


def held_out_keys(keys):
    train, held_out = split_held_out(clips_named(keys))
    assert len(train) + len(held_out) == len(keys)
    return {clip.key for clip in held_out}


@pytest.mark.parametrize("count", [*range(2, 30), 50, 400])
def test_held_out_episodes_are_the_same_for_every_stage(count):
    """Whatever the order, the other files, and whether a stage sees demonstrations or videos of them."""
    demos = [f"push_demo/demo_{i}" for i in range(count)]
    held_out = held_out_keys(demos)
    assert 1 <= len(held_out) <= max(1, 0.2 * count)
    assert held_out_keys(demos[::-1]) == held_out
    others = [f"pull_demo/demo_{i}" for i in range(13)] + ["one_demo/demo_0", "12.webm/video"]
    assert held_out_keys(others + demos) & set(demos) == held_out
    beside = [f"stored/push_demo/demo_{i}" for i in range(count)]
    moved = [f"scattered/{key}" for key in demos]
    assert held_out_keys(moved + beside) & set(moved) == {f"scattered/{key}" for key in held_out}
    videos = {f"push_{i:04d}.mp4/video": key for i, key in enumerate(demos)}
    assert {videos[key] for key in held_out_keys(list(videos))} == held_out


@pytest.mark.parametrize("task", ["push", "pull", "open", "close"])
def test_no_part_of_a_file_trains_on_what_the_whole_holds_out(task):
    demos = [f"{task}_demo/demo_{i}" for i in range(50)]
    held_out = held_out_keys(demos)
    for limit in range(2, 50):
        assert held_out & set(demos[:limit]) <= held_out_keys(demos[:limit])


def test_one_episode_alone_is_trained_on():
    assert held_out_keys(["a_demo/demo_0"]) == held_out_keys(["clip.mp4/video"]) == set()


@pytest.mark.parametrize(
    "names",
    [
        [f"{i}.webm" for i in range(1, 200_000, 200)],
        [f"{i}.webm" for i in range(0, 2000, 2)],
        [f"{uuid.UUID(int=i * 7**40)}.mp4" for i in range(1000)],
        [f"ride on the {i}th.MP4" for i in range(1000)],
        [f"clip_{i:06d}.avi" for i in range(0, 20_000, 20)],
    ],
    ids=["numbers", "even_numbers", "uuids", "words", "series_with_gaps"],
)
def test_a_twentieth_of_videos_is_held_out_whatever_their_names(names):
    keys = [f"{name}/video" for name in names]
    held_out = held_out_keys(keys)
    assert 25 <= len(held_out) <= 75
    assert held_out_keys(keys[:600]) == held_out & set(keys[:600]), "more videos change nothing"


def test_files_of_one_demonstration_each_are_held_out_too():
    assert 25 <= len(held_out_keys([f"episode_{i}/demo_0" for i in range(1000)])) <= 75
    assert len(held_out_keys(["a_demo/demo_0", "b_demo/demo_0"])) == 1


def test_stores_round_trip_and_refuse_what_does_not_fit(tmp_path):
    z = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    frames = {"agentview": np.zeros((7, 4, 4, 3), np.uint8)}
    clip = Clip(key="a/demo_0", frames=frames)
    contents = {clip.key: clip.content_hash(("agentview",))}
    LatentStore({clip.key: {"z": z, "valid": np.int64(5)}}, LINEAGE, contents).write(tmp_path / "latents.h5")
    again = LatentStore.read(tmp_path / "latents.h5").require_clips([clip])
    np.testing.assert_array_equal(again["a/demo_0"]["z"], z)
    assert again["a/demo_0"]["valid"] == 5 and again.latent_dim == 4
    with pytest.raises(DataError, match=r"latents\.h5: a/demo_0 has 7 steps, now 6"):
        again.require_clips([Clip(key="a/demo_0", frames={"agentview": frames["agentview"][:6]})])
    with pytest.raises(DataError, match="a/demo_0 has changed since"):
        again.require_clips([Clip(key="a/demo_0", frames={"agentview": 255 - frames["agentview"]})])
    with pytest.raises(DataError, match="is of agentview, a/demo_0 shows wrist"):
        again.require_clips([Clip(key="a/demo_0", frames={"wrist": frames["agentview"]})])
    with pytest.raises(DataError, match="'latents', not 'skills'"):
        SkillStore.read(tmp_path / "latents.h5")
    with pytest.raises(DataError, match="demo_9"):
        again["a/demo_9"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"lam_hash": "xyz"},
            r"latent action model of another project \(abc\) and of another project \(xyz\)",
        ),
        ({"cameras": ["wrist", "top"]}, "cameras agentview and wrist, top"),
        ({"gap": 3}, "gap 2 and 3"),
    ],
)
def test_lineages_that_differ_are_named(change, message):
    with pytest.raises(DataError, match=rf"a\.h5 and runs/b do not belong together: {message}"):
        Lineage(**LINEAGE).require("a.h5", Lineage(**{**LINEAGE, **change}), "runs/b")


@pytest.mark.parametrize(("key", "step"), [("a/demo_0", 1), ("b/demo_3", 4)])
def test_latents_that_are_not_finite_are_named_when_written_and_when_read(tmp_path, key, step):
    clips = {k: {"z": np.zeros((7, 4), np.float32), "valid": np.int64(5)} for k in ("a/demo_0", "b/demo_3")}
    LatentStore(clips, LINEAGE).write(tmp_path / "latents.h5")
    with h5py.File(tmp_path / "latents.h5", "r+") as file:
        file[f"{key}/z"][step, 2] = np.nan
    named = rf"latents\.h5: {key} has z that are not finite at step {step}"
    with pytest.raises(DataError, match=named):
        LatentStore.read(tmp_path / "latents.h5")
    clips[key]["z"][step] = np.inf
    (tmp_path / "latents.h5").unlink()
    with pytest.raises(DataError, match=named):
        LatentStore(clips, LINEAGE).write(tmp_path / "latents.h5")
    assert not (tmp_path / "latents.h5").exists()


def test_keys_in_folders_stay_apart_in_a_store(tmp_path):
    keys = ("push/demo_0", "left/push/demo_0", "right/push/demo_0", "push/demo_0/demo_1", "clip.mp4/video")
    clips = {key: {"z": np.full((3, 2), i, np.float32), "valid": np.int64(2)} for i, key in enumerate(keys)}
    LatentStore(clips, LINEAGE).write(tmp_path / "latents.h5")
    again = LatentStore.read(tmp_path / "latents.h5")
    assert {key: int(again[key]["z"][0, 0]) for key in again} == {key: i for i, key in enumerate(keys)}
