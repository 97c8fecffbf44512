"""From video without actions to a policy that acts: every stage on mp4 files, then a few demonstrations."""

import json

import numpy as np
import pytest
from programs import LAM, SKILLS, program
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.data import LatentStore, SkillStore
from hilam_core.observation import Observation
from hilam_core.policy import load_policy
from hilam_core.runtime.control import SkillPlanner
from hilam_core.video import write_video

TASK = "pick_up_the_milk_and_place_it_in_the_basket_demo.hdf5"
VIDEO = ["--data", "video"]
STORES = ["--latents", "video/latents.h5", "--skills", "video/skills.h5", "--cameras", "agentview"]
SHORT = ["--train.steps", 2, "--train.batch-size", 4, "--train.device", "cpu"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder with eight videos, their captions, latents and skills."""
    folder = tmp_path_factory.mktemp("video_chain")
    write_demonstrations(folder / "data" / TASK, episodes=8)
    for name, arguments in (
        ("export_video", ["--data", "data", "--out", "video"]),
        ("train_lam", [*VIDEO, *LAM, "--train.steps", 4]),
        ("extract_latents", [*VIDEO, "--out", "video/latents.h5"]),
        ("train_skills", [*VIDEO, "--latents", "video/latents.h5", *SKILLS, "--train.steps", 2]),
        ("extract_skills", [*VIDEO, "--latents", "video/latents.h5", "--out", "video/skills.h5"]),
    ):
        result = program(name, *arguments, cwd=folder)
        assert result.code == 0, (name, result.errors)
    return folder


def test_a_policy_pretrained_on_video_alone_is_fine_tuned_on_demonstrations(labelled):
    result = program("pretrain_policy", *VIDEO, *STORES, *SHORT, cwd=labelled)
    assert result.code == 0, result.errors
    arguments = ["--data", "data", "--pretrained", "runs/pretrain", "--share", 0.5, *SHORT]
    result = program("finetune_policy", *arguments, cwd=labelled)
    assert result.code == 0, result.errors
    policy = load_policy(labelled / "runs/policy")
    assert policy.spec.cameras == ("agentview",) and policy.low.config.output_dim == 7
    skills = load_card(labelled / "runs/skills")
    parents = {
        "lam": load_card(labelled / "runs/lam")["weights_sha256"],
        "skills": skills["weights_sha256"],
        "pretrained": load_card(labelled / "runs/pretrain")["weights_sha256"],
    }
    assert policy.card["parents"] == parents and "without_rec" not in skills
    keys = {f"{TASK.removesuffix('_demo.hdf5')}_{i:04d}.mp4/video" for i in range(8)}
    assert set(LatentStore.read(labelled / "video/latents.h5")) == keys
    assert set(SkillStore.read(labelled / "video/skills.h5")) == keys
    assert list((labelled / "runs/skills/strips").glob("*.mp4/video.png"))


def test_a_camera_that_videos_do_not_show_is_named(labelled):
    result = program(
        "pretrain_policy", *VIDEO, *STORES, "eye_in_hand", "--out", "runs/two", *SHORT, cwd=labelled
    )
    assert result.code == 1 and "has no camera 'eye_in_hand', only agentview" in result.errors


def test_videos_without_captions_train_where_no_language_is_read(tmp_path):
    """One of them is webm, and none has an instruction."""
    rng = np.random.default_rng(0)
    for name in ("a.mp4", "b.mp4", "c.webm"):
        write_video(tmp_path / "video" / name, rng.integers(0, 255, (24, 32, 32, 3), np.uint8))
    foreign = {"lam": "", "lam_hash": "x", "cameras": ["agentview"], "gap": 4}
    z = {f"{name}/video": rng.normal(size=(24, 3)) for name in ("a.mp4", "b.mp4", "c.webm")}
    clips = {key: {"z": value, "valid": np.int64(20)} for key, value in z.items()}
    LatentStore(clips, foreign).write(tmp_path / "video/latents.h5")
    latents = ["--latents", "video/latents.h5"]
    for name, arguments in (
        ("train_skills", [*VIDEO, *latents, *SKILLS, "--train.steps", 2]),
        ("extract_skills", [*VIDEO, *latents, "--out", "video/skills.h5"]),
    ):
        result = program(name, *arguments, cwd=tmp_path)
        assert result.code == 0, (name, result.errors)
    result = program("pretrain_policy", *VIDEO, *STORES, *SHORT, cwd=tmp_path)
    assert result.code == 1 and "/video has no instruction: give it a caption" in result.errors
    result = program("pretrain_policy", *VIDEO, *STORES, *SHORT, "--no-language", cwd=tmp_path)
    assert result.code == 0, result.errors
    policy = load_policy(tmp_path / "runs/pretrain")
    assert not policy.reads_language
    planner = SkillPlanner(policy)
    planner.reset("an instruction that no table of embeddings knows")
    spec = policy.spec
    seen = Observation({name: np.zeros((spec.image_size,) * 2 + (3,), np.uint8) for name in spec.cameras})
    assert np.isfinite(planner.plan(seen).vector).all()

    captions = [{"file": name, "caption": "push the cube away"} for name in ("a.mp4", "b.mp4", "c.webm")]
    (tmp_path / "video/captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in captions))
    result = program("pretrain_policy", *VIDEO, *STORES, *SHORT, cwd=tmp_path)
    assert "has no instruction" not in result.errors
