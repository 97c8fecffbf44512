"""Tasks, stored states and protocols, without a simulation."""

import io
import os
import pickle
import shutil
import zipfile

import pytest

from hilam_sim import LiberoEnv, SimError, tasks
from hilam_sim.backend import libero_root
from hilam_sim.protocol import scattered_protocol, stored_protocol
from hilam_sim.tasks import SUITES, _load_states, choose_tasks, get_task, initial_states, list_tasks


def test_all_130_tasks_have_their_bddl_file_and_50_states():
    assert sum(len(list_tasks(suite)) for suite in SUITES) == 130
    for suite in SUITES:
        for task in list_tasks(suite):
            assert task.bddl_path.is_file()
        assert len(initial_states(list_tasks(suite)[0])) == 50


def test_a_task_is_found_by_index_name_and_instruction():
    task = get_task("libero_object", 3)
    assert task.instruction == "pick up the bbq sauce and place it in the basket"
    assert task == get_task("libero_object", "3") == get_task("libero_object", task.name)
    assert task == get_task("libero_object", task.instruction)
    kitchen = list_tasks("libero_90")[0]
    assert kitchen.instruction == "close the top drawer of the cabinet"


@pytest.mark.parametrize(
    ("suite", "task"), [("libero_lunch", 0), ("libero_object", 10), ("libero_object", "fly")]
)
def test_unknown_names_are_told_with_the_choices(suite, task):
    with pytest.raises(SimError, match="choose") as error:
        get_task(suite, task)
    assert "\n" not in str(error.value)


@pytest.fixture
def copied_suite(tmp_path, monkeypatch):
    """LIBERO's folder with a copy of one suite's problem files."""
    for name in ("benchmark", "init_files"):
        (tmp_path / name).symlink_to(libero_root() / name)
    shutil.copytree(libero_root() / "bddl_files" / "libero_object", tmp_path / "bddl_files" / "libero_object")
    monkeypatch.setattr(tasks, "libero_root", lambda: tmp_path)
    return tmp_path / "bddl_files" / "libero_object"


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "binary", "other"])
def test_an_unreadable_problem_file_is_named(copied_suite, damage):
    path = copied_suite / f"{get_task('libero_object', 3).name}.bddl"
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": whole[:-200], "binary": b"\xff\xfe(", "other": b"{}"}[damage])
    with pytest.raises(SimError, match=r"bbq_sauce.*\.bddl.*reinstall hf-libero") as error:
        LiberoEnv("libero_object", 3, render=False, assets="builtin")
    assert "\n" not in str(error.value)
    assert get_task("libero_object", 4).index == 4


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_an_unreadable_state_file_is_named(tmp_path, damage):
    path = tmp_path / "task.pruned_init"
    source = (
        libero_root() / "init_files" / "libero_object" / f"{get_task('libero_object', 3).name}.pruned_init"
    )
    if damage != "missing":
        path.write_bytes({"cut": source.read_bytes()[:-500], "text": b"no archive"}[damage])
    with pytest.raises(SimError, match=r"task\.pruned_init.*reinstall hf-libero") as error:
        _load_states(path)
    assert "\n" not in str(error.value)


def test_tasks_are_chosen_by_suites_or_one_by_one():
    assert len(choose_tasks(["libero_goal", "libero_10", "libero_goal"])) == 20
    assert [task.index for task in choose_tasks(["libero_goal"], ["2", 5])] == [2, 5]
    with pytest.raises(SimError, match="choose one suite"):
        choose_tasks(["libero_goal", "libero_10"], [2])
    with pytest.raises(SimError, match="choose from libero_spatial"):
        choose_tasks([])


def test_a_state_file_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "hacked"),))

    path = tmp_path / "task.pruned_init"
    buffer = io.BytesIO()
    pickle.dump(Evil(), buffer)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", buffer.getvalue())
    with pytest.raises(SimError, match="not allowed"):
        _load_states(path)
    assert not (tmp_path / "hacked").exists()


def test_the_protocols_name_every_episode_once():
    stored = stored_protocol("libero_object", episodes=20)
    assert len(set(stored)) == 200
    assert [spec.init_state for spec in stored[:20]] == list(range(20))
    scattered = scattered_protocol("libero_object", tasks=[0, 1], episodes=5)
    assert len({spec.seed for spec in scattered}) == 10
    assert {spec.placement for spec in scattered} == {"scattered"}
    with pytest.raises(SimError, match="choose 1 to 50"):
        stored_protocol("libero_object", episodes=51)
