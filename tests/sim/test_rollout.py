"""Parallel episodes: the same results whatever the workers do."""

import os
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from hilam_sim import SimError
from hilam_sim.rollout import EpisodeSpec, run_episodes
from hilam_sim.workers import WorkerError, WorkerPool


class Wander:
    """Reacts to what it sees, so that any difference between episodes would grow."""

    def reset(self, instruction):
        assert instruction == "pick up the bbq sauce and place it in the basket"

    def act(self, obs):
        return np.clip(np.concatenate([np.sin(50 * obs["ee_pos"]), obs["ee_pos"], [1.0]]), -1, 1)


class DieOnce(Wander):
    """Kills its process in the first episode of all."""

    def __init__(self, marker):
        self.marker = Path(marker)

    def act(self, obs):
        if not self.marker.exists():
            self.marker.touch()
            os._exit(3)
        return super().act(obs)


class Broken(Wander):
    def act(self, obs):
        raise RuntimeError("no idea what to do")


def specs(count=3, max_steps=12):
    stored = [EpisodeSpec("libero_object", 3, "stored", 0, i, max_steps) for i in range(count - 1)]
    return [*stored, EpisodeSpec("libero_object", 3, "scattered", 5, max_steps=max_steps)]


def outcomes(results):
    return [(r.spec, r.success, r.steps) for r in results]


def test_results_come_in_order_and_survive_a_dead_worker(tmp_path):
    seen = []
    alone = run_episodes(specs(), Wander, 1, assets="builtin", render=False, on_result=seen.append)
    pair = run_episodes(specs(), partial(DieOnce, tmp_path / "died"), 2, assets="builtin", render=False)
    assert (tmp_path / "died").exists()
    assert outcomes(alone) == outcomes(pair)
    assert [r.spec for r in alone] == specs() == [r.spec for r in seen]
    assert [r.steps for r in alone] == [12, 12, 12]


class Hoard:
    """A job's handler that keeps what it should not."""

    def __init__(self):
        self.kept = []

    def __call__(self, megabytes):
        self.kept.append(np.ones(megabytes * 2**17))
        return os.getpid()


def test_a_worker_that_has_grown_is_replaced_between_jobs():
    def processes(**bound):
        with WorkerPool(1, Hoard, **bound) as pool:
            for job in range(4):
                pool.submit(job, 120)
            return len({pool.collect()[1] for _ in range(4)})

    assert processes() == 1
    assert processes(memory_mb=300) == 2


def test_a_rollout_does_not_depend_on_replaced_workers():
    usual = run_episodes(specs(), Wander, assets="builtin", render=False)
    replaced = run_episodes(specs(), Wander, assets="builtin", render=False, worker_memory_mb=1)
    assert outcomes(usual) == outcomes(replaced)


def test_a_failing_policy_and_a_wrong_name_are_reported():
    with pytest.raises(WorkerError, match="no idea what to do"):
        run_episodes(specs(1), Broken, assets="builtin", render=False)
    with pytest.raises(SimError, match="unknown task"):
        run_episodes([EpisodeSpec("libero_object", "fly")], Wander, assets="builtin", render=False)
    with pytest.raises(SimError, match="function of a module"):
        run_episodes(specs(1), lambda: Wander())


def test_videos_show_every_step(tmp_path):
    run_episodes(specs(1, max_steps=5), Wander, image_size=64, assets="builtin", video_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("_scattered_5_failure.mp4")
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 6
    assert frames[0].shape == (64, 128, 3)


def make_divider():
    def divide(number):
        if number == 0:
            raise SimError("cannot divide by 0")
        return 12 / number

    return divide


def test_a_job_that_fails_leaves_the_pool_in_order():
    with WorkerPool(1, make_divider) as pool:
        for number in (0, 3, 4):
            pool.submit(number, number)
        with pytest.raises(SimError, match="divide by 0"):
            pool.collect()
        assert [pool.collect(), pool.collect()] == [(3, 4.0), (4, 3.0)]
        assert pool.pending == 0
