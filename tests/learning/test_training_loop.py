import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from hilam_core.cards import config_from, make_card
from hilam_core.checkpoint import load_checkpoint, restore, save_checkpoint
from hilam_core.errors import CheckpointError, ConfigError, FileError
from hilam_core.observation import ObservationError
from hilam_core.policy import LanguageError
from hilam_core.program import run_program
from hilam_core.skills import SkillConfig, SkillModel
from hilam_core.training import TrainConfig, train
from hilam_core.training.loop import lr_factor


def make_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 16), torch.nn.Dropout(0.2), torch.nn.GELU(), torch.nn.Linear(16, 1)
    )


def sample(rng: np.random.Generator) -> dict[str, np.ndarray]:
    x = rng.normal(size=(32, 3)).astype(np.float32)
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

    def interrupting(rng):
        calls.append(0)
        if len(calls) == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return sample(rng)

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
    model = SkillModel(SkillConfig(latent_dim=3, width=8))

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


def test_two_processes_train_the_same_model(tmp_path):
    program = tmp_path / "ddp.py"
    program.write_text(
        textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_training_loop import run
        import torch
        model, _ = run({str(tmp_path / "run")!r}, steps=5)
        place = {str(tmp_path)!r} + "/" + os.environ["RANK"] + ".pt"
        torch.save([p.detach() for p in model.parameters()], place)
        """)
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--local-addr=127.0.0.1",
        "--nproc-per-node=2",
    ]
    subprocess.run(
        [*command, str(program)], check=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for a, b in zip(*ranks, strict=True):
        assert torch.equal(a, b)
