"""The policies learn, and each program of the chain refuses what does not fit."""

import json
import shutil

import finetune_policy
import h5py
import numpy as np
import pretrain_policy
import pytest
import torch
from stores import GAP, write_stores
from synthetic import write_demonstrations

from hilam_core.checkpoint import save_checkpoint
from hilam_core.data import LatentStore, SkillStore, read_demonstrations
from hilam_core.errors import ConfigError, HilamError
from hilam_core.policy import BakuConfig, EncoderConfig, Policy, PolicyConfig, load_policy
from hilam_core.policy.baku import Baku
from hilam_core.policy.batches import ActionLabels, PolicyFrames, Pseudolabels, shift_into
from hilam_core.policy.loss import level_loss, run_level
from hilam_core.training import TrainConfig

SHORT = TrainConfig(steps=3, batch_size=4, warmup_steps=1, ema_decay=0.5, device="cpu")
SMALL = EncoderConfig(channels=(16, 16), keypoints=8, film_dim=16)


def pretrain(demonstrations, stores, out, **settings):
    pretrain_policy.main(
        pretrain_policy.Config(
            data=[demonstrations],
            latents=stores / "latents.h5",
            skills=stores / "skills.h5",
            out=out,
            train=SHORT,
            **settings,
        )
    )
    return load_policy(out)


def one_batch(frames, level, rng):
    rows = rng.integers(0, len(frames), 16)
    actions = np.concatenate([episode.actions for episode in frames.episodes])[:, : level.config.output_dim]
    chunks = frames.chunks(actions, rows, level.config.chunk, frames.last)
    return {
        **frames.inputs(rows),
        "target": chunks["low_target"],
        "mask": chunks["low_mask"],
        "boundary": torch.from_numpy((rows % 2).astype(np.float32)),
        "waypoint": torch.zeros(len(rows), 3),
    }


@pytest.mark.parametrize(
    "config",
    [
        BakuConfig(encoder=SMALL, waypoint=True),
        BakuConfig(encoder=SMALL, skill_dim=4, language_dim=0),
        BakuConfig(encoder=SMALL, output_dim=4, chunk=1, boundary=True),
    ],
    ids=["flat", "low", "high"],
)
def test_each_level_overfits_one_batch(config, demonstrations):
    torch.manual_seed(0)
    frames = PolicyFrames(read_demonstrations(demonstrations), Policy(PolicyConfig.tiny(image_size=32)).spec)
    level = Baku(config)
    batch = one_batch(frames, level, np.random.default_rng(0))
    skill = batch["target"][:, 0, :4] if config.skill_dim else None
    optimizer = torch.optim.Adam(level.parameters(), 2e-3)
    losses = []
    for _ in range(150):
        loss, _ = level_loss(level.eval(), run_level(level, batch, skill), batch, "")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_chain_from_pseudo_labels_to_actions_leaves_the_high_level_alone(demonstrations, tmp_path):
    write_stores(demonstrations, tmp_path)
    before = pretrain(demonstrations, tmp_path, tmp_path / "pretrained")
    pretrained, finetuned = tmp_path / "pretrained", tmp_path / "finetuned"
    assert before.low.config.output_dim == 5 and before.skill_dim == 4
    assert before.card["parents"] == {"lam": "abc", "skills": "def"}

    finetune_policy.main(
        finetune_policy.Config(data=[demonstrations], pretrained=pretrained, out=finetuned, train=SHORT)
    )
    after = load_policy(finetuned)
    assert after.low.config.output_dim == 7
    assert json.loads((finetuned / "card.json").read_text())["parents"].keys() == {
        "lam",
        "skills",
        "pretrained",
    }
    for (name, old), new in zip(
        before.high.state_dict().items(), after.high.state_dict().values(), strict=True
    ):
        assert torch.equal(old, new), name
    assert not torch.equal(before.low.positions, after.low.positions)


