"""The tasks of a suite in one picture, both cameras; --compare: built-in assets beside the official ones.

python -m hilam_sim.contact_sheet out.png [--suite libero_object] [--compare] [--scenes] [--size 128]
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hilam_sim.env import LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.tasks import SUITES, Task, list_tasks

_WIDTH, _LINE, _LETTER, _GAP = 1100, 13, 5.2, 6  # pixels: the sheet at most, text, between tasks


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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help=".png or .jpg")
    parser.add_argument("--suite", default="libero_object", choices=SUITES)
    parser.add_argument("--assets", default="builtin", choices=["auto", "builtin", "official"])
    parser.add_argument("--compare", action="store_true", help="built-in beside official")
    parser.add_argument("--scenes", action="store_true", help="one task of every scene")
    parser.add_argument("--size", type=int, default=128, help="pixels of one view")
    arguments = parser.parse_args()
    assets = ("builtin", "official") if arguments.compare else (arguments.assets,)
    try:
        sheet = contact_sheet(arguments.suite, assets, arguments.size, arguments.scenes)
    except SimError as error:
        sys.exit(f"error: {error}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.out, optimize=True, quality=88)


if __name__ == "__main__":
    main()
