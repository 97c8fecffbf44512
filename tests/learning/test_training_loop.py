import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from hilam_core import distributed
from hilam_core.cards import config_from, make_card
from hilam_core.checkpoint import load_checkpoint, restore, save_checkpoint
from hilam_core.data import Clip
from hilam_core.distributed import SharedDraws
from hilam_core.errors import CheckpointError, ConfigError, FileError
from hilam_core.lam import CompactConfig, CompactLAM
from hilam_core.observation import ObservationError
from hilam_core.policy import LanguageError
from hilam_core.program import run_program
from hilam_core.runs import read_log
from hilam_core.skills import (
    LossConfig,
    SkillBatches,
    SkillConfig,
    SkillModel,
    evaluate_skills,
    skill_loss,
)
from hilam_core.training import TrainConfig, train
from hilam_core.training.loop import lr_factor


def make_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 16), torch.nn.Dropout(0.2), torch.nn.GELU(), torch.nn.Linear(16, 1)
    )


def sample(rng: np.random.Generator, n: int = 32) -> dict[str, np.ndarray]:
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return {"x": x, "y": x.sum(1, keepdims=True)}


def loss_fn(model, batch):
    loss = (model(batch["x"]) - batch["y"]).square().mean()
    return loss, {"mse": loss.detach()}


def run(folder, steps=40, **settings):
    model = make_model()
    config = TrainConfig(steps=steps, lr=1e-2, warmup_steps=4, ema_decay=0.9, device="cpu", **settings)
    batch = sample(np.random.default_rng(5))
    result = train(
        config, model, sample, loss_fn, folder, lambda m: {"mse": loss_fn(m, as_tensors(batch))[0]}
    )
    return model, result


def as_tensors(batch):
    return {k: torch.from_numpy(v) for k, v in batch.items()}


def test_training_reduces_the_loss(tmp_path):
    _, short = run(tmp_path / "a", steps=1)
    _, long = run(tmp_path / "b", steps=300)
    assert long.metrics["mse"] < 0.3 * short.metrics["mse"]


def test_resumed_run_ends_with_identical_weights(tmp_path):
    whole, _ = run(tmp_path / "whole")
    calls = []

    def interrupting(rng, n):
        calls.append(0)
        if len(calls) == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return sample(rng, n)

    config = TrainConfig(steps=40, lr=1e-2, warmup_steps=4, ema_decay=0.9, device="cpu")
    with pytest.raises(SystemExit) as stop:
        train(config, make_model(), interrupting, loss_fn, tmp_path / "cut")
    assert stop.value.code == 130
    resumed, result = run(tmp_path / "cut")
    assert result.steps == 40
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_resume_refuses_another_run_and_names_the_setting(tmp_path):
    run(tmp_path, steps=3)
    with pytest.raises(CheckpointError, match=r"train\.seed \(0, now 1\)"):
        run(tmp_path, steps=3, seed=1)
    (tmp_path / "train_state.pt").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(tmp_path, steps=3)


def test_a_finished_run_can_be_extended_and_says_on_which_schedule(tmp_path, capsys):
    _, short = run(tmp_path, steps=20)
    assert short.schedules == [[0, 20]]
    model, longer = run(tmp_path, steps=40)
    assert longer.steps == 40 and longer.schedules == [[0, 20], [20, 40]]
    out = capsys.readouterr().out
    assert "40 steps instead of 20" in out and "another schedule" in out and "at step 20" in out
    whole, _ = run(tmp_path / "whole", steps=40)
    assert not torch.equal(model[0].weight, whole[0].weight), "the first steps had another learning rate"
    _, again = run(tmp_path, steps=40)
    assert again.schedules == [[0, 20], [20, 40]]
    with pytest.raises(CheckpointError, match="has 40 steps already, steps is 30"):
        run(tmp_path, steps=30)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot write to the folder"):
        run(tmp_path / "file", steps=1)


