"""Every command of a training program that the documentation prints is one that the program takes."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import tyro

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"^ *python training/(\w+)\.py\b((?:[^\\\n]|\\.|\\\n)*)", re.MULTILINE)


def commands():
    pages = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "training").glob("*.py")),
    ]
    for page in pages:
        for program, arguments in COMMAND.findall(page.read_text()):
            text = arguments.replace("\\\n", " ")
            yield pytest.param(
                program, shlex.split(text, comments=True), id=f"{page.name}: {program}{text[:60]}"
            )


@pytest.mark.parametrize(("program", "arguments"), commands())
def test_it_is_taken(program, arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = importlib.import_module(program).Config
    tyro.cli(config, args=arguments)
