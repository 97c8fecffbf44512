"""The rows of Table 1 by name, and what fine-tuning may start from."""

import pytest
import torch
from programs import program
from stores import write_stores

from hilam_core.cards import load_card
from hilam_core.policy import load_policy
from hilam_core.policy.presets import TABLE1

SHORT = ["--train.steps", 2, "--train.batch-size", 2, "--train.warmup-steps", 1, "--train.device", "cpu"]


@pytest.fixture(scope="module")
def stores(demonstrations, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    write_stores(demonstrations, folder)
    return folder


def run(name, demonstrations, stores, *arguments):
    if name == "pretrain_policy":
        arguments = ("--latents", "latents.h5", "--skills", "skills.h5", *arguments)
    return program(name, "--data", demonstrations, *SHORT, *arguments, cwd=stores)


def test_there_are_eleven_rows_as_published():
    assert len(TABLE1) == 11 and TABLE1["table1/human_z2_z0"].success == max(
        r.success for r in TABLE1.values()
    )


@pytest.mark.parametrize("name", TABLE1)
def test_every_row_trains(name, demonstrations, stores):
    row, start, out = TABLE1[name], [], f"{name}/policy"
    if row.pretraining != "none":
        start = ["--pretrained", f"{name}/pretrained"]
        result = run("pretrain_policy", demonstrations, stores, "--preset", name, "--out", start[1])
        assert result.code == 0, result.errors
        pretrained = load_policy(stores / start[1])
        assert (pretrained.card["skill_stage"], pretrained.card["latent_stage"]) == (row.skill, row.latent)
        # write_stores: z^l has 5 numbers, segment vectors of every stage have 4
        assert pretrained.low.config.output_dim == (4 if row.latent else 5)
        assert (pretrained.high is None) == (row.skill is None)
    result = run("finetune_policy", demonstrations, stores, "--preset", name, *start, "--out", out)
    assert result.code == 0, result.errors
    policy = load_policy(stores / out)
    assert policy.low.config.output_dim == 7 and policy.card["program"]["preset"] == name
    assert (policy.high is None) == (row.skill is None and row.pretraining != "none")


def test_options_change_a_preset_further(demonstrations, stores):
    arguments = ["--preset", "table1/human_z2_z0", "--stage", 1, "--out", "changed"]
    assert run("pretrain_policy", demonstrations, stores, *arguments).code == 0
    assert load_card(stores / "changed")["skill_stage"] == 1
    result = run(
        "finetune_policy", demonstrations, stores, "--preset", "table1/human_z2_z0", "--pretrained", "changed"
    )
    assert result.code == 1
    assert "'changed' is not table1/human_z2_z0: it was pretrained with skills of stage 1" in result.errors


def test_wrong_presets_are_refused_in_one_line(demonstrations, stores):
    for program_name, arguments, message in (
        (
            "pretrain_policy",
            ["--preset", "table1/human_z3_z0"],
            "unknown preset 'table1/human_z3_z0'; choices: ",
        ),
        ("pretrain_policy", ["--stage", 1, "--latent-stage", 1], "latent_stage must be below stage 1, got 1"),
        ("finetune_policy", ["--preset=table1/human_z2_z0"], "is pretrained: give --pretrained"),
        ("finetune_policy", ["--high-lr", 1e-4], "high_lr is for --pretrained"),
    ):
        result = run(program_name, demonstrations, stores, *arguments, "--out", "none")
        assert result.code == 1 and message in result.errors, result.errors


def test_a_high_level_that_learns_follows_its_own_rate(demonstrations, stores):
    assert run("pretrain_policy", demonstrations, stores, "--out", "before").code == 0
    before = load_policy(stores / "before").high.state_dict()
    moved = {}
    for rate in (1e-5, 1e-3):
        arguments = [
            "--pretrained",
            "before",
            "--high-lr",
            rate,
            "--out",
            f"at{rate}",
            "--train.ema-decay",
            0,
        ]
        result = run("finetune_policy", demonstrations, stores, *arguments)
        assert result.code == 0, result.errors
        after = load_policy(stores / f"at{rate}").high.state_dict()
        moved[rate] = max((after[n] - before[n]).abs().max().item() for n in before if before[n].numel())
    # Two steps of AdamW move a weight by at most twice the rate, whatever the gradient.
    assert 1e-6 < moved[1e-5] < 3e-5 < moved[1e-3] < 3e-3
    assert torch.equal(before["output_std"], after["output_std"])


def test_a_policy_that_is_fine_tuned_already_is_refused(demonstrations, stores):
    result = run("finetune_policy", demonstrations, stores, "--out", "flat")
    assert result.code == 0, result.errors
    result = run("finetune_policy", demonstrations, stores, "--pretrained", "flat", "--out", "again")
    assert result.code == 1
    assert "'flat' is not a policy of pretrain_policy (its stage is 'finetuned')" in result.errors
