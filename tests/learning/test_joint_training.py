"""Latent action model and skill model trained end to end, by the programs as a user runs them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from programs import LAM, SKILLS, program
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.checkpoint import load_checkpoint
from hilam_core.data import LatentStore, Lineage, SkillStore, read_clips
from hilam_core.device import to_device
from hilam_core.lam import CompactConfig, CompactLAM, extract_views
from hilam_core.runs import read_log
from hilam_core.skills import (
    JointModel,
    LossConfig,
    SkillBatches,
    SkillConfig,
    SkillModel,
    joint_loss,
    skill_loss,
)

# The same learning rate at every step: that of a run does not depend on its length.
STEADY = ["--train.min-lr-ratio", 1, "--train.warmup-steps", 0, "--train.lr", 3e-3, "--train.log-every", 1]
JOINT = [*SKILLS, *STEADY, "--lam-lr", 1e-3]


def run(name: str, *arguments: object, cwd: Path) -> None:
    result = program(name, *arguments, cwd=cwd)
    assert result.code == 0, result.errors


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A folder with a latent action model, its latent actions, and runs/joint of 12 steps on them."""
    folder = tmp_path_factory.mktemp("joint")
    for name in ("a", "b"):
        write_demonstrations(folder / f"data/libero_object/{name}_demo.hdf5", episodes=4)
    run("train_lam", *LAM, "--train.steps", 20, cwd=folder)
    run("extract_latents", cwd=folder)
    run("train_skills", *JOINT, "--train.steps", 12, "--out", "runs/joint", cwd=folder)
    return folder


def test_both_models_learn(chain):
    before, _ = load_checkpoint(chain / "runs/lam", "lam")
    after, card = load_checkpoint(chain / "runs/joint/lam", "lam")
    for part in ("encoder", "idm", "fdm"):
        names = [name for name in before if name.startswith(part)]
        assert any((after[name] - before[name]).abs().max() > 1e-4 for name in names), part
    rows = read_log(chain / "runs/joint/log.jsonl")
    logged = [row for row in rows if "train/latent" in row]
    first, last = (
        {k: sum(r[k] for r in some) for k in ("train/latent", "train/lam")}
        for some in (logged[:3], logged[-3:])
    )
    assert last["train/latent"] < first["train/latent"]
    assert min(row["train/z_spread"] for row in logged) > 0.1, "z^l has not collapsed"
    assert card["metrics"]["agentview/l1_model"] > 0


def test_the_next_stages_take_both_checkpoints_and_refuse_the_old_latents(chain):
    lam, skills = load_card(chain / "runs/joint/lam", "lam"), load_card(chain / "runs/joint", "skills")
    old = load_card(chain / "runs/lam")
    assert lam["parents"] == {"start": old["weights_sha256"]}
    assert skills["parents"] == {"lam": lam["weights_sha256"]}
    lineage = Lineage(str(chain / "runs/joint/lam"), lam["weights_sha256"], ("agentview",), 4)
    assert Lineage.of_card(skills, "runs/joint") == lineage
    assert lam["config"] == old["config"] and set(lam["metrics"]).isdisjoint(skills["metrics"])
    result = program("extract_skills", "--skills", "runs/joint", "--out", "new.h5", cwd=chain)
    assert result.code == 1 and "do not belong together: latent action model" in result.errors
    run("extract_latents", "--lam", "runs/joint/lam", "--out", "joint.h5", cwd=chain)
    run(
        "extract_skills",
        "--skills",
        "runs/joint",
        "--latents",
        "joint.h5",
        "--out",
        "new.h5",
        "--strips",
        0,
        cwd=chain,
    )
    assert (
        LatentStore.read(chain / "joint.h5").lineage == lineage == SkillStore.read(chain / "new.h5").lineage
    )
    run(
        "train_skills",
        *SKILLS,
        "--train.steps",
        1,
        "--latents",
        "joint.h5",
        "--out",
        "runs/frozen",
        cwd=chain,
    )


def test_a_run_that_was_cut_continues_to_the_same_bits(chain):
    for steps in (5, 12):
        run("train_skills", *JOINT, "--train.steps", steps, "--out", "runs/cut", cwd=chain)
    for part in ("", "lam"):
        cut, whole = (chain / out / part / "model.safetensors" for out in ("runs/cut", "runs/joint"))
        assert cut.read_bytes() == whole.read_bytes()
    other = [*JOINT[:-1], 1e-4]
    result = program("train_skills", *other, "--train.steps", 12, "--out", "runs/cut", cwd=chain)
    assert (
        result.code == 1 and "runs/cut/train_state.pt is of a run with other identity.lam_lr" in result.errors
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lam-lr", -1], "lam_lr must not be negative"),
        (["--lam-lr", 1e-3, "--train.lr", 0], "lam_lr must not be negative, and stand beside a train.lr"),
        (["--lam-lr", 1e-3, "--loss.rec", 0], "lam_lr needs the frames that L_rec decodes"),
        (["--lam-lr", 1e-3, "--latents", "foreign.h5"], "foreign.h5 names no latent action model"),
    ],
)
def test_settings_that_contradict_joint_training_are_refused(chain, arguments, message):
    store = LatentStore.read(chain / "data/libero_object/latents.h5")
    LatentStore(store.clips, {**store.attrs, "lam": "", "lam_hash": "x"}).write(chain / "foreign.h5")
    result = program("train_skills", *SKILLS, "--train.steps", 1, "--out", "runs/new", *arguments, cwd=chain)
    assert result.code == 1 and message in result.errors.strip().splitlines()[-1]
    assert not (chain / "runs/new/lam").exists()


def test_latents_of_a_step_are_those_of_the_model_and_carry_the_gradient_of_both_losses(tmp_path):
    """Clips of different lengths, two cameras; the losses reach IDM and FDM also where nothing changes."""
    cameras = ("agentview", "eye_in_hand")
    clips = read_clips([write_demonstrations(tmp_path / "a_demo.hdf5", 3)], cameras)
    torch.manual_seed(0)
    shape = CompactConfig(
        image_size=32, target_size=16, latent_dim=8, width=16, encoder_stem=8, encoder_channels=16
    )
    lam = CompactLAM(shape).eval()
    z = {clip.key: extract_views(lam, clip, cameras, 4) for clip in clips}
    stored = {key: {"z": z[key], "valid": len(z[key]) - 4} for key in z}
    batches = SkillBatches(clips, stored, cameras, 4, all_frames=True)
    batch = to_device(batches.sample(np.random.default_rng(0), 3, 6), torch.device("cpu"))
    model = JointModel(SkillModel(SkillConfig(latent_dim=16, width=16, gap=4)), lam, gap=4)
    torch.testing.assert_close(model.latents(batch), batch["z"], atol=1e-5, rtol=0)
    still = {**batch, "frames": batch["frames"][:1].expand_as(batch["frames"])}
    for given in (batch, still):
        model.zero_grad()
        loss, _ = joint_loss(model, given, LossConfig())
        loss.backward()
        for module in (lam.encoder, lam.idm, lam.fdm, model.skills.embed):
            gradients = [p.grad for p in module.parameters() if p.grad is not None]
            assert all(g.isfinite().all() for g in gradients) and any(g.any() for g in gradients)
    model.zero_grad()
    read = {"mask": batch["mask"], "z": model.latents(batch)}
    skill_loss(model.skills, None, read, LossConfig())[0].backward()
    assert lam.idm.head.weight.grad.any(), "not by its own decoding loss alone"
