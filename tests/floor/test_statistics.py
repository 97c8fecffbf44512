"""Intervals and tests beside success rates."""

import numpy as np
import pytest

from hilam_core.errors import HilamError
from hilam_core.statistics import mcnemar_p, paired_difference_interval, wilson_interval


def test_wilson_interval_known_values():
    assert wilson_interval(90, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    with pytest.raises(HilamError):
        wilson_interval(11, 10)


def test_mcnemar_known_values():
    assert mcnemar_p(1, 6) == mcnemar_p(6, 1) == pytest.approx(2 * (1 + 7) / 2**7)
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(5, 5) == 1.0
    assert mcnemar_p(0, 10) == pytest.approx(2 / 2**10)
    with pytest.raises(HilamError):
        mcnemar_p(-1, 2)


def test_the_interval_of_a_paired_difference_covers_it():
    rng = np.random.default_rng(0)
    for p_first, p_second, n in ((0.08, 0.02, 40), (0.25, 0.1, 100), (0.01, 0.01, 50)):
        outcomes = rng.multinomial(n, [p_first, p_second, 1 - p_first - p_second], 2000)
        intervals = [paired_difference_interval(first, second, n) for first, second, _ in outcomes.tolist()]
        covered = np.mean([low <= p_first - p_second <= high for low, high in intervals])
        assert covered >= 0.94
    assert paired_difference_interval(10, 0, 10)[1] <= 1.0
    with pytest.raises(HilamError):
        paired_difference_interval(6, 5, 10)