def test_flat_pretraining_reads_no_skills_and_names_none(demonstrations, tmp_path):
    write_stores(demonstrations, tmp_path)
    (tmp_path / "skills.h5").unlink()
    policy = pretrain(demonstrations, tmp_path, tmp_path / "flat", hierarchical=False)
    assert policy.high is None and policy.low.config.output_dim == 5
    assert policy.card["parents"] == {"lam": "abc"} and policy.card["skill_stage"] is None


def with_other_states(demonstrations, folder):
    """The same demonstrations with random poses and gripper openings."""
    rng = np.random.default_rng(0)
    shutil.copytree(demonstrations, folder, ignore=shutil.ignore_patterns(".*"))
    for path in folder.iterdir():
        with h5py.File(path, "r+") as file:
            for demo in file["data"].values():
                for name in ("robot_states", "obs/ee_pos", "obs/ee_ori", "obs/gripper_states"):
                    demo[name][:] = rng.normal(size=demo[name].shape)
    return folder


def test_pretraining_does_not_see_the_robots_state(demonstrations, tmp_path):
    write_stores(demonstrations, tmp_path)
    policy = pretrain(demonstrations, tmp_path, tmp_path / "recorded")
    with_others = with_other_states(demonstrations, tmp_path / "data")
    write_stores(with_others, tmp_path)
    others = pretrain(with_others, tmp_path, tmp_path / "random")
    for (name, a), b in zip(policy.state_dict().items(), others.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for level in (policy.low.config, policy.high.config):
        assert not level.waypoint and level.proprio_dim == 0
    assert not any("waypoint" in name or "proprio" in name for name in policy.card["metrics"])
    assert not hasattr(pretrain_policy.Config(), "waypoint")


@pytest.mark.parametrize("waypoint", [True, False])
def test_fine_tuning_adds_the_heads_that_pretraining_lacks(demonstrations, tmp_path, waypoint):
    write_stores(demonstrations, tmp_path)
    pretrain(demonstrations, tmp_path, tmp_path / "pretrained")
    finetune_policy.main(
        finetune_policy.Config(
            data=[demonstrations],
            pretrained=tmp_path / "pretrained",
            out=tmp_path / "finetuned",
            waypoint=waypoint,
            train=SHORT,
        )
    )
    policy = load_policy(tmp_path / "finetuned")
    assert policy.low.config.waypoint == waypoint and policy.low.config.output_dim == 7
    assert ("low_waypoint_m" in policy.card["metrics"]) == waypoint


def test_targets_past_the_last_label_do_not_count(demonstrations, tmp_path):
    write_stores(demonstrations, tmp_path)
    latents, skills = LatentStore.read(tmp_path / "latents.h5"), SkillStore.read(tmp_path / "skills.h5")
    frames = PolicyFrames(read_demonstrations(demonstrations), Policy(PolicyConfig.tiny(image_size=32)).spec)
    labels = Pseudolabels(frames, latents, 10, skills, stage=2)
    actions = ActionLabels(frames, 10, 5, None)
    last = len(frames.episodes[0]) - 1
    assert labels.rows.max() == len(frames) - 1 - GAP and last not in labels.rows
    assert labels.batch(np.array([0, last - GAP - 2]))["low_mask"].sum(1).tolist() == [10, 3]
    assert actions.batch(np.array([0, last]))["low_mask"].sum(1).tolist() == [10, 1]

    level = Baku(BakuConfig(encoder=SMALL, language_dim=384)).eval()
    batch = actions.batch(np.array([3, last - 4]))
    wrong = batch["low_target"] + torch.where(batch["low_mask"], 0.0, 100.0)[..., None]
    right, padded = (
        level_loss(level, run_level(level, batch), {**batch, "low_target": target}, "low_")[0]
        for target in (batch["low_target"], wrong)
    )
    assert right == padded


def refusal(demonstrations, tmp_path, **settings):
    stores = {"latents": tmp_path / "latents.h5", "skills": tmp_path / "skills.h5"}
    config = pretrain_policy.Config(data=[demonstrations], **stores, out=tmp_path / "out", **settings)
    with pytest.raises(HilamError) as error:
        pretrain_policy.main(config)
    return str(error.value)


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ({"lam_hash": "xyz"}, "latent action model of another project (abc) and of another project (xyz)"),
        ({"gap": 8}, "gap 4 and 8"),
        ({"cameras": ["eye_in_hand"]}, "cameras agentview and eye_in_hand"),
    ],
)
def test_skills_of_other_latents_are_refused_by_name(demonstrations, tmp_path, difference, message):
    write_stores(demonstrations, tmp_path, difference)
    said = refusal(demonstrations, tmp_path)
    assert message in said and "latents.h5 and " in said and "skills.h5 do not belong together" in said


