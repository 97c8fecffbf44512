"""The pipeline: all stages as one plan that continues, skips what is done, and renews what has changed."""

import importlib
import json
import os
import signal

import plan
import pytest
import run_pipeline
import tyro
from run_pipeline import Config, main, make_plan

from hilam_core.cards import load_card
from hilam_core.errors import ConfigError, FileError
from hilam_core.skills import SkillBatches

pytest.importorskip("robosuite")

TRAINING = {"steps": 2, "batch_size": 4, "eval_every": 0}
TINY = {
    "collect": {"tasks": ("3",), "demos": 2, "image_size": 32, "assets": "builtin"},
    "lam": {
        "model": {"image_size": 32, "target_size": 16, "latent_dim": 8, "width": 16}
        | {"encoder_stem": 8, "encoder_channels": 16},
        "train": TRAINING,
    },
    "skills": {"model": {"width": 16}, "train": TRAINING},
    "pretrain": {"train": TRAINING},
    "finetune": {"train": TRAINING},
    "evaluate stored": {"tasks": ("3",), "episodes": 1, "max_steps": 1, "workers": 1, "batch": 1},
    "evaluate scattered": {"tasks": ("3",), "episodes": 1, "max_steps": 1, "workers": 1, "batch": 1},
}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.setitem(run_pipeline.PRESETS, "smoke", TINY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def titles(output):
    """Stages in the order of their titles, with whether each was skipped."""
    lines = [line[3:].partition(": ") for line in output.splitlines() if line.startswith("== ")]
    return {title.partition(" ")[2]: rest for title, _, rest in lines}


@pytest.mark.slow
def test_a_plan_is_interrupted_continued_skipped_and_renewed(tiny, monkeypatch, capsys):
    def interrupting(self, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return sample(self, *arguments)

    sample = SkillBatches.sample
    monkeypatch.setattr(SkillBatches, "sample", interrupting)
    with pytest.raises(SystemExit) as stop:
        main(Config())
    assert stop.value.code == 130
    assert list(titles(capsys.readouterr().out)) == ["collect", "lam", "latents", "skills"]

    monkeypatch.setattr(SkillBatches, "sample", sample)
    main(Config())
    out = capsys.readouterr().out
    said = titles(out)
    assert [name for name, state in said.items() if state == "done and unchanged"] == [
        *("collect", "lam", "latents")
    ]
    assert "continuing runs/smoke/skills at step 1" in out and len(said) == 10
    card = load_card("runs/smoke/policy", "policy")
    assert card["command"].startswith("finetune_policy.py --data runs/smoke/demonstrations/libero_object")
    result = json.loads((tiny / "runs/smoke/evaluation/scattered.json").read_text())
    assert result["checkpoint_hash"] == card["weights_sha256"] and result["overall"]["n"] == 1
    assert (tiny / "runs/smoke/report/results.html").is_file()

    main(Config(workers=1))  # decides nothing
    assert set(titles(capsys.readouterr().out).values()) == {"done and unchanged"}

    changed = {**TINY, "pretrain": {"train": {**TRAINING, "lr": 1e-4}}}
    monkeypatch.setitem(run_pipeline.PRESETS, "smoke", changed)
    main(Config(dry_run=True))
    states = [line.split()[-5] for line in capsys.readouterr().out.splitlines() if line[:2].strip().isdigit()]
    assert states == ["done"] * 5 + ["changed"] + ["done"] * 4  # what follows is not known before it ran
    main(Config())
    ran = [name for name, state in titles(capsys.readouterr().out).items() if "unchanged" not in state]
    assert ran == ["pretrain", "finetune", "evaluate stored", "evaluate scattered", "report"]
    assert load_card("runs/smoke/policy")["parents"]["pretrained"] != card["parents"]["pretrained"]


@pytest.mark.parametrize("preset", run_pipeline.PRESETS)
def test_the_plan_shows_command_lines_that_run_its_stages(preset):
    plan = make_plan(Config(preset=preset))
    assert len(plan) == 10
    for stage in plan:
        cls = importlib.import_module(stage.program).Config
        assert tyro.cli(cls, args=stage.argv()[1:]) == stage.config
    needs = {stage.name: (stage.minutes, stage.disk_mb) for stage in plan}
    assert all(disk > 0 for _, disk in needs.values())
    assert needs["finetune"][0] > 0


def test_laptop_is_the_programs_own_settings():
    """They are those of the shipped checkpoints: docs/training.md."""
    for stage in make_plan(Config(preset="laptop")):
        if hasattr(stage.config, "train"):
            own = importlib.import_module(stage.program).Config()
            assert stage.config.train == own.train and getattr(stage.config, "model", 0) == getattr(
                own, "model", 0
            )


def test_a_dry_run_writes_nothing_and_says_what_is_needed(tiny, capsys):
    main(Config(preset="laptop", dry_run=True))
    out = capsys.readouterr().out
    assert "python training/finetune_policy.py" in out and "ahead: 10 stages, about" in out and " h on" in out
    assert not list(tiny.iterdir())


def test_what_cannot_run_ends_before_the_first_stage(tiny, monkeypatch):
    with pytest.raises(ConfigError, match="unknown suite 'libero_objects'"):
        Config(suite="libero_objects")
    with pytest.raises(ConfigError, match="workers must be at least 1, got 0"):
        Config(workers=0)
    monkeypatch.setattr(plan, "FRAME_MB", 1e9)
    with pytest.raises(FileError, match=r"free, the plan needs about .* GB: make room"):
        main(Config())
    assert not list(tiny.rglob("*_demo.hdf5"))
