"""A node says ready only while data flows, and otherwise which input does not."""

from hilam_core.runtime.health import READY, InputHealth, judge, lossy_images

S = 1_000_000_000
NOW = 1_700_000_000 * S


def flowing(stamp_delay_ns=S // 100, count=41):
    """A camera that came at 20 Hz until NOW, stamped so long before it arrived."""
    camera = InputHealth("agentview")
    for i in range(count):
        now_ns = NOW - (count - 1 - i) * S // 20
        camera.arrived(now_ns, now_ns - stamp_delay_ns)
    return camera


def test_a_camera_that_flows_is_well_and_shows_its_rate():
    camera = flowing()
    assert camera.problem(NOW + S // 10) == ""
    assert camera.report(NOW + S // 10) == "20.0 Hz, the last 0.10 s ago"
    assert camera.slow(wanted_hz=20) == ""
    assert camera.slow(wanted_hz=30) == "agentview comes at 20.0 Hz, wanted are 30 Hz"


def test_a_camera_that_never_came_or_stopped_is_named():
    assert InputHealth("agentview").problem(NOW) == "no agentview came yet"
    assert flowing().problem(NOW + 3 * S) == "no agentview for 3.0 s"


def test_zero_stamps_and_stamps_of_another_clock_are_named():
    never_stamped = InputHealth("agentview")
    never_stamped.arrived(NOW, 0)
    assert never_stamped.problem(NOW) == "agentview has no stamp (zero)"
    assert "old" in flowing(stamp_delay_ns=NOW - 100 * S).problem(NOW)  # seconds since the driver started
    assert "in the future" in flowing(stamp_delay_ns=-5 * S).problem(NOW)


def test_a_clock_that_was_set_back_counts_anew_at_once():
    camera = flowing()
    back = NOW - 3600 * S
    for i in range(3):
        camera.arrived(back + i * S // 20, back + i * S // 20)
    assert camera.problem(back + S // 10) == ""
    assert camera.report(back + S // 10) == "20.0 Hz, the last 0.00 s ago"


def test_a_problem_comes_before_what_lacks_and_that_before_the_flow():
    assert judge("", [], ["", ""]) == ("ok", READY)
    assert judge("", [], ["", "no agentview for 3.0 s"]) == ("warn", "no agentview for 3.0 s")
    assert judge("", ["a task"], ["no agentview came yet"]) == ("warn", "waiting for a task")
    assert judge("skill is not finite", ["a task"], []) == ("error", "skill is not finite")


def test_images_beyond_the_kernels_buffers_are_announced_with_the_remedy(tmp_path):
    limit = tmp_path / "rmem_max"
    limit.write_text("212992\n")
    assert lossy_images(128 * 128 * 3, limit) == ""
    assert "images of 2.8 MB may be lost" in lossy_images(1280 * 720 * 3, limit)
    assert "sysctl -w net.core.rmem_max=8000000" in lossy_images(1920 * 1080 * 3, limit)
    limit.write_text("8000000\n")
    assert lossy_images(1920 * 1080 * 3, limit) == ""
    assert lossy_images(1920 * 1080 * 3, tmp_path / "no such file") == ""
