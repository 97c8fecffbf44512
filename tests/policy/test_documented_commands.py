"""Every command of a training program that the documentation prints is one that the program takes."""

import importlib
from pathlib import Path

import pytest
import tyro
from programs import documented

ROOT = Path(__file__).parents[2]


def commands():
    pages = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "training").glob("*.py")),
    ]
    for page in pages:
        for program, arguments in documented(page.read_text()):
            name = f"{page.name}: {program} {' '.join(arguments)}"
            yield pytest.param(program, arguments, id=name[:100])


@pytest.mark.parametrize(("program", "arguments"), commands())
def test_it_is_taken(program, arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = importlib.import_module(program).Config
    tyro.cli(config, args=arguments)
