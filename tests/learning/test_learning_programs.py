"""The four learning programs, run as a user runs them, on small demonstrations."""

import contextlib
import io
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from programs import LAM, SKILLS, program
from synthetic import write_demonstrations

from hilam_core.cards import checkpoint_hash, load_card
from hilam_core.data import LatentStore, Lineage, SkillStore, content_hash, read_demonstrations
from hilam_core.errors import CheckpointError
from hilam_core.files import sole_writer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A folder in which all four programs ran with their default paths."""
    folder = tmp_path_factory.mktemp("chain")
    for name in ("a", "b"):
        write_demonstrations(folder / f"data/libero_object/{name}_demo.hdf5", episodes=4)
    for name, arguments in (
        ("train_lam", [*LAM, "--train.steps", 20]),
        ("extract_latents", []),
        ("train_skills", [*SKILLS, "--train.steps", 20]),
        ("extract_skills", ["--strips", 1]),
    ):
        result = program(name, *arguments, cwd=folder)
        assert result.code == 0, result.errors
    return folder


def test_the_chain_leaves_stores_that_fit_the_demonstrations(chain):
    episodes = read_demonstrations(chain / "data/libero_object")
    lengths = {e.key: len(e) for e in episodes}
    lam, skills = load_card(chain / "runs/lam", "lam"), load_card(chain / "runs/skills", "skills")
    latents = LatentStore.read(chain / "data/libero_object/latents.h5").require_clips(episodes)
    stored = SkillStore.read(chain / "data/libero_object/skills.h5").require_clips(episodes)
    lineage = Lineage(str(chain / "runs/lam"), lam["weights_sha256"], ("agentview",), 4)
    assert latents.lineage == stored.lineage == Lineage.of_card(skills, "runs/skills") == lineage
    assert (latents.attrs["latent_dim"], stored.attrs["skill_dim"], stored.stages) == (8, 16, 2)
    assert latents.attrs["data_hash"] == stored.attrs["data_hash"] == content_hash(episodes, ("agentview",))
    assert stored.attrs["skills_hash"] == skills["weights_sha256"]
    assert skills["parents"] == {"lam": lam["weights_sha256"]} and "without_rec" not in skills
    assert all(np.isfinite(stored[key]["z2"]).all() for key in lengths)
    assert lam["data"]["episodes"] == 8 and lam["metrics"]["agentview/l1_copy"] > 0
    assert (
        list((chain / "runs/skills/strips").glob("*_demo/demo_*.png"))
        and (chain / "runs/lam/predictions_agentview.png").exists()
    )
    report = json.loads((chain / "runs/skills/segmentation.json").read_text())
    assert report["stage2"]["even_f1@3"] >= 0 and 0 <= report["neighbours"]["purity"] <= 1
    assert (chain / "runs/skills/neighbours.png").stat().st_size > 1000


def test_a_report_reads_the_frames_that_skills_and_model_were_made_of(chain, tmp_path):
    """Their rate and their choice of episodes stand in the store and in the card."""
    read = ["--fps", 10, "--limit", 3]
    lam, latents, skills = (tmp_path / name for name in ("lam", "latents.h5", "skills.h5"))
    for name, arguments in (
        ("train_lam", [*LAM, "--train.steps", 2, "--out", lam]),
        ("extract_latents", ["--lam", lam, "--out", latents]),
        ("train_skills", [*SKILLS, "--train.steps", 2, "--latents", latents, "--out", tmp_path / "skills"]),
        (
            "extract_skills",
            ["--strips", 0, "--latents", latents, "--skills", tmp_path / "skills", "--out", skills],
        ),
    ):
        result = program(name, *arguments, *read, cwd=chain)
        assert result.code == 0, result.errors
    result = program("report", "--skills", skills, "--lam", lam, "--out", tmp_path / "report", cwd=chain)
    assert result.code == 0, result.errors
    assert len(list((tmp_path / "report/strips").glob("*_demo/demo_*.png"))) == 2
    assert (tmp_path / "report/predictions.png").exists()


def test_the_shipped_skill_model_names_the_shipped_latent_action_model():
    lam, skills = (ROOT / "checkpoints" / name for name in ("libero_object_lam", "libero_object_skills"))
    lineage = Lineage.of_card(load_card(skills, "skills"), skills)
    assert lineage.lam_hash == checkpoint_hash(lam) and (lineage.cameras, lineage.gap) == (("agentview",), 8)
    with pytest.raises(CheckpointError, match="which latent actions it knows: train it again"):
        Lineage.of_card(load_card(lam), lam)


def test_a_finished_run_is_not_trained_again(chain):
    before = (chain / "runs/lam/model.safetensors").read_bytes()
    result = program("train_lam", *LAM, "--train.steps", 20, cwd=chain)
    assert result.code == 0, result.errors
    assert (chain / "runs/lam/model.safetensors").read_bytes() == before


def test_latents_of_two_cameras_lie_beside_each_other_and_train_skills(chain):
    both = ("agentview", "eye_in_hand")
    for out, cameras in (("hand.h5", both[1:]), ("both.h5", both)):
        given = ("--cameras", *cameras, "--out", f"views/{out}")
        assert program("extract_latents", *given, cwd=chain).code == 0
    latents = LatentStore.read(chain / "views/both.h5")
    assert (latents.lineage.cameras, latents.latent_dim) == (both, 16)
    apart = [LatentStore.read(chain / file) for file in ("data/libero_object/latents.h5", "views/hand.h5")]
    for key in latents:
        np.testing.assert_array_equal(latents[key]["z"], np.hstack([store[key]["z"] for store in apart]))

    given = ("--latents", "views/both.h5", "--out", "views/skills", *SKILLS, "--train.steps", 2)
    assert program("train_skills", *given, cwd=chain).code == 0
    card = load_card(chain / "views/skills", "skills")
    assert card["lineage"]["cameras"] == list(both) and "without_rec" not in card


def test_the_seed_decides_the_weights(chain):
    for out in ("runs/once", "runs/again"):
        assert program("train_lam", *LAM, "--train.steps", 1, "--out", out, cwd=chain).code == 0
    once, again = (chain / out / "model.safetensors" for out in ("runs/once", "runs/again"))
    assert once.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train_lam", ["--data", "nowhere"], "error: nowhere does not exist"),
        ("train_lam", [*LAM, "--train.steps", 20, "--train.seed", 1], "other train.seed (0, now 1)"),
        ("train_lam", [*LAM, "--out", "runs/lam/card.json"], "cannot write to the folder 'runs/lam/c"),
        ("extract_latents", ["--lam", "runs/skills"], "kind 'skills', not 'lam'"),
        ("extract_latents", ["--cameras", "wrist"], "no camera 'wrist' in demo_0; there are: agentview"),
        ("train_skills", ["--latents", "runs/lam/card.json"], "cannot be read as stored latents"),
        ("extract_latents", ["--cameras", "eye_in_hand"], "of cameras ['agentview'], not ['eye_in_hand']"),
        ("extract_latents", ["--limit", 1], "holds latents of limit None, not 1: choose another file"),
        ("extract_latents", ["--gap", 5], "latents.h5 holds latents of gap 4, not 5"),
        ("extract_latents", ["--episodes", 2], "latents.h5 holds latents of episodes None, not [2]"),
        ("extract_latents", ["--data", "data/other"], "data/other']: choose another file"),
        ("extract_latents", ["--out", "data/other/c_demo.hdf5"], "c_demo.hdf5 is no file of latents"),
        ("extract_latents", ["--gap", 500], "frames, latent actions 500 frames apart need more"),
        ("extract_latents", ["--out", "data"], "data is a folder: name a file"),
        ("train_skills", ["--lam", "runs/other"], "latents.h5 and runs/other do not belong"),
        ("train_skills", ["--data", "data/other"], "no latents for 'c_demo/demo_0'"),
        ("extract_skills", ["--latents", "data/libero_object/skills.h5"], "'skills', not 'latents'"),
        ("extract_skills", ["--latents", "eye.h5"], "runs/skills and eye.h5 do not belong together: camera"),
        ("extract_skills", ["--latents", "other.h5"], "do not belong together: latent action model"),
        ("extract_skills", ["--data", "nowhere", "--out", "new.h5"], "nowhere does not exist"),
        ("extract_skills", ["--data", "nowhere", "--out", "new.h5"], "nowhere does not exist"),
        ("pretrain_policy", ["--latents", "other.h5"], "other.h5 and data/libero_object/skills.h5 do not"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(chain, name, arguments, message):
    write_demonstrations(chain / "data/other/c_demo.hdf5", episodes=4)
    if not (chain / "runs/other").exists():
        assert program("train_lam", *LAM, "--train.steps", 1, "--out", "runs/other", cwd=chain).code == 0
        for given in (
            ("--lam", "runs/other", "--out", "other.h5"),
            ("--cameras", "eye_in_hand", "--out", "eye.h5"),
        ):
            assert program("extract_latents", *given, cwd=chain).code == 0
    result = program(name, *arguments, cwd=chain)
    assert result.code == 1
    assert message in result.errors.strip().splitlines()[-1]
    assert not (chain / "new.h5").exists()  # refused before the work, not after


def test_two_programs_never_write_one_folder(chain):
    before = (chain / "runs/lam/model.safetensors").read_bytes()
    for name, arguments, out in (
        ("train_lam", LAM, "runs/lam"),
        ("train_skills", SKILLS, "runs/skills"),
        ("extract_latents", [], "data/libero_object/latents.h5"),
    ):
        with sole_writer(chain / out):
            result = program(name, *arguments, "--out", out, cwd=chain)
        assert result.code == 1 and f"another process is writing '{out}'" in result.errors
    assert (chain / "runs/lam/model.safetensors").read_bytes() == before


def test_two_processes_label_clips_as_one_does(chain):
    command = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    labels = [str(ROOT / "training/extract_latents.py"), "--out", "two.h5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command, *labels],
        cwd=chain, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.count("two.h5: 8 clips") == 1, done.stderr
    one, two = (LatentStore.read(chain / name) for name in ("data/libero_object/latents.h5", "two.h5"))
    assert one.attrs == two.attrs and list(one) == list(two)
    for key in one:
        np.testing.assert_array_equal(one[key]["z"], two[key]["z"])


def test_a_forgotten_extraction_is_refused_by_every_stage_that_follows(tmp_path):
    """The latent action model is trained again in its folder, its latents are not extracted again."""
    write_demonstrations(tmp_path / "data/libero_object/a_demo.hdf5", episodes=4)
    for name, arguments in (
        ("train_lam", [*LAM, "--train.steps", 1]),
        ("extract_latents", []),
        ("train_skills", [*SKILLS, "--train.steps", 1]),
        ("extract_skills", []),
        ("train_lam", [*LAM, "--train.steps", 2]),
    ):
        result = program(name, *arguments, cwd=tmp_path)
        assert result.code == 0, result.errors
    for name, arguments, message in (
        ("train_skills", [*SKILLS, "--out", "runs/new"], "runs/lam holds another model by now"),
        (
            "train_skills",
            [*SKILLS, "--lam", "runs/lam", "--out", "runs/new"],
            "do not belong together: latent",
        ),
        ("extract_skills", [], "runs/lam holds another model by now"),
        ("pretrain_policy", [], "runs/lam holds another model by now"),
    ):
        result = program(name, *arguments, cwd=tmp_path)
        assert result.code == 1 and message in result.errors, (name, result.errors)
    assert program("extract_latents", cwd=tmp_path).code == 0, "the same extraction replaces its file"
    result = program("pretrain_policy", cwd=tmp_path)
    assert result.code == 1 and "skills.h5 do not belong together: latent action model" in result.errors


def test_latents_of_another_project_are_learned_without_l_rec(chain):
    """They name no folder of a latent action model; its frames are not needed either."""
    store = LatentStore.read(chain / "data/libero_object/latents.h5")
    foreign = {"lam": "", "lam_hash": "someone's", "cameras": ["agentview"], "gap": 4}
    clips = {key: {"z": arrays["z"] * 2, "valid": arrays["valid"]} for key, arrays in store.items()}
    LatentStore(clips, foreign).write(chain / "foreign.h5")
    settings = ("--latents", "foreign.h5", "--out", "runs/foreign", *SKILLS, "--train.steps", 2)
    result = program("train_skills", *settings, cwd=chain)
    assert result.code == 0, result.errors
    card = load_card(chain / "runs/foreign", "skills")
    assert card["parents"] == {"lam": "someone's"} and "names no latent action model" in card["without_rec"]
    result = program("train_skills", *settings, "--lam", "runs/lam", cwd=chain)
    assert result.code == 1 and "of another project (someone's)" in result.errors


def test_a_latent_action_model_that_moved_is_asked_for(chain):
    store = LatentStore.read(chain / "data/libero_object/latents.h5")
    moved = {**store.attrs, "lam": str(chain / "gone")}
    LatentStore(store.clips, moved, store.contents).write(chain / "moved.h5")
    settings = ("--latents", "moved.h5", "--out", "runs/moved", *SKILLS, "--train.steps", 1)
    result = program("train_skills", *settings, cwd=chain)
    assert result.code == 1 and "gone, which is not there: give --lam" in result.errors
    result = program("train_skills", *settings, "--lam", "runs/lam", cwd=chain)
    assert result.code == 0, result.errors


def test_three_stages_and_one_reach_the_end(chain):
    for lengths in (("3", "2", "2"), ("5",)):
        out, count = f"runs/stages{len(lengths)}", len(lengths)
        for name, arguments in (
            ("train_skills", [*SKILLS, "--train.steps", 2, "--model.chunk-lengths", *lengths, "--out", out]),
            ("extract_skills", ["--skills", out, "--out", f"{out}.h5", "--strips", 1]),
        ):
            result = program(name, *arguments, cwd=chain)
            assert result.code == 0, result.errors
        assert SkillStore.read(chain / f"{out}.h5").stages == count
        report = json.loads((chain / out / "segmentation.json").read_text())
        assert list(report) == [*(f"stage{s + 1}" for s in range(count)), "neighbours"]
        metrics = load_card(chain / out)["metrics"]
        assert f"segment_frames{count}" in metrics and f"segment_frames{count + 1}" not in metrics


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train_lam", ["--gap", 40], "1 <= min_gap <= gap <= max_gap, got 4, 40, 16"),
        ("train_lam", ["--model.latent-dim", 0], "latent_dim must be at least 2, got 0"),
        ("train_lam", ["--train.seed", -1], "seed must be at least 0, got -1"),
        ("extract_latents", ["--gap", 0], "gap must be at least 1, got 0"),
        ("train_skills", ["--loss.rec", -1], "loss.rec must not be negative, got -1"),
        ("extract_skills", ["--strips", -1], "strips must not be negative, got -1"),
        ("pretrain_policy", ["--plan-period", 0], "plan_period must be at least 1, got 0"),
        ("finetune_policy", ["--share", 0], "share must be in (0, 1], got 0"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_in_one_line(tmp_path, name, arguments, message):
    result = program(name, *arguments, cwd=tmp_path)
    assert result.code == 1 and message in result.errors
    assert len(result.errors.strip().splitlines()) == 1


def test_ctrl_c_leaves_a_run_that_continues(tmp_path):
    write_demonstrations(tmp_path / "data/libero_object/a_demo.hdf5", episodes=4)
    command = [sys.executable, str(ROOT / "training/train_lam.py"), *LAM, "--train.steps", "100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "runs/lam/tensorboard").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=5)
    assert process.returncode == 130 and "interrupted at step" in output
    assert (tmp_path / "runs/lam/train_state.pt").exists()
    step = int(output.split("interrupted at step ")[1].split(";")[0])
    result = program("train_lam", *LAM, "--train.steps", 100000, "--train.seed", 1, cwd=tmp_path)
    assert result.code == 1 and "other train.seed (0, now 1)" in result.errors and step > 0


def test_help_explains_every_setting():
    for name in ("train_lam", "extract_latents", "train_skills", "extract_skills"):
        out = io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            pytest.MonkeyPatch.context() as patch,
            pytest.raises(SystemExit),
        ):
            patch.setattr(sys, "argv", [f"{name}.py", "--help"])
            runpy.run_path(str(ROOT / "training" / f"{name}.py"), run_name="__main__")
        assert "emonstrations (*.hdf5)" in " ".join(out.getvalue().split())
