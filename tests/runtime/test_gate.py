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
    return StepGate(PlanSchedule(5), max_skill_age_s=None, max_observation_age_s=None)


def realtime():
    return StepGate(PlanSchedule(5), max_skill_age_s=0.5, max_observation_age_s=0.2)


def test_lockstep_waits_for_the_skill_of_the_observations_own_period():
    gate = lockstep()
    gate.plan(skill(0), START)
    gate.observe(obs(4), START, START)
    assert gate.take(START) == (obs(4), skill(0))
    assert not gate.waited
    assert gate.take(START) is None  # once
    gate.observe(obs(5), START, START)
    assert gate.take(START) is None
    gate.plan(skill(5), START)
    assert gate.take(START + 3_600_000 * MS) == (obs(5), skill(5))  # the clock decides nothing
    assert gate.waited


def test_realtime_takes_the_newest_skill_within_its_age_and_never_an_older_one():
    gate = realtime()
    gate.plan(skill(5), START)
    gate.plan(skill(0), START - 250 * MS)  # overtaken on its way
    for seq, age_ms, serves in ((15, 500, True), (16, 510, False), (17, -50, False)):
        stamp_ns = START + age_ms * MS
        gate.observe(obs(seq), stamp_ns, stamp_ns)
        assert gate.take(stamp_ns) == ((obs(seq), skill(5)) if serves else None)


def test_after_a_pause_a_skill_from_before_it_is_not_followed():
    gate = realtime()
    gate.plan(skill(5), START)
    gate.observe(obs(5), START, START)
    assert gate.take(START)
    later = START + 10_000 * MS
    gate.observe(obs(6), later, later)  # the next one by number, of the same plan period
    assert gate.take(later) is None
    assert gate.waited


def test_an_observation_that_grew_old_while_the_networks_ran_is_refused():
    gate = realtime()
    gate.require_current(obs(1), START, START + 200 * MS)
    with pytest.raises(StaleError, match=r"observation 1 is 0\.3 s old"):
        gate.require_current(obs(1), START, START + 300 * MS)


def test_numbers_that_begin_anew_within_an_episode_go_on_with_new_skills():
    gate = realtime()
    gate.plan(skill(500), START)
    later = START + 400 * MS
    gate.plan(skill(0), later)
    gate.observe(obs(1), later + 300 * MS, later + 300 * MS)
    assert gate.take(later + 300 * MS) == (obs(1), skill(0))


def test_a_newer_observation_replaces_one_that_waits():
    gate = realtime()
    gate.observe(obs(0), START, START)
    assert gate.take(START) is None
    gate.observe(obs(1), START + 50 * MS, START + 51 * MS)
    gate.plan(skill(0), START)
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
    gate.plan(skill(0), START)
    gate.observe(obs(1), stamp_ns, START)
    with pytest.raises(StaleError, match=message):
        gate.take(START)
    assert gate.take(START) is None


def test_nothing_of_another_episode_counts():
    gate = realtime()
    gate.plan(skill(0, episode=1), START)
    gate.observe(obs(0, episode=2), START, START)
    assert gate.take(START) is None
    gate.plan(skill(0, episode=2), START)
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
    gate.plan(skill(10), START + 550 * MS)
    gate.observe(obs(11), START + 600 * MS, START + 600 * MS)
    assert gate.take(START + 600 * MS) == (obs(11), skill(10))
    assert gate.explain(START + 600 * MS) == ""
