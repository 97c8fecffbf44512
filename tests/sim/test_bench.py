"""The benchmark runs, and says when a target is missed."""

import os
import subprocess
import sys

import pytest

CLEAN = {name: value for name, value in os.environ.items() if name != "LIBERO_ASSETS"}


def bench(*arguments, env=CLEAN):
    command = [sys.executable, "-m", "hilam_sim.bench", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rounds", "0"), "rounds must be at least 1, not 0"),
        (("--tasks", "libero_object:99"), "99"),
        (("--tasks",), "no --tasks"),
        (("--core", "9999"), "core 9999 is not one of those allowed"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    done = bench(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_table_of_both_environments(tmp_path):
    out = tmp_path / "bench.md"
    done = bench(
        *("--tasks", "libero_object:3", "--rounds", "3", "--steps", "4", "--workers", "1"),
        *("--out", str(out), "--check"),
    )
    rows = [line for line in out.read_text().splitlines() if line.startswith("| libero_object:3")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    contests = {row[1] for row in cells}
    assert {"cameras, built-in", "no cameras"} <= contests
    assert all(float(cell) > 0 for row in cells for cell in row[3:])
    targets = {"cameras, built-in": 4.0, "cameras, official": 1.5, "no cameras": 2.5}
    ours = {
        row[1]: float(row[5]) for row in cells if row[2].startswith("LiberoEnv") and "exact" not in row[2]
    }
    missed = [contest for contest, factor in ours.items() if factor < targets[contest]]
    assert (done.returncode, done.stderr.count("times stock")) == (bool(missed), len(missed))
