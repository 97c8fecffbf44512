"""Which observation is planned from, and which skill a step uses."""

from types import SimpleNamespace

from hilam_ros.skills import PlanSchedule, skill_for_step


def skill(seq, episode=1):
    return SimpleNamespace(episode=episode, seq=seq)


def test_one_plan_a_period_even_when_its_first_observation_was_lost():
    schedule = PlanSchedule(5)
    assert [seq for seq in range(12) if schedule.due(1, seq)] == [0, 5, 10]
    assert [seq for seq in (16, 17, 21) if schedule.due(1, seq)] == [16, 21]
    assert schedule.due(2, 0)


def test_lockstep_takes_only_the_skill_of_its_own_period():
    assert skill_for_step(skill(5), episode=1, seq=9, plan_period=5, max_age_steps=0).seq == 5
    assert skill_for_step(skill(5), episode=1, seq=10, plan_period=5, max_age_steps=0) is None
    assert skill_for_step(skill(5), episode=1, seq=4, plan_period=5, max_age_steps=0) is None
    assert skill_for_step(None, episode=1, seq=0, plan_period=5, max_age_steps=0) is None


def test_realtime_takes_an_older_skill_up_to_a_limit_but_never_of_another_episode():
    assert skill_for_step(skill(5), episode=1, seq=24, plan_period=5, max_age_steps=15).seq == 5
    assert skill_for_step(skill(5), episode=1, seq=25, plan_period=5, max_age_steps=15) is None
    assert skill_for_step(skill(5, episode=1), episode=2, seq=5, plan_period=5, max_age_steps=15) is None
