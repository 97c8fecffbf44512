"""Copies, moves, links and odd paths of a checkout: each runs its own code."""

import shutil

import pytest

WHERE = """
python -c 'import hilam_core, hilam_sim, rclpy
for module in (hilam_core, hilam_sim, rclpy): print(module.__file__)'
ros2 pkg prefix hilam_ros
command -v colcon ros2
"""


def assert_runs_its_own_code(checkout, *before):
    """Every path lies in the checkout, also where another checkout's tools/env.sh was sourced before."""
    sources = [f"source '{other.folder}/tools/env.sh'" for other in (*before, checkout)]
    done = checkout.bash("\n".join(["set -e", *sources, WHERE]))
    assert done.returncode == 0 and not done.stderr, done.stderr
    paths = done.stdout.split()
    assert len(paths) == 6
    assert all(path.startswith(f"{checkout.folder}/") for path in paths), paths


def test_the_second_setup_does_nothing(first):
    assert first.setup() == ""
    assert_runs_its_own_code(first)


def test_a_copy_runs_its_own_code_beside_the_first_one(first, tmp_path):
    copy = first.copy(tmp_path / "Kopie-ü")
    unprepared = copy.bash("source tools/env.sh")
    assert unprepared.returncode == 1 and unprepared.stderr.count("\n") == 1
    assert (
        f"{copy.folder} has no virtual environment made for this place: run make setup" in unprepared.stderr
    )
    said = copy.setup()
    assert f"made for {first.folder}: setting its paths to {copy.folder}" in said
    assert_runs_its_own_code(copy)
    assert_runs_its_own_code(copy, first)
    assert_runs_its_own_code(first, copy)
    # The bare interpreter and the commands of the environment too, without tools/env.sh.
    bare = copy.bash(".venv/bin/python -c 'import hilam_core; print(hilam_core.__file__)'")
    assert bare.stdout.startswith(f"{copy.folder}/hilam_core/")
    assert copy.bash(f"grep -rlIF {first.folder} .venv/bin").stdout == ""
    assert copy.setup() == ""


@pytest.mark.slow
def test_a_moved_checkout_needs_nothing_of_its_old_place(first, tmp_path):
    old = first.copy(tmp_path / "old")
    old.setup()
    moved = old.copy(tmp_path / "new")
    shutil.rmtree(old.folder)
    moved.setup()
    assert_runs_its_own_code(moved)
    left = moved.bash(f"grep -rlI '{old.folder}' --exclude-dir=log --exclude-dir=build .")
    assert left.stdout == ""


@pytest.mark.slow
def test_a_linked_environment_is_used_and_left_alone(first, tmp_path):
    """As in a git worktree that links to the main checkout's .venv."""
    owner = first.copy(tmp_path / "owner")
    owner.setup()
    worktree = first.copy(tmp_path / "worktree")
    shutil.rmtree(worktree.folder / ".venv")
    (worktree.folder / ".venv").symlink_to(owner.folder / ".venv")
    assert "virtual environment" not in worktree.setup()
    done = worktree.bash("source tools/env.sh && python -c 'import hilam_core; print(hilam_core.__file__)'")
    assert done.stdout.startswith(f"{worktree.folder}/"), done.stderr
    assert owner.setup() == ""
    worktree.require("borrowed")
    assert f"the packages of .venv, a link to {owner.folder}/.venv, are not those of" in worktree.refused()


@pytest.mark.parametrize("name", ["with blank", "semi;colon", "co:lon", "a$b", "it's"])
def test_a_path_that_colcon_cannot_take_is_refused_before_anything_is_installed(name, bare, tmp_path):
    bare.folder = bare.folder.rename(tmp_path / name)
    assert f"the checkout lies in '{bare.folder}'" in bare.refused()
    assert not (bare.folder / ".venv").exists()
