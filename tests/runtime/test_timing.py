"""Statistics of a control loop."""

import pytest

from hilam_core.runtime.timing import Cycle, StageStats, TimeAccount, summarize_ms


def test_stage_statistics_stay_bounded_and_forget_the_past():
    stats = StageStats(window=100)
    for step in range(1000):
        stats.add(1.0 if step < 800 else 0.01, now_s=step * 0.05)
    report = stats.report(now_s=50.0)
    assert report["count"] == 1000
    assert report["rate_hz"] == 20.0
    assert report["max_ms"] == 10.0
    assert report["age_s"] == pytest.approx(0.05)
    assert summarize_ms([]) == {"count": 0}


def test_what_no_stage_accounts_for_is_the_share_of_the_topics():
    account = TimeAccount()
    account.add_command(7, total_s=0.020)
    account.add_cycle(
        Cycle(7, 5, ingest_s=0.001, plan_s=0.01, act_s=0.002, command_s=0.001, waited_for_skill=True)
    )
    account.add_cycle(
        Cycle(8, 5, ingest_s=0.001, plan_s=0.01, act_s=0.002, command_s=0.001, waited_for_skill=False)
    )
    durations = account.durations_s()
    assert durations["plan"] == [0.01]  # one skill, two cycles
    assert durations["topics"] == [pytest.approx(0.006)]
    assert durations["observation_to_command"] == [0.020]


def test_cadence_compares_the_way_of_every_command_with_the_control_period():
    account = TimeAccount()
    for step in range(10):
        account.add_cycle(Cycle(step, 0, 0.001, 0.004, 0.002, 0.001, False, total_s=0.02))
    account.add_command(9, total_s=0.06)  # the arm's own measurement counts
    cadence = account.cadence(control_hz=20.0)
    assert (cadence["cycles"], cadence["over_budget"], cadence["budget_ms"]) == (10, 1, 50.0)
    assert -0.2 < cadence["headroom"] < -0.1
    assert TimeAccount().cadence(20.0) == {"cycles": 0, "over_budget": 0, "budget_ms": 50.0, "headroom": 1.0}
