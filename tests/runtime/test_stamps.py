"""What is stamped zero, in the future, or by a clock that was set back."""

from hilam_core.runtime.stamps import Watchdog, stamp_problem

S = 1_000_000_000
NOW = 1_700_000_000 * S


def test_only_stamps_of_now_pass():
    assert stamp_problem(NOW, NOW, max_age_s=0.2) == ""
    assert stamp_problem(NOW + S // 100, NOW) == ""  # two machines' clocks
    assert stamp_problem(NOW - 10 * S, NOW) == ""  # no limit was given
    assert stamp_problem(0, NOW) == "has no stamp (zero)"
    assert stamp_problem(NOW + 3 * S, NOW).startswith("is stamped 3 s in the future")
    assert stamp_problem(NOW - S, NOW, max_age_s=0.2) == "is 1 s old, older than 0.2 s"


def test_a_watchdog_barks_when_fed_no_more_and_when_the_clock_was_set_back():
    dog = Watchdog(0.15)
    assert not dog.expired(100.0)  # it was never fed
    dog.feed(100.0)
    assert not dog.expired(100.1)
    assert dog.expired(100.2)
    dog.feed(100.2)
    assert dog.expired(40.0)
    dog.feed(40.0)
    assert not dog.expired(40.1)
    dog.reset()
    assert not dog.expired(50.0)
