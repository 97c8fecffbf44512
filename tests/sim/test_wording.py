"""Other words for instructions, and tasks of one scene."""

import pytest

from hilam_sim.errors import SimError
from hilam_sim.tasks import SUITES, get_task, list_tasks, require_same_scene
from hilam_sim.wording import WORDINGS, reword

INSTRUCTIONS = sorted({task.instruction for suite in SUITES for task in list_tasks(suite)})


def test_every_instruction_of_libero_has_other_words_that_name_the_same_objects():
    for instruction in INSTRUCTIONS:
        said = {reword(instruction, wording) for wording in range(1, WORDINGS + 1)}
        assert len(said) == WORDINGS and instruction not in said
    for said in (reword("pick up the milk and place it in the basket", w) for w in (1, 2, 3)):
        assert "the milk" in said and "the basket" in said and "pick up" not in said


def test_what_cannot_be_said_otherwise_is_one_line():
    with pytest.raises(SimError, match="unknown wording 4: choose 1 to 3"):
        reword("open the drawer", 4)
    with pytest.raises(SimError, match="no other words known for 'juggle'"):
        reword("juggle", 1)


def test_tasks_of_one_scene_share_their_states():
    first, *others = list_tasks("libero_goal")
    for other in others:
        require_same_scene(first, other)
    soup, milk = (get_task("libero_object", task) for task in (0, 7))
    with pytest.raises(SimError, match="have other objects: choose tasks of one scene"):
        require_same_scene(soup, milk)