def test_schedule_warms_up_and_decays():
    config = TrainConfig(steps=100, warmup_steps=10, min_lr_ratio=0.1)
    assert lr_factor(0, config) == pytest.approx(0.1) and lr_factor(9, config) == pytest.approx(1.0)
    assert lr_factor(55, config) == pytest.approx(0.55) and lr_factor(100, config) == pytest.approx(0.1)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="steps must be at least 1, got 0"):
        TrainConfig(steps=0)
    for name in ("seed", "weight_decay", "eval_every"):
        with pytest.raises(ConfigError, match=f"{name} must be at least 0, got -1"):
            TrainConfig(**{name: -1})
    with pytest.raises(ConfigError, match="lr must be at least 0, got nan"):
        TrainConfig(lr=float("nan"))
    with pytest.raises(ConfigError, match="unknown device 'tpux'"):
        train(TrainConfig(device="tpux"), make_model(), sample, loss_fn, "unused")
    with pytest.raises(ConfigError, match="unknown precision 'half'; choices: auto, float32, bfloat16"):
        TrainConfig(precision="half")


@pytest.mark.parametrize(
    "processor, chosen", [({"avx512_bf16": True}, "bfloat16"), ({"avx2": True, "amx_bf16": False}, "float32")]
)
def test_auto_takes_the_precision_that_the_processor_computes_in(
    processor, chosen, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    run(tmp_path, steps=1)
    assert f"training on cpu in {chosen} (the processor" in capsys.readouterr().out
    run(tmp_path, steps=1, precision=chosen)  # the same run: the choice is its identity, not "auto"
    other = "float32" if chosen == "bfloat16" else "bfloat16"
    with pytest.raises(CheckpointError, match=rf"train\.precision \({chosen}, now {other}\)"):
        run(tmp_path, steps=1, precision=other)


def test_the_choice_of_auto_gets_into_the_card(tmp_path):
    config = TrainConfig(steps=1, device="cpu")
    train(config, make_model(), sample, loss_fn, tmp_path)
    card = make_card("lam", {}, {"train": config}, {}, {}, seed=0)
    assert card["program"]["train"]["precision"] in ("float32", "bfloat16")


@pytest.mark.parametrize("precision, chosen", [("auto", "float32"), ("bfloat16", "bfloat16")])
def test_a_model_with_lstms_trains_in_either_precision_on_any_cpu(
    precision, chosen, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    model = SkillModel(SkillConfig(latent_dim=3, width=8, gap=4))

    def loss(model, batch):
        z = batch["x"][None]
        return (model(z)[0][:, :-1] - z[:, 1:]).square().mean(), {}

    result = train(TrainConfig(steps=2, precision=precision, device="cpu"), model, sample, loss, tmp_path)
    assert result.steps == 2 and f"in {chosen} (" in capsys.readouterr().out


def test_diverging_loss_stops_with_a_message(tmp_path):
    def nan_loss(model, batch):
        return model(batch["x"]).sum() * float("nan"), {}

    with pytest.raises(ConfigError, match="nan at step 0"):
        train(TrainConfig(steps=3, device="cpu"), make_model(), sample, nan_loss, tmp_path)


def test_checkpoint_with_card_round_trips(tmp_path):
    model = make_model()
    card = make_card("lam", {"width": 3}, {"out": "d"}, {"hash": "d"}, {}, seed=0, metrics={"mse": 1.0})
    save_checkpoint(tmp_path, model.state_dict(), card)
    state, again = load_checkpoint(tmp_path, "lam")
    restore(model, state, tmp_path)
    assert again["metrics"] == {"mse": 1.0} and again["seed"] == 0 and again["command"]
    with pytest.raises(CheckpointError, match=r"does not fit.*0\.bias"):
        restore(torch.nn.Linear(3, 1), state, tmp_path)
    with pytest.raises(CheckpointError, match="no setting 'colour'"):
        config_from(TrainConfig, {"colour": 1}, tmp_path)


@pytest.mark.parametrize("error", [CheckpointError, ConfigError, LanguageError, ObservationError])
def test_a_program_says_in_one_line_what_a_user_can_put_right(error, monkeypatch, capsys):
    def main(config):
        raise error("what was wrong")

    monkeypatch.setattr(sys, "argv", ["program.py"])
    with pytest.raises(SystemExit) as stop:
        run_program(main, TrainConfig)
    assert stop.value.code == 1 and capsys.readouterr().err == "error: what was wrong\n"


def plain_model() -> torch.nn.Module:
    """Without dropout: nothing random but the batches."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.GELU(), torch.nn.Linear(16, 1))


def run_plain(folder, sampler=sample, model=None, steps=12):
    """Every step is logged and saved; a batch is made in its step, where a sampler can end the process."""
    often = {"log_every": 1, "save_every_s": 0, "workers": 0}
    config = TrainConfig(steps=steps, batch_size=8, lr=1e-2, warmup_steps=4, device="cpu", **often)
    return train(config, model or plain_model(), sampler, loss_fn, folder)


def run_skills(folder, routing):
    """A skill model with L_rec, judged on three more clips: nothing random but the batches."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(11):
        frames = rng.integers(0, 255, (30 + 3 * i, 32, 32, 3), np.uint8)
        clips.append(Clip(key=f"a/demo_{i}", frames={"agentview": frames}))
    latents = {clip.key: {"z": sample(rng, len(clip))["x"], "valid": len(clip) - 4} for clip in clips}
    torch.manual_seed(0)
    shape = {"image_size": 32, "target_size": 16, "latent_dim": 3, "encoder_stem": 8, "encoder_channels": 16}
    lam = CompactLAM(CompactConfig(width=16, **shape)).eval().requires_grad_(False)
    chunks = (5.0, 3.0)
    model = SkillModel(
        SkillConfig(3, 8, routing=routing, chunk_lengths=chunks, gap=4, min_distance=1, residual_dropout=0)
    )
    train(
        TrainConfig(steps=5, batch_size=8, warmup_steps=0, device="cpu", log_every=1, eval_every=2),
        model,
        lambda rng, n: SkillBatches(clips[:8], latents, ("agentview",), 4).sample(rng, n, n * 2),
        lambda m, batch: skill_loss(m, lam, batch, LossConfig()),
        folder,
        lambda m: evaluate_skills(
            m, SkillBatches(distributed.mine(clips[8:]), latents, ("agentview",), 4), batch_size=2
        ),
    )


def logged(folder):
    """Everything in the log but times, by step and name."""
    rows = [row for row in read_log(folder / "log.jsonl") if row["step"]]
    return {
        (row["step"], name): value
        for row in rows
        for name, value in row.items()
        if "/" in name and name != "train/waited_s"
    }


def losses(folder):
    return {row["step"]: row["train/loss"] for row in read_log(folder / "log.jsonl")}


def start(tmp_path, text, *launcher):
    """Run a program that can import this module; its exit code and what it printed."""
    program = tmp_path / "program.py"
    here = f"import os, signal, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    program.write_text(f"{here}import test_training_loop as t\n" + textwrap.dedent(text))
    command = [sys.executable, *launcher, str(program), str(tmp_path / "run")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return done.returncode, done.stdout + done.stderr


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")


def test_two_processes_are_one_with_twice_the_batch_and_a_killed_one_ends_the_job(tmp_path):
    text = """
        from dataclasses import dataclass
        from pathlib import Path
        from typing import Annotated
        import tyro
        step = 0
        def sampler(rng, n):
            global step
            step += 1
            assert n == 4
            if step == 8 and os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGKILL)
            return t.sample(rng, n)
        @dataclass
        class Config:
            out: Annotated[Path, tyro.conf.Positional]
        def main(config):
            with t.distributed.process_group():
                for routing in ("change", "published"):
                    t.run_skills(config.out.with_name(routing), routing)
                t.run_plain(config.out, sampler)
        t.run_program(main, Config)
        """
    code, said = start(tmp_path, text, *TORCHRUN)
    print(said)
    assert code != 0 and "training on cpu on each of 2 processes" in said
    assert said.count("training on cpu") == 3, "only one of them speaks, in each of the three runs"
    assert "SIGKILL" in said and ("lost another one, which was killed" in said or "interrupted" in said)
    run_plain(tmp_path / "whole")
    whole, cut = losses(tmp_path / "whole"), losses(tmp_path / "run")
    assert list(cut) == list(range(1, 8))
    assert cut == pytest.approx({step: whole[step] for step in cut}, rel=1e-4)
    for routing in ("change", "published"):
        run_skills(tmp_path / "alone" / routing, routing)
        one, two = logged(tmp_path / "alone" / routing), logged(tmp_path / routing)
        assert (
            two == pytest.approx(one, rel=1e-3) and {(5, "train/rec"), (4, "held_out/latent_l1")} < one.keys()
        )
    run_plain(tmp_path / "run")  # on one process now
    assert losses(tmp_path / "run") == pytest.approx(whole, rel=1e-4)


def test_a_run_killed_at_any_moment_continues_with_the_same_losses_to_the_bit(tmp_path):
    """Once while it writes its state, once within a step."""
    text = """
        import torch
        from pathlib import Path
        step, save = 0, torch.save
        def torn_save(state, draft):
            save(state, draft)
            if state["step"] == 5:
                draft.write_bytes(draft.read_bytes()[:1000])
                os.kill(os.getpid(), signal.SIGKILL)
        def sampler(rng, n):
            global step
            step += 1
            if step == 5 and Path(sys.argv[1]).exists() and first > 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return t.sample(rng, n)
        first = len(t.losses(Path(sys.argv[1])))
        torch.save = save if first else torn_save
        t.run_plain(Path(sys.argv[1]), sampler, t.make_model(), 20)
        """
    run_plain(tmp_path / "whole", model=make_model(), steps=20)
    whole = losses(tmp_path / "whole")
    for steps in (5, 8):
        code, said = start(tmp_path, text)
        assert code == -signal.SIGKILL, said
        assert losses(tmp_path / "run") == {step: whole[step] for step in range(1, steps + 1)}
    run_plain(tmp_path / "run", model=make_model(), steps=20)
    assert losses(tmp_path / "run") == whole
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"train_state.pt", "log.jsonl", "tensorboard"}, "no draft of the killed"


def test_the_log_has_one_object_a_logged_step(tmp_path):
    run(tmp_path, steps=10, log_every=5, eval_every=5)
    rows = read_log(tmp_path / "log.jsonl")
    assert [(row["step"], "held_out/mse" in row) for row in rows] == [
        *((5, False), (5, True), (10, False), (10, True))
    ]
    assert {"train/loss", "train/mse", "train/lr", "train/grad_norm", "steps_per_s", "seconds"} < rows[
        0
    ].keys()
    run(tmp_path, steps=10, log_every=5, eval_every=5)
    assert read_log(tmp_path / "log.jsonl") == rows, "a finished run logs nothing again"


def test_a_batch_that_processes_cannot_divide_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    with pytest.raises(ConfigError, match="batch_size 32 cannot be divided by 3 processes"):
        distributed.share_of_batch(32)


def test_processes_together_draw_what_one_draws():
    draws = {
        "integers": lambda rng, n: rng.integers(0, 9, n),
        "pairs": lambda rng, n: rng.integers(0, 9, (n, 2)),
        "choice": lambda rng, n: rng.choice(np.arange(50), n),
        "permuted": lambda rng, n: rng.choice(20, n, replace=False),
        "normal": lambda rng, n: rng.normal(size=(n, 3)),
    }
    for name, draw in draws.items():
        whole = draw(np.random.default_rng(1), 12)
        parts = [draw(SharedDraws(np.random.default_rng(1), rank, 3), 4) for rank in range(3)]
        np.testing.assert_array_equal(np.concatenate(parts), whole, err_msg=name)
    few = [SharedDraws(np.random.default_rng(1), rank, 2).choice(5, 4, replace=False) for rank in (0, 1)]
    assert set(np.concatenate(few)) == set(range(5)), "all before any comes twice"


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_the_last_save(tmp_path):
    run_plain(tmp_path, steps=3)
    before = (tmp_path / "train_state.pt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(FileError, match=r"cannot write '.*train_state\.pt'") as error:
            run_plain(tmp_path, steps=6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    assert (tmp_path / "train_state.pt").read_bytes() == before
