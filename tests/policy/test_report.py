"""Reports keep apart what cannot be compared, and compare what can episode by episode."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import report

from hilam_core.errors import DataError, FileError
from hilam_core.statistics import mcnemar_p, wilson_interval


def write_result(path, successes, **settings):
    """A result of evaluate.py with these outcomes, one episode a stored state of one task."""
    settings = {"label": "flat", "suite": "libero_object", "placement": "stored", "seed": 0} | settings
    settings = {"max_steps": 280, "assets": "builtin", "exact": False, "checkpoint_hash": "a" * 64} | settings
    task = settings.pop("task", "pick_up_the_milk")
    episodes = [
        {"task_name": task, "seed": settings["seed"], "init_state": i, "success": bool(s), "steps": 9}
        for i, s in enumerate(successes)
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**settings, "episodes": episodes}))
    return path


def names(folder):
    return [result["name"] for result in report.read_results([folder])]


def test_suites_and_placements_have_rows_columns_and_panels_of_their_own(tmp_path):
    folder = tmp_path / "eval"
    write_result(folder / "a.json", [1, 1])
    write_result(folder / "b.json", [0, 0], placement="scattered")
    write_result(folder / "c.json", [1, 0], suite="libero_goal", task="open_the_drawer")
    report.main(report.Config([folder], tmp_path / "report"))
    text = (tmp_path / "report" / "results.md").read_text()
    rates, goal, objects = text.split("## ")[1:4]
    assert [line.split(" | ")[:4] for line in rates.splitlines()[4:7]] == [
        ["| libero_goal", "stored", "flat", "50.0%"],
        ["| libero_object", "scattered", "flat", "0.0%"],
        ["| libero_object", "stored", "flat", "100.0%"],
    ]
    assert "open the drawer | 1/2 |" in goal and "milk" not in goal
    assert "pick up the milk | 0/2 | 2/2 |" in objects and "drawer" not in objects
    assert "Paired" not in text  # no two share episodes under one protocol
    assert (tmp_path / "report" / "results.png").stat().st_size > 5000


def test_evaluations_of_one_label_are_told_apart_by_what_differs(tmp_path):
    write_result(tmp_path / "a.json", [1])
    assert names(tmp_path) == ["flat"]
    write_result(tmp_path / "b.json", [1], seed=1)
    write_result(tmp_path / "c.json", [1], exact=True, checkpoint_hash="b" * 64)
    assert names(tmp_path) == [
        "flat (seed 0, exact False, checkpoint aaaaaaaa)",
        "flat (seed 0, exact True, checkpoint bbbbbbbb)",
        "flat (seed 1, exact False, checkpoint aaaaaaaa)",
    ]
    write_result(tmp_path / "b.json", [1])
    write_result(tmp_path / "c.json", [1])
    assert len(set(names(tmp_path))) == 3  # copies, by their file


def test_intervals_are_those_of_the_floor(tmp_path):
    write_result(tmp_path / "a.json", [1] * 9 + [0])
    (result,) = report.read_results([tmp_path])
    assert report.rate(result) == (0.9, *wilson_interval(9, 10))


def test_two_policies_are_compared_on_the_episodes_they_share(tmp_path):
    write_result(tmp_path / "a.json", [1, 1, 1, 1, 1, 1, 1, 0, 0, 1])
    write_result(tmp_path / "b.json", [0, 0, 0, 0, 0, 0, 1, 1, 0], label="HiLAM", checkpoint_hash="b" * 64)
    text = report.comparison_table(report.read_results([tmp_path])).markdown()
    row = [cell.strip() for cell in text.splitlines()[4].strip("|").split("|")]
    assert row[:7] == ["libero_object", "stored", "HiLAM", "flat", "9", "1", "6"]
    assert row[7] == "-55.6%" and row[9] == f"{mcnemar_p(1, 6):.2g}" == "0.12"
    low, high = (float(end.strip("%")) for end in row[8].split(" to "))
    assert low < -55.6 < high


def test_the_page_shows_bars_and_the_first_videos_in_one_file(tmp_path):
    result = write_result(tmp_path / "eval/a.json", [0, 0, 1, 1, 0], label="A <b>")
    content = json.loads(result.read_text())
    for episode in content["episodes"]:
        episode["video"] = f"../videos/{episode['init_state']}.mp4"
    result.write_text(json.dumps(content))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/0.mp4").write_bytes(b"failed")
    report.main(report.Config([result], tmp_path / "report"))
    page = (tmp_path / "report/results.html").read_text()
    assert "A &lt;b&gt;" in page and "<b>" not in page
    low, high = wilson_interval(2, 5)
    assert f"95% interval {low:.1%} to {high:.1%}" in page and "2/5" in page
    assert re.findall(r"state (\d), .*?: (\w+)", page) == [("0", "failure"), ("2", "success")]
    (shown,) = re.findall(r'src="data:video/mp4;base64,(.*?)"', page)
    assert base64.b64decode(shown) == b"failed"
    assert "../videos/2.mp4 is no longer there" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)  # nothing outside the file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "no evaluations (*.json) in missing"),
        (["eval", "--videos", "-1"], "videos must not be negative, got -1"),
        (["notes.json"], "notes.json is not a result of evaluate.py"),
        (["eval", "--out", "notes.json"], "cannot write to the folder 'notes.json'"),
    ],
)
def test_what_cannot_be_reported_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    write_result(tmp_path / "eval" / "a.json", [1])
    (tmp_path / "notes.json").write_text("[1, 2")
    (tmp_path / "missing").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process keeps its own
    monkeypatch.setattr(sys, "argv", ["report.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        report.run_program(report.main, report.Config)
    error = capsys.readouterr().err
    assert ended.value.code == 1 and error.startswith("error: ") and message in error
    assert error.count("\n") == 1


def test_a_report_that_cannot_be_written_was_printed(tmp_path, capsys):
    write_result(tmp_path / "a.json", [1])
    (tmp_path / "report" / "results.md").mkdir(parents=True)
    with pytest.raises(FileError, match=r"results\.md"):
        report.main(report.Config([tmp_path / "a.json"], tmp_path / "report"))
    assert "| libero_object | stored | flat | 100.0% |" in capsys.readouterr().out


def test_a_file_about_to_be_written_is_no_result(tmp_path):
    write_result(tmp_path / "a.json", [1])
    (tmp_path / ".a.x.json").write_text("{")
    assert names(tmp_path) == ["flat"]
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(DataError, match=r"b\.json is not a result"):
        report.read_results([tmp_path])


def test_the_figures_of_success_are_drawn_from_results(tmp_path):
    shares = {"HiLAM_10": 0.1, "HiLAM_50": 0.5, "HiLAM": 1.0}
    for label, share in shares.items():
        write_result(
            tmp_path / f"eval/{label}.json", [1, 0, share == 1], label=label, share=share, suite="libero_10"
        )
    report.main(report.Config([tmp_path / "eval"], tmp_path / "report"))
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        *("results.md", "results.html", "results.png", "suites.png", "shares.png")
    }
    assert {report.policy_of({"label": label}) for label in shares} == {"HiLAM"}
    of_study = [{"label": f"flat {share}, seed 0"} for share in ("10%", "100%")]
    assert {report.policy_of(result) for result in of_study} == {"flat, seed 0"}
    write_result(tmp_path / "one/a.json", [1])
    report.main(report.Config([tmp_path / "one"], tmp_path / "single"))
    assert not (tmp_path / "single/shares.png").exists(), "one share is no curve"


def write_log(folder, losses):
    folder.mkdir(parents=True)
    rows = [
        {"step": 10 * i, "train/loss": loss, "seconds": 6.0 * i, "steps_per_s": 2.0 + i}
        for i, loss in enumerate(losses, 1)
    ]
    lines = [json.dumps(row) for row in (*rows, {"step": 30, "held_out/loss": 0.5, "seconds": 18.0})]
    (folder / "log.jsonl").write_text("\n".join([*lines, '{"step": 40, "tr']))
    return folder


def test_runs_are_compared_by_their_logs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # where there are no evaluations
    runs = (write_log(tmp_path / "a", [3, 2, 1.25]), write_log(tmp_path / "b", [3, 1, 0.75]))
    report.main(report.Config(out=tmp_path / "report", runs=runs))
    text = capsys.readouterr().out
    assert "| a | 30 | 0.3 | 4.0 | 1.25 | 0.5 |" in text and "| b | 30 | 0.3 | 4.0 | 0.75 | 0.5 |" in text
    assert (tmp_path / "report/curves.png").stat().st_size > 1000
    with pytest.raises(DataError, match=r"'.*report' has no log\.jsonl with logged steps"):
        report.main(report.Config(out=tmp_path / "again", runs=(tmp_path / "report",)))


def test_reporting_needs_no_torch():
    program = "import report, sys; sys.exit('torch' in sys.modules)"
    path = os.pathsep.join([str(Path(report.__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0
