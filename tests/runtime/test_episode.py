"""How an episode ends."""

import math

import pytest

from hilam_core.runtime.episode import Episode, Patience


def episode(judged=True, limit_s=math.inf, began=True):
    found = Episode(20.0, Patience(start_s=60, step_s=10), now_s=100.0, judged=judged)
    if began:
        found.begin(now_s=110.0, limit_s=limit_s)
    return found


def test_the_judge_ends_it_with_success_and_counts_its_steps():
    found = episode(limit_s=2.0)
    for step in range(1, 31):
        found.stepped(step, success=step == 30, now_s=110.0 + step / 10)
    assert found.outcome.name == "success"
    assert found.outcome.reason == "the goal holds after 30 steps (1.5 s)"
    found.stepped(31, success=False, now_s=114.0)
    assert (found.steps, found.duration_s(now_s=200.0)) == (30, pytest.approx(3.0))


def test_a_limit_of_a_judged_episode_is_in_control_steps_whatever_the_clock_says():
    found = episode(limit_s=14.0)
    assert found.limit_steps == 280
    found.stepped(279, success=False, now_s=119.0)
    found.check(now_s=128.9, lacking="", last_words="")
    assert found.outcome is None
    found.stepped(280, success=False, now_s=129.0)
    assert (found.outcome.name, found.outcome.reason) == ("timeout", "no success within 280 steps (14 s)")


def test_without_a_judge_the_clock_ends_it():
    found = episode(judged=False, limit_s=30.0)
    found.stepped(500, success=False, now_s=139.0)
    found.check(now_s=139.9, lacking="", last_words="")
    assert found.outcome is None
    found.check(now_s=140.1, lacking="", last_words="")
    assert (found.outcome.name, found.outcome.reason) == ("timeout", "no success within 30 s (500 steps)")


def test_one_that_cannot_begin_fails_with_what_is_lacking():
    found = episode(began=False)
    found.stepped(1, success=True, now_s=120.0)  # of whatever is going on there
    found.check(now_s=159.0, lacking="planner: waiting for a task", last_words="")
    assert found.outcome is None
    found.check(now_s=161.0, lacking="planner: waiting for a task", last_words="")
    assert found.outcome.reason == "not ready after 60 s: planner: waiting for a task"
    assert found.outcome.name == "failed"


def test_one_whose_steps_stop_fails_with_what_the_nodes_said_last():
    found = episode()
    found.stepped(7, success=False, now_s=112.0)
    found.check(now_s=121.0, lacking="", last_words="planner: broken")
    assert found.outcome is None
    found.check(now_s=122.5, lacking="", last_words="planner: broken")
    expected = "no step after 7 steps (0.35 s) within 10 s; last heard: planner: broken"
    assert (found.outcome.name, found.outcome.reason) == ("failed", expected)


def test_the_first_outcome_stays():
    found = episode()
    found.finish("cancelled", "the goal was cancelled", now_s=111.0)
    found.finish("failed", "task_server ended", now_s=112.0)
    found.stepped(1, success=True, now_s=113.0)
    assert found.outcome.name == "cancelled"
    assert found.over_for_s(now_s=112.5) == 1.5
