"""Statistics of a control loop."""

import pytest

from hilam_core.runtime.timing import StageStats, summarize_ms


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
