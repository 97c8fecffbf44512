"""Draw episodes of the scripted experts, one row a task.

python tools/expert_picture.py --out docs/images/experts.jpg --tasks libero_10:9 libero_10:3
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from episode_picture import RENDER_PX, picture
from PIL import Image

from hilam_core.files import replacing
from hilam_core.program import run_program
from hilam_sim import LiberoEnv, SimError
from hilam_sim.recording import record_expert
from hilam_sim.tasks import parse_task


@dataclass
class Config:
    out: Path
    """Picture file to write."""
    tasks: tuple[str, ...] = ("libero_10:9", "libero_10:3", "libero_10:8", "libero_10:5", "libero_goal:5")
    """Tasks as suite:number."""
    init_state: int = 0
    """Stored initial state."""
    pictures: int = 6
    """Moments shown, evenly spread from the first step to the last."""


def row(text: str, config: Config) -> np.ndarray:
    """One expert's episode, uint8 RGB [H, W, 3]."""
    task = parse_task(text)
    env = LiberoEnv(task.suite, task.index, RENDER_PX, "builtin")
    recording = record_expert(env, "stored", seed=config.init_state, init_state=config.init_state)
    env.close()
    if recording is None:
        raise SimError(f"the expert did not succeed at {text}: try another --init-state")
    moments = np.linspace(0, len(recording.actions) - 1, config.pictures).round().astype(int)
    return np.concatenate([picture(recording.observations[i], recording.phases[i]) for i in moments], axis=1)


def main(config: Config) -> None:
    image = np.concatenate([row(task, config) for task in config.tasks])
    with replacing(config.out) as draft:
        Image.fromarray(image).save(draft, quality=85)


if __name__ == "__main__":
    run_program(main, Config)
