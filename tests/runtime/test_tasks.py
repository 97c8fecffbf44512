"""Which task the arm follows."""

import pytest

from hilam_core.runtime.tasks import Task, TaskError, TaskFollower

S = 1_000_000_000
MILK, SOUP = "pick up the milk", "pick up the soup"


def test_the_same_task_published_again_is_the_same():
    tasks = TaskFollower()
    assert tasks.take(Task(1, MILK, True, 5 * S), now_ns=5 * S)
    assert not tasks.take(Task(1, MILK, True, 6 * S), now_ns=6 * S)
    assert tasks.current == Task(1, MILK, True, 5 * S)
    assert tasks.take(Task(2, MILK, True), now_ns=7 * S)
    assert tasks.take(Task(2, SOUP, True), now_ns=7 * S)


def test_an_inactive_task_ends_the_one_at_hand_once():
    tasks = TaskFollower()
    assert not tasks.take(Task(1, MILK, False), now_ns=0)
    tasks.take(Task(1, MILK, True), now_ns=0)
    assert tasks.take(Task(1, MILK, False), now_ns=0)
    assert tasks.current is None
    assert tasks.take(Task(1, MILK, True), now_ns=0)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Task(2, SOUP, True, 100 * S), "stamped 90 s in the future"),
        (Task(2, "  ", True, 5 * S), "no instruction"),
        (Task(2, SOUP + " now" * 200, True, 5 * S), "816 characters, more than 500"),
        (Task(2, SOUP + "\n/task", True, 5 * S), r"do not print: 'pick up the soup\\n/task'"),
    ],
)
def test_a_bad_task_is_refused_and_leaves_none(bad, message):
    tasks = TaskFollower()
    tasks.take(Task(1, MILK, True, 5 * S), now_ns=10 * S)
    with pytest.raises(TaskError, match=message):
        tasks.take(bad, now_ns=10 * S)
    assert tasks.current is None


def test_a_task_of_an_earlier_episode_is_ignored():
    tasks = TaskFollower()
    tasks.take(Task(5, SOUP, True), now_ns=0)
    assert not tasks.take(Task(4, MILK, True), now_ns=0)
    assert not tasks.take(Task(4, MILK, False), now_ns=0)
    assert (tasks.current, tasks.newest) == (Task(5, SOUP, True), 5)
    tasks.take(Task(5, SOUP, False), now_ns=0)
    assert not tasks.take(Task(4, MILK, True), now_ns=0)
    assert tasks.current is None
