"""Which observation is planned from, and which skill a step follows."""

from hilam_core.runtime.schedule import PlanSchedule


def test_one_plan_a_period_even_when_its_first_observation_was_lost():
    schedule = PlanSchedule(5)
    assert [step for step in range(12) if schedule.due(step)] == [0, 5, 10]
    assert [step for step in (16, 17, 21) if schedule.due(step)] == [16, 21]
    schedule.reset()
    assert schedule.due(0)


def test_lockstep_follows_only_the_skill_of_its_own_period():
    schedule = PlanSchedule(5)
    assert [step for step in range(15) if schedule.serves(5, step)] == [5, 6, 7, 8, 9]


def test_realtime_follows_an_older_skill_up_to_a_limit():
    schedule = PlanSchedule(5)
    assert schedule.serves(5, step=24, max_age_steps=15)
    assert not schedule.serves(5, step=25, max_age_steps=15)
    assert not schedule.serves(5, step=4, max_age_steps=15)
