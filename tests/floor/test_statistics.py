"""Intervals beside success rates."""

import pytest

from hilam_core.errors import HilamError
from hilam_core.statistics import wilson_interval


def test_wilson_interval_known_values():
    assert wilson_interval(90, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    with pytest.raises(HilamError):
        wilson_interval(11, 10)
