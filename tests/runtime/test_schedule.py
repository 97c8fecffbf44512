"""Which observation is planned from, and which skill a step follows."""

from hilam_core.runtime.schedule import PlanSchedule


def test_one_plan_a_period_even_when_its_first_observation_was_lost():
    schedule = PlanSchedule(5)
    assert [step for step in range(12) if schedule.due(step)] == [0, 5, 10]
    assert [step for step in (16, 17, 21) if schedule.due(step)] == [16, 21]
    schedule.reset()
    assert schedule.due(0)


def test_a_skill_serves_the_steps_of_its_own_period():
    schedule = PlanSchedule(5)
    assert [step for step in range(15) if schedule.serves(5, step)] == [5, 6, 7, 8, 9]
