"""Data that neither memory nor the cache holds: a bound on the disk, batches made ahead in threads."""

import os
import threading
import time

import numpy as np
import pytest
from programs import LAM, program
from synthetic import write_demonstrations

from hilam_core.data import ReadConfig, read_clips, read_demonstrations
from hilam_core.data.frames import Frames
from hilam_core.errors import ConfigError
from hilam_core.lam import FramePairs
from hilam_core.training.prefetch import Prefetcher

PIECE_GB = 55 * 32 * 32 * 3 / 1e9  # somewhat more than a demonstration of one camera


@pytest.fixture
def demonstrations(tmp_path):
    return write_demonstrations(tmp_path / "data" / "push_the_blob_demo.hdf5", episodes=8)


def pieces(folder):
    return {path.name.split(".")[0]: path for path in (folder / ".frames").rglob("*.npy")}


def cached_bytes(folder):
    return sum(path.stat().st_size for path in (folder / ".frames").rglob("*.npy"))


def test_a_cache_smaller_than_the_data_gives_the_same_pictures(demonstrations):
    expected = [np.asarray(e.frames["agentview"]) for e in read_demonstrations(demonstrations)]
    for path in pieces(demonstrations.parent).values():
        path.unlink()
    config = ReadConfig(cache_gb=3 * PIECE_GB)
    episodes = read_demonstrations(demonstrations, config=config)
    rng = np.random.default_rng(0)
    for i in rng.integers(0, 8, 60):
        t = rng.integers(0, len(episodes[i]))
        np.testing.assert_array_equal(episodes[i].frames["agentview"][t], expected[i][t])
        assert 0 < cached_bytes(demonstrations.parent) <= 3e9 * PIECE_GB


def test_what_was_not_read_for_longest_makes_room(demonstrations):
    episodes = read_demonstrations(demonstrations, ("agentview",), ReadConfig(cache_gb=4 * PIECE_GB))
    frames = [episode.frames["agentview"] for episode in episodes]
    for path in pieces(demonstrations.parent).values():
        path.unlink()
    for i in (0, 1, 2):
        frames[i][0]
    for age, (_, path) in enumerate(sorted(pieces(demonstrations.parent).items())):
        os.utime(path, (time.time() - 100 + age,) * 2)
    frames[0][5]  # the oldest becomes the newest
    frames[3][0]
    frames[4][0]
    left = set(pieces(demonstrations.parent))
    assert "agentview%2Fdemo_1" not in left and {"agentview%2Fdemo_0", "agentview%2Fdemo_4"} <= left


def test_what_other_processes_store_counts(demonstrations):
    """Two programs that read one data set do not fill its cache to the bound each."""
    bound = 4 * PIECE_GB
    episodes = read_demonstrations(demonstrations, ("agentview",), ReadConfig(cache_gb=bound))
    for path in pieces(demonstrations.parent).values():
        path.unlink()
    episodes[0].frames["agentview"][0]
    of_another = demonstrations.parent / ".frames" / "another_demo.hdf5" / "agentview.0.npy"
    of_another.parent.mkdir()
    of_another.write_bytes(bytes(int(3e9 * PIECE_GB)))
    for episode in episodes[1:4]:
        episode.frames["agentview"][0]
        assert cached_bytes(demonstrations.parent) <= 1e9 * bound


def test_a_file_that_is_being_read_may_lose_its_place(demonstrations, monkeypatch):
    """Another process makes room between the opening of a piece and its reading."""
    frames = read_demonstrations(demonstrations)[0].frames["agentview"]
    expected, whole = frames[3], os.preadv

    def pread(*arguments):
        for path in pieces(demonstrations.parent).values():
            path.unlink()
        return whole(*arguments)

    monkeypatch.setattr(os, "preadv", pread)
    np.testing.assert_array_equal(frames[3], expected)
    np.testing.assert_array_equal(frames[3], expected)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "much"])
def test_a_bound_that_is_none_is_refused(value, monkeypatch):
    monkeypatch.setenv("HILAM_CACHE_GB", value)
    with pytest.raises(ConfigError, match=r"cache_gb must be above 0|HILAM_CACHE_GB must be a number"):
        ReadConfig()


def test_threads_read_and_make_room_together(demonstrations):
    clips = read_clips(demonstrations, config=ReadConfig(cache_gb=3 * PIECE_GB))
    pairs = FramePairs(clips, 2, 6)

    def make(step):
        return pairs.sample(np.random.default_rng(step), 8)

    with Prefetcher(make, 4, stop=20) as ahead:
        for step in range(20):
            batch, again = ahead(step), make(step)
            assert all(np.array_equal(batch[name], again[name]) for name in again)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_and_end_with_the_last(workers):
    made = []

    def make(step):
        made.append(step)
        return step * 10

    with Prefetcher(make, workers, stop=7) as ahead:
        assert [ahead(step) for step in range(2, 7)] == [20, 30, 40, 50, 60]
    assert sorted(made) == [2, 3, 4, 5, 6]


def test_batches_are_made_while_the_device_computes():
    ready = threading.Event()
    with Prefetcher(lambda step: ready.set() if step == 1 else None, 2, stop=9) as ahead:
        ahead(0)
        assert ready.wait(60), "the batch of step 1 is made before it is asked for"


def test_an_error_in_a_batch_ends_the_run_at_its_step():
    def make(step):
        if step == 2:
            raise ConfigError("the file is gone")
        return step

    with Prefetcher(make, 3, stop=9) as ahead:
        assert (ahead(0), ahead(1)) == (0, 1)
        with pytest.raises(ConfigError, match="the file is gone"):
            ahead(2)


def test_training_is_the_same_for_any_workers_and_any_cache(demonstrations):
    folder = demonstrations.parents[1]
    for out, more in (
        ("runs/a", ["--train.workers", 0]),
        ("runs/b", ["--train.workers", 3, "--cache-gb", 6 * PIECE_GB]),
    ):
        arguments = ["--data", "data", "--out", out, *LAM, "--train.steps", 5, *more]
        result = program("train_lam", *arguments, cwd=folder)
        assert result.code == 0, result.errors
    a, b = ((folder / out / "model.safetensors").read_bytes() for out in ("runs/a", "runs/b"))
    assert a == b


def test_frames_are_read_like_an_array(demonstrations):
    frames = read_demonstrations(demonstrations)[0].frames["agentview"]
    whole = np.asarray(frames)
    assert isinstance(frames, Frames) and frames.shape == whole.shape and frames.ndim == 4
    for key in (0, -1, slice(3, 9), slice(None, None, -2), (slice(2, 5), 0, 0), (4, 1), np.array([7, 2, 2])):
        np.testing.assert_array_equal(frames[key], whole[key])
    assert len([*frames]) == len(frames)
    with pytest.raises(IndexError):
        frames[len(frames)]
