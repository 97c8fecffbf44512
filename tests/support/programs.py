"""The learning programs, run in the test's process as their command lines would run them."""

import contextlib
import io
import re
import runpy
import shlex
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
COMMAND = re.compile(r"^ *python training/(\w+)\.py\b((?:[^\\\n]|\\.|\\\n)*)", re.MULTILINE)
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


def documented(text: str) -> list[tuple[str, list[str]]]:
    """(program, its arguments) of every command of a training program that a text prints."""
    return [
        (name, shlex.split(arguments.replace("\\\n", " "), comments=True))
        for name, arguments in COMMAND.findall(text)
    ]


def run_how_to(heading: str, settings: dict[str, list[object]], cwd: Path) -> None:
    """The commands of a how-to of docs/data.md, in its order; settings: what to add to those of a program."""
    page = (ROOT / "docs" / "data.md").read_text()
    (section,) = re.findall(rf"^## How-to: {heading}.*?(?=^## )", page, re.MULTILINE | re.DOTALL)
    for name, arguments in documented(section):
        result = program(name, *arguments, *settings[name], cwd=cwd)
        assert result.code == 0, (name, result.errors)
