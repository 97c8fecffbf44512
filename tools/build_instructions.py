"""Make the table of LIBERO's 130 instructions.

    python tools/build_instructions.py

Needs the LIBERO package (its BDDL files are the source) and the `language` extra (MiniLM). Each task's
embedding is that of the instruction its file name spells, which is what evaluations show a policy; the
wording inside the file is an alias of it.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hilam_core.errors import DataError
from hilam_core.files import replacing
from hilam_core.policy.language import TABLE, load_language_model, normalise
from hilam_core.program import run_program

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_90", "libero_10")


@dataclass
class Config:
    out: Path = TABLE
    """File to write."""


def bddl_folder() -> Path:
    """LIBERO's task definitions, found without importing it (which would ask questions)."""
    spec = importlib.util.find_spec("libero")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("LIBERO is not installed: pip install --no-deps hf-libero==0.1.4")
    return Path(next(iter(spec.submodule_search_locations))) / "libero" / "bddl_files"


def instruction_of_file(stem: str) -> str:
    """`KITCHEN_SCENE3_turn_on_the_stove` -> `turn on the stove`."""
    return normalise(re.sub(r"^[A-Z_]+SCENE\d+_", "", stem).replace("_", " "))


def main(config: Config) -> None:
    rows: dict[str, int] = {}
    aliases: dict[str, int] = {}
    for path in sorted(p for suite in SUITES for p in (bddl_folder() / suite).glob("*.bddl")):
        row = rows.setdefault(instruction_of_file(path.stem), len(rows))
        inside = re.search(r"\(:language\s+([^)]*)\)", path.read_text())
        if inside:
            aliases.setdefault(normalise(inside[1]), row)
    texts = {**aliases, **rows}
    with replacing(config.out) as draft:
        np.savez_compressed(
            draft,
            text=np.array(list(texts)),
            row=np.array(list(texts.values()), np.int16),
            embedding=load_language_model().embed(list(rows)).astype(np.float16),
        )
    print(f"{len(rows)} instructions, {len(texts)} spellings -> {config.out}")


if __name__ == "__main__":
    run_program(main, Config)
