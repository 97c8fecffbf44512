"""Every task of a suite in one picture, both cameras.

python -m hilam_sim.assets.contact_sheet out.png [--suite libero_object] [--assets builtin] [--size 128]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_COLUMNS, _CAPTION, _GAP = 5, 14, 4


def contact_sheet(suite: str = "libero_object", assets: str = "builtin", size: int = 128) -> Image.Image:
    """The first stored state of every task: agentview above eye_in_hand, each size x size pixels."""
    from hilam_sim import LiberoEnv
    from hilam_sim.tasks import list_tasks

    tasks = list_tasks(suite)
    width, height = size + _GAP, 2 * size + _CAPTION + _GAP
    sheet = Image.new("RGB", (_COLUMNS * width, -(-len(tasks) // _COLUMNS) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    for task in tasks:
        env = LiberoEnv(suite, task.index, image_size=size, assets=assets)
        observation, _ = env.reset()
        env.close()
        x, y = task.index % _COLUMNS * width, task.index // _COLUMNS * height
        subject = task.instruction.removeprefix("pick up the ").removesuffix(" and place it in the basket")
        draw.text((x + 2, y), subject, fill="black", font=font)
        views = np.concatenate([observation["agentview"], observation["eye_in_hand"]])
        sheet.paste(Image.fromarray(views), (x, y + _CAPTION))
    return sheet


def main() -> None:
    from hilam_sim.errors import SimError

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--suite", default="libero_object")
    parser.add_argument("--assets", default="builtin", choices=["auto", "builtin", "official"])
    parser.add_argument("--size", type=int, default=128, help="pixels of one view")
    arguments = parser.parse_args()
    try:
        sheet = contact_sheet(arguments.suite, arguments.assets, arguments.size)
    except SimError as error:
        sys.exit(f"error: {error}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
