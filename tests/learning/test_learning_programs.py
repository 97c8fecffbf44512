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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.data import LatentStore, SkillStore, read_demonstrations

ROOT = Path(__file__).parents[2]
LAM_TEXT = """
    --model.image-size 32 --model.target-size 16 --model.latent-dim 8 --model.width 16 --model.encoder-stem 8
    --model.encoder-channels 16 --train.batch-size 8 --gap 4 --min-gap 2 --max-gap 6 --train.device cpu
"""
LAM = LAM_TEXT.split()
SKILLS = ["--model.width", 16, "--train.batch-size", 4, "--loss.rec-frames", 4, "--train.device", "cpu"]


@dataclass
class Result:
    code: int
    errors: str


def program(name: str, *arguments: object, cwd: Path) -> Result:
    """Run a program in this process (importing torch anew takes seconds), as its command line would."""
    errors = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(errors),
    ):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / "training" / f"{name}.py"), run_name="__main__")
        except SystemExit as stop:
            return Result(int(stop.code or 0), errors.getvalue())
    return Result(0, errors.getvalue())


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
    latents = LatentStore.read(chain / "data/libero_object/latents.h5").require(lengths)
    latents.require(checkpoint_hash=lam["weights_sha256"])
    stored = SkillStore.read(chain / "data/libero_object/skills.h5").require(lengths)
    stored.require(checkpoint_hash=skills["weights_sha256"], lam_hash=lam["weights_sha256"])
    assert skills["parents"]["lam"] == lam["weights_sha256"]
    assert all(np.isfinite(stored[key]["z2"]).all() for key in lengths)
    assert lam["data"]["episodes"] == 8 and lam["metrics"]["agentview/l1_copy"] > 0
    assert (
        list((chain / "runs/skills").glob("strip_*.png"))
        and (chain / "runs/lam/predictions_agentview.png").exists()
    )
    assert json.loads((chain / "runs/skills/segmentation.json").read_text())["stage2"]["even_f1"] >= 0


def test_a_finished_run_is_not_trained_again(chain):
    before = (chain / "runs/lam/model.safetensors").read_bytes()
    result = program("train_lam", *LAM, "--train.steps", 20, cwd=chain)
    assert result.code == 0, result.errors
    assert (chain / "runs/lam/model.safetensors").read_bytes() == before


def test_the_seed_decides_the_weights(chain):
    for out in ("runs/once", "runs/again"):
        assert program("train_lam", *LAM, "--train.steps", 1, "--out", out, cwd=chain).code == 0
    once, again = (chain / out / "model.safetensors" for out in ("runs/once", "runs/again"))
    assert once.read_bytes() == again.read_bytes()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train_lam", ["--data", "nowhere"], "error: nowhere does not exist"),
        ("train_lam", [*LAM, "--train.steps", 21], "other train.steps (20, now 21)"),
        ("extract_latents", ["--lam", "runs/skills"], "kind 'skills', not 'lam'"),
        ("extract_latents", ["--camera", "wrist"], "no camera 'wrist' in demo_0; there are: agentview"),
        ("train_skills", ["--latents", "runs/lam/card.json"], "cannot be read as stored latents"),
        ("train_skills", ["--lam", "runs/other"], "checkpoint_hash"),
        ("train_skills", ["--data", "data/other"], "data_hash"),
        ("extract_skills", ["--latents", "data/libero_object/skills.h5"], "'skills', not 'latents'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(chain, name, arguments, message):
    write_demonstrations(chain / "data/other/c_demo.hdf5", episodes=4)
    if not (chain / "runs/other").exists():
        assert program("train_lam", *LAM, "--train.steps", 1, "--out", "runs/other", cwd=chain).code == 0
    result = program(name, *arguments, cwd=chain)
    assert result.code == 1
    assert message in result.errors.strip().splitlines()[-1]


def test_settings_that_contradict_each_other_are_refused(tmp_path):
    result = program("train_lam", "--gap", 40, cwd=tmp_path)
    assert result.code == 2 and "max_gap" in result.errors
    result = program("extract_latents", "--gap", 0, cwd=tmp_path)
    assert result.code == 2 and "gap must be at least 1" in result.errors


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
        assert "emonstrations (*.hdf5)" in out.getvalue()
