"""What an operator sees: the last minute, in bounded memory, and nothing that is more than text."""

from hilam_core.runtime.console import ConsoleState, plain
from hilam_core.runtime.tasks import Task
from hilam_core.runtime.timing import Cycle


def cycle(total_s):
    return Cycle(0, 0, 0.001, 0.01, 0.02, 0.001, False, total_s)


def test_a_segment_lasts_until_the_next_skill_and_ends_where_plans_stop():
    state = ConsoleState(("front",))
    for time_s, episode, skill in ((0.0, 1, 1), (0.25, 1, 1), (0.5, 1, 2), (5.0, 1, 2), (5.25, 2, 2)):
        state.on_skill(episode, skill, 0.5, time_s)
    found = state.view(6.0).segments
    assert [(s.episode, s.skill_id, s.start_s, s.end_s) for s in found] == [
        (1, 1, 0.0, 0.5),
        (1, 2, 0.5, 5.25),
        (2, 2, 5.25, 6.0),
    ]


def test_what_is_older_than_a_minute_is_gone():
    state = ConsoleState(("front",))
    for step in range(20_000):
        state.on_cycle(step, cycle(0.03), step / 20)
        state.on_skill(1, step, 0.1, step / 20)
        state.note("said")
    view = state.view(1000.0)
    assert 1190 <= len(view.cycles) <= 1201 and len(view.skills) == len(view.cycles)
    assert len(view.notes) == 30
    assert view.cycles[-1].total_ms == 30.0
    assert state.view(2000.0).cycles == ()


def test_rates_fall_to_zero_when_nothing_comes_any_more():
    state = ConsoleState(("front",))
    for step in range(40):
        state.on_cycle(step, cycle(None), step / 20)
        state.on_image("front", step / 30)
    state.sample_rates(2.0)
    state.sample_rates(9.0)
    running, stopped = state.view(9.0).rates
    assert abs(running.hz["command"] - 20) < 0.1 and running.hz["skill"] == 0
    assert stopped.hz["command"] == 0
    assert state.view(9.0).cameras["front"] == "30.0 Hz, the last 7.70 s ago"


def test_limits_hit_silence_and_rejected_goals_are_told():
    state = ConsoleState(())
    values = {"limited linear speed": "12", "limited joint": "x", "mode": "realtime"}
    state.on_status("safety_monitor", "ok", "ready", values, 0.0)
    state.on_status("task_server", "error", "goal rejected: stopped", {}, 6.0)
    state.on_status("task_server", "error", "goal rejected: stopped", {}, 7.0)
    view = state.view(7.0)
    assert view.limits == {"linear speed": 12}
    assert [(node.name, node.level, node.message) for node in view.nodes] == [
        ("safety_monitor", "error", "silent for 7 s; it said: ready"),
        ("task_server", "error", "goal rejected: stopped"),
    ]
    assert [note.text for note in view.notes] == ["goal rejected: stopped"]


def test_a_stop_an_outcome_and_a_failed_recording_are_noted_once():
    state = ConsoleState(())
    state.on_task(Task(3, "pick up the milk", True))
    for _ in range(2):
        state.on_safety("stopped", "stopped by service")
        state.on_recorder("failed", "disk full", "/data/1", 3.0, 2_000_000)
    state.on_outcome(3, "stopped", "by the safety monitor")
    view = state.view(1.0)
    assert [note.text for note in view.notes] == [
        "the arm was stopped: stopped by service",
        "the recording failed: disk full",
        "episode 3: stopped: by the safety monitor",
    ]
    assert all(note.bad for note in view.notes)
    assert (view.safety, view.recorder.text) == ("stopped", "/data/1, 3 s, 2.0 MB: disk full")
    state.on_task(Task(4, "pick up the soup", True))
    assert state.view(1.0).outcome == ""


def test_keys_are_told_while_they_are_down_and_their_end_once():
    state = ConsoleState(())
    assert state.keys_to_send(0.0) is None
    state.press(["w", "g", "Escape", "<b>"], 0.0)
    assert state.keys_to_send(0.2) == ["g", "w"]
    assert state.keys_to_send(0.3) == []  # the window said nothing more
    assert state.keys_to_send(0.4) is None
    state.press(["w"], 1.0)
    assert state.keys_to_send(1.0) == ["w"]
    state.press([], 1.1)
    assert state.keys_to_send(1.1) == []
    assert state.keys_to_send(1.2) is None


def test_texts_from_outside_are_one_line_and_bounded():
    assert plain("stop\n\x1b[31m\u202egnp.exe") == "stop��[31m�gnp.exe"
    assert len(plain("x" * 10_000)) == 400
    state = ConsoleState(())
    for number in range(1000):
        state.on_status(f"driver {number}", "ok", "ready", {}, 0.0)
    assert len(state.view(0.0).nodes) == 60
