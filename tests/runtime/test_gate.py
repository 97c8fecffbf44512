"""A step acts once, on an observation of now, with the skill that serves it."""

from dataclasses import dataclass

import pytest

from hilam_core.runtime.gate import StaleError, StepGate
from hilam_core.runtime.schedule import PlanSchedule

MS = 1_000_000
START = 1_700_000_000_000 * MS


@dataclass
class Numbered:
    episode: int
    seq: int


def obs(seq, episode=1):
    return Numbered(episode, seq)


skill = obs


def lockstep():
    return StepGate(PlanSchedule(5), max_skill_age_steps=0, max_observation_age_s=None)


def realtime():
    return StepGate(PlanSchedule(5), max_skill_age_steps=10, max_observation_age_s=0.2)


def test_lockstep_waits_for_the_skill_of_the_observations_own_period():
    gate = lockstep()
    gate.plan(skill(0))
    gate.observe(obs(4), START, START)
    assert gate.take(START) == (obs(4), skill(0))
    assert not gate.waited
    assert gate.take(START) is None  # once
    gate.observe(obs(5), START, START)
    assert gate.take(START) is None
    gate.plan(skill(5))
    assert gate.take(START + 3_600_000 * MS) == (obs(5), skill(5))  # the clock decides nothing
    assert gate.waited


def test_realtime_takes_the_newest_skill_within_its_age_and_never_an_older_one():
    gate = realtime()
    gate.plan(skill(5))
    gate.plan(skill(0))  # overtaken on its way
    gate.observe(obs(19), START, START)
    assert gate.take(START) == (obs(19), skill(5))
    gate.observe(obs(20), START, START)
    assert gate.take(START) is None


def test_a_newer_observation_replaces_one_that_waits():
    gate = realtime()
    gate.observe(obs(0), START, START)
    assert gate.take(START) is None
    gate.observe(obs(1), START + 50 * MS, START + 51 * MS)
    gate.plan(skill(0))
    assert gate.take(START + 60 * MS) == (obs(1), skill(0))
    assert gate.take(START + 61 * MS) is None


@pytest.mark.parametrize(
    ("stamp_ns", "message"),
    [
        (START - 300 * MS, "observation 1 is 0.3 s old, older than 0.2 s"),
        (START + 300 * MS, "observation 1 is stamped 0.3 s in the future"),
        (0, "observation 1 has no stamp"),
    ],
)
def test_what_is_not_of_now_is_dropped(stamp_ns, message):
    gate = realtime()
    gate.plan(skill(0))
    gate.observe(obs(1), stamp_ns, START)
    with pytest.raises(StaleError, match=message):
        gate.take(START)
    assert gate.take(START) is None


def test_nothing_of_another_episode_counts():
    gate = realtime()
    gate.plan(skill(0, episode=1))
    gate.observe(obs(0, episode=2), START, START)
    assert gate.take(START) is None
    gate.plan(skill(0, episode=2))
    assert gate.take(START) == (obs(0, 2), skill(0, 2))
    gate.observe(obs(1, episode=2), START, START)
    gate.reset()
    assert gate.take(START) is None


def test_observations_without_a_skill_are_explained_after_a_while():
    gate = realtime()
    gate.observe(obs(0), START, START)
    assert gate.explain(START + 100 * MS) == ""
    gate.observe(obs(10), START + 550 * MS, START + 550 * MS)
    assert gate.explain(START + 600 * MS) == "no skill for observation 10: none came"
    gate.plan(skill(0))
    gate.observe(obs(11), START + 600 * MS, START + 600 * MS)
    assert gate.take(START + 600 * MS) == (obs(11), skill(0))
    assert gate.explain(START + 600 * MS) == ""
