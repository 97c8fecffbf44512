"""Parallel episodes: the same results whatever the workers do."""

import multiprocessing
import os
from dataclasses import replace

import av
import numpy as np
import pytest

from hilam_sim import SimError
from hilam_sim.rollout import EpisodeSpec, run_episodes
from hilam_sim.workers import WorkerError, WorkerPool


class Wander:
    """Reacts to what it sees, so that any difference between episodes would grow."""

    def __init__(self, batch=1):
        self.batch, self.sizes, self.begun = batch, [], []

    def reset(self, slot, instruction):
        assert instruction == "pick up the bbq sauce and place it in the basket"
        self.begun.append(slot)

    def act(self, observations):
        self.sizes.append(len(observations))
        return {slot: self.wander(obs) for slot, obs in observations.items()}

    def wander(self, obs):
        return np.clip(np.concatenate([np.sin(50 * obs["ee_pos"]), obs["ee_pos"], [1.0]]), -1, 1)


class KillsOnce(Wander):
    """Kills a worker in the middle of its episode, once."""

    def act(self, observations):
        if len(self.sizes) == 7:
            assert len(observations) == 2  # whichever dies is at an episode
            multiprocessing.active_children()[0].kill()
        return super().act(observations)


class Broken(Wander):
    def act(self, observations):
        raise RuntimeError("no idea what to do")


def specs(count=3, max_steps=12):
    stored = [EpisodeSpec("libero_object", 3, "stored", 0, i, max_steps) for i in range(count - 1)]
    return [*stored, EpisodeSpec("libero_object", 3, "scattered", 5, max_steps=max_steps)]


def outcomes(results):
    return [(r.spec, r.success, r.steps) for r in results]


def test_results_come_in_order_and_survive_a_dead_worker():
    seen, killer = [], KillsOnce(batch=2)
    alone = run_episodes(specs(), Wander(), 1, assets="builtin", render=False, on_result=seen.append)
    pair = run_episodes(specs(), killer, 2, assets="builtin", render=False)
    assert len(killer.begun) == 4  # one episode began again
    assert outcomes(alone) == outcomes(pair)
    assert [r.spec for r in alone] == specs() == [r.spec for r in seen]
    assert [r.steps for r in alone] == [12, 12, 12]


def test_a_policy_reads_the_observations_of_several_workers_together():
    policy = Wander(batch=2)
    together = run_episodes(specs(4), policy, 3, assets="builtin", render=False)
    assert outcomes(together) == outcomes(run_episodes(specs(4), Wander(), assets="builtin", render=False))
    assert sum(policy.sizes) == 4 * 12 and set(policy.sizes) <= {1, 2}
    # Alone only at the end, when no other episode is under way.
    assert policy.sizes.count(1) <= 12 and policy.sizes[0] == 2
    assert set(policy.begun) == {0, 1, 2}


class Listener(Wander):
    def reset(self, slot, instruction):
        self.begun.append(instruction)


def test_an_episode_can_have_other_words():
    policy, (spec,) = Listener(), specs(1, max_steps=2)
    told = replace(spec, instruction="get me the bbq sauce")
    run_episodes([told, spec], policy, assets="builtin", render=False)
    assert policy.begun == ["get me the bbq sauce", "pick up the bbq sauce and place it in the basket"]


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
    usual = run_episodes(specs(), Wander(), assets="builtin", render=False)
    replaced = run_episodes(specs(), Wander(), assets="builtin", render=False, worker_memory_mb=1)
    assert outcomes(usual) == outcomes(replaced)


def test_a_failing_policy_and_a_wrong_name_are_reported():
    with pytest.raises(RuntimeError, match="no idea what to do"):
        run_episodes(specs(1), Broken(), assets="builtin", render=False)
    with pytest.raises(SimError, match="unknown task"):
        run_episodes([EpisodeSpec("libero_object", "fly")], Wander(), assets="builtin", render=False)


def test_videos_show_every_step(tmp_path):
    run_episodes(specs(1, max_steps=5), Wander(), image_size=64, assets="builtin", video_dir=tmp_path)
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


def make_asker():
    def ask(question):
        return (yield question)

    return ask


def tenfold(questions):
    return {worker: 10 * question for worker, question in questions.items()}


def test_each_question_gets_its_own_answer():
    with WorkerPool(2, make_asker, answer=tenfold, gather=2) as pool:
        for number in range(5):
            pool.submit(number, number)
        assert dict(pool.collect() for _ in range(5)) == {n: 10 * n for n in range(5)}


def test_a_worker_stays_with_a_group_of_jobs():
    with WorkerPool(1, make_asker, answer=tenfold) as pool:
        for number in range(6):
            pool.submit(number, number, group=number % 2)
        assert [pool.collect()[0] for _ in range(6)] == [0, 2, 4, 1, 3, 5]


def test_a_job_that_asks_and_dies_kills_its_worker_three_times_and_no_more():
    with WorkerPool(1, make_casualty, answer=lambda questions: questions) as pool:
        pool.submit("casualty", None)
        with pytest.raises(WorkerError, match="killed its worker 3 times"):
            pool.collect()


def make_casualty():
    def die(job):
        yield "last words"
        os._exit(3)

    return die
