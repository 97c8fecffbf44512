"""Tasks, stored states and protocols, without a simulation."""

import io
import os
import pickle
import zipfile

import pytest
from hilam_sim import SimError
from hilam_sim.protocol import scattered_protocol, stored_protocol, wilson_interval
from hilam_sim.tasks import SUITES, _load_states, get_task, initial_states, list_tasks


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


def test_wilson_interval_known_values():
    assert wilson_interval(90, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    with pytest.raises(SimError):
        wilson_interval(11, 10)


def test_the_protocols_name_every_episode_once():
    stored = stored_protocol("libero_object", episodes=20)
    assert len(set(stored)) == 200
    assert [spec.init_state for spec in stored[:20]] == list(range(20))
    scattered = scattered_protocol("libero_object", tasks=[0, 1], episodes=5)
    assert len({spec.seed for spec in scattered}) == 10
    assert {spec.placement for spec in scattered} == {"scattered"}
    with pytest.raises(SimError, match="choose 1 to 50"):
        stored_protocol("libero_object", episodes=51)
