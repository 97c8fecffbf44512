"""Measuring the experts: what counts, what is shown, what survives an interruption."""

import json

import pytest

from hilam_core.errors import ConfigError
from hilam_sim import SimError, measure
from hilam_sim.measure import Config, main, make_performer, read_results, revision


def _row(number, steps, revision, **other):
    row = {"suite": "libero_object", "task": 3, "placement": "stored", "number": number, "steps": steps}
    return json.dumps({**row, "revision": revision, **other}) + "\n"


def test_the_table_counts_successes_and_names_what_went_wrong(tmp_path, capsys):
    out, now = tmp_path / "rows.jsonl", revision("stored")
    lines = [_row(0, 100, now), _row(1, 140, now), _row(2, None, now, error="no recipe for 'dance'")]
    out.write_text("".join(lines))
    main(Config(tasks=("3",), episodes=3, out=out))
    printed = capsys.readouterr().out
    assert "| 3 pick up the bbq sauce and place it in the basket | 2/3 [21%, 94%] | 120 |" in printed
    assert "1 tasks: 0 at >= 95%, 0 at >= 85%, 1 at >= 60%" in printed
    assert "3 pick up the bbq sauce and place it in the basket: no recipe for 'dance'" in printed


def test_other_revisions_and_torn_lines_do_not_count(tmp_path):
    out = tmp_path / "rows.jsonl"
    out.write_text(_row(0, 100, "new") + _row(1, 90, "old") + "3\n" + _row(2, 80, "new")[:-9])
    assert [row["number"] for row in read_results(out, "new").values()] == [0]
    assert read_results(tmp_path / "nothing.jsonl", "new") == {}


def test_a_run_continues_a_torn_file(tmp_path, capsys):
    out, now = tmp_path / "rows.jsonl", revision("stored")
    out.write_text(_row(0, 100, now) + _row(1, 90, now)[:-9])
    main(Config(tasks=("3",), episodes=2, out=out))
    assert len(read_results(out, now)) == 2
    assert "/2 [" in capsys.readouterr().out


def test_an_episode_that_cannot_be_performed_counts_as_failed(monkeypatch):
    def refuse(*_, **__):
        raise SimError("no recipe for 'dance'")

    monkeypatch.setattr(measure, "record_expert", refuse)
    row = make_performer("stored", revision("stored"))(("libero_object", 3, "stored", 0))
    assert (row["steps"], row["error"]) == (None, "no recipe for 'dance'")


def test_sources_that_changed_end_the_measurement():
    with pytest.raises(SimError, match="sources changed"):
        make_performer("stored", "0123")


@pytest.mark.parametrize("name", ["episodes", "workers"])
def test_numbers_that_leave_nothing_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        Config(**{name: 0})
