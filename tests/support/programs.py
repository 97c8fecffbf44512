"""The learning programs, run in the test's process as their command lines would run them."""

import contextlib
import io
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

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
