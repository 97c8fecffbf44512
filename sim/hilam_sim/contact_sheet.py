"""The tasks of a suite in one picture, both cameras.

python -m hilam_sim.contact_sheet --out sheet.jpg --suite libero_90 --scenes --compare
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hilam_core.files import replacing, writable_folder
from hilam_core.program import run_program
from hilam_sim.env import LiberoEnv
from hilam_sim.tasks import Task, list_tasks

_WIDTH, _LINE, _LETTER, _GAP = 1100, 13, 5.2, 6  # pixels: the sheet at most, text, between tasks


@dataclass(frozen=True)
class Config:
    out: Path
    """Picture to write: .png or .jpg."""
    suite: str = "libero_object"
    """LIBERO suite."""
    assets: Literal["auto", "builtin", "official"] = "builtin"
    """What to draw."""
    compare: bool = False
    """Draw the built-in assets beside the official ones."""
    scenes: bool = False
    """Draw only the first task of every scene."""
    size: int = 128
    """Pixels of both sides of one view."""


def contact_sheet(
    suite: str = "libero_object",
    assets: Sequence[str] = ("builtin",),
    size: int = 128,
    scenes: bool = False,
) -> Image.Image:
    """The first stored state of every task, or of one task a scene with `scenes`.

    A task shows agentview above eye_in_hand, size x size pixels each, a column for each of `assets`.

    Raises:
        SimError: unknown suite or assets, assets that are not there.
    """
    tasks = list_tasks(suite)
    if scenes:
        tasks = list({_scene(task): task for task in reversed(tasks)}.values())[::-1]
    width = len(assets) * size + _GAP
    captions = [textwrap.wrap(_caption(task), max(12, int(width / _LETTER))) for task in tasks]
    text = _LINE * max(map(len, captions)) + 3
    height = text + 2 * size + _GAP
    columns = min(len(tasks), max(1, _WIDTH // width))
    sheet = Image.new("RGB", (columns * width, -(-len(tasks) // columns) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for place, task in enumerate(tasks):
        x, y = place % columns * width, place // columns * height
        draw.multiline_text((x + 2, y), "\n".join(captions[place]), fill="black", font=font, spacing=1)
        for column, kind in enumerate(assets):
            sheet.paste(_views(task, kind, size), (x + column * size, y + text))
    return sheet


def _scene(task: Task) -> str:
    """The scene in a task's name, such as KITCHEN_SCENE3; the task itself where scenes are not named."""
    named = re.match(r"[A-Z_]+SCENE\d+", task.name)
    return named.group() if named else task.name


def _caption(task: Task) -> str:
    scene = _scene(task)
    return (
        task.instruction if scene == task.name else f"{scene.replace('_', ' ').lower()}: {task.instruction}"
    )


def _views(task: Task, assets: str, size: int) -> Image.Image:
    env = LiberoEnv(task.suite, task.index, image_size=size, assets=assets)
    observation, _ = env.reset()
    env.close()
    return Image.fromarray(np.concatenate([observation["agentview"], observation["eye_in_hand"]]))


def main(config: Config) -> None:
    writable_folder(config.out.parent)
    assets = ("builtin", "official") if config.compare else (config.assets,)
    sheet = contact_sheet(config.suite, assets, config.size, config.scenes)
    with replacing(config.out) as draft:
        sheet.save(draft, optimize=True, quality=88)  # of JPEG: below, colours of captions bleed


if __name__ == "__main__":
    run_program(main, Config)