def test_pseudo_labels_of_other_demonstrations_are_refused(demonstrations, tmp_path):
    write_stores(demonstrations, tmp_path)
    others = with_other_states(demonstrations, tmp_path / "data")
    said = refusal(others, tmp_path)
    assert "latents.h5: pick_up_the_alphabet_soup_and_place_it_in_the_basket_demo/demo_0 has changed" in said


def test_skills_that_were_not_extracted_again_are_refused(demonstrations, tmp_path):
    model = save_checkpoint(tmp_path / "skills", {"weight": torch.zeros(1)}, {})
    write_stores(demonstrations, tmp_path, {"skills": str(model)})
    said = refusal(demonstrations, tmp_path)
    assert "skills.h5 was made by def" in said and "extract the skills again" in said


@pytest.mark.parametrize("stage", [0, 3])
def test_a_stage_that_the_skill_model_lacks_is_refused(demonstrations, tmp_path, stage):
    write_stores(demonstrations, tmp_path)
    assert "stage must be 1 to 2" in refusal(demonstrations, tmp_path, stage=stage)


def test_a_share_that_is_no_demonstration_is_refused(demonstrations, tmp_path):
    config = finetune_policy.Config(data=[demonstrations], blind=True, out=tmp_path, share=0.1)
    with pytest.raises(ConfigError, match=r"share 0\.1 of the 2 demonstrations of .* is none of them"):
        finetune_policy.main(config)


def test_one_demonstration_trains_without_metrics(tmp_path, capsys):
    write_demonstrations(tmp_path / "pick_up_the_milk_and_place_it_in_the_basket_demo.hdf5", episodes=1)
    finetune_policy.main(
        finetune_policy.Config(data=[tmp_path], blind=True, out=tmp_path / "out", train=SHORT)
    )
    assert load_policy(tmp_path / "out").card["metrics"] == {}
    assert "none held out" in capsys.readouterr().out


def test_blind_training_reads_no_images(demonstrations, tmp_path):
    short = TrainConfig(steps=2, batch_size=4, warmup_steps=1, device="cpu")
    finetune_policy.main(
        finetune_policy.Config(data=[demonstrations], blind=True, out=tmp_path, train=short, share=0.5)
    )
    policy = load_policy(tmp_path)
    assert policy.spec.cameras == () and policy.high is None


def test_random_shift_moves_the_picture_and_repeats_its_edges():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="edge")
    for dy, dx in ((0, 0), (3, -2), (-4, 4), (4, 0)):
        out = np.empty_like(image)
        shift_into(out, image, dy, dx)
        np.testing.assert_array_equal(out, padded[4 - dy : 20 - dy, 4 - dx : 20 - dx])


def test_waypoints_are_where_the_gripper_next_moves(demonstrations):
    frames = PolicyFrames(read_demonstrations(demonstrations)[:1], Policy(PolicyConfig.tiny()).spec)
    episode = frames.episodes[0]
    opening = np.where(np.arange(len(episode)) < 20, 0.04, 0.01)  # closes between steps 19 and 20
    moved = type(episode)(
        **{**vars(episode), "states": {**episode.states, "gripper_qpos": np.stack([opening, -opening], 1)}}
    )
    frames.episodes = [moved]
    waypoints, position = frames.waypoints(), episode.states["ee_pos"]
    np.testing.assert_allclose(waypoints[:20], position[19] - position[:20], atol=1e-6)
    np.testing.assert_allclose(waypoints[20:], position[-1] - position[20:], atol=1e-6)
