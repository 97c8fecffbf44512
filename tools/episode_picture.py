"""Draw a recorded lockstep episode as a strip: its actions are replayed and seen at a higher resolution.

python tools/episode_picture.py runs/20260101-120000_task --out docs/images/episode.png
"""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from hilam_core.files import replacing
from hilam_core.observation import prepare_image
from hilam_core.program import run_program
from hilam_sim import LiberoEnv, SimError

RENDER_PX, SHOWN_PX, INSET_PX = 768, 256, 88


@dataclass
class Config:
    episode: tyro.conf.Positional[Path]
    """Folder with episode.json and episode_actions.npy."""
    out: Path
    """PNG file to write."""
    pictures: int = 5
    """Moments shown, evenly spread from the first step to the last."""


def replay(facts: dict, actions: np.ndarray, wanted: set[int]) -> dict[int, dict]:
    """Observations after the wanted steps; the replay must end as the episode did."""
    env = LiberoEnv(facts["suite"], facts["task"], RENDER_PX, facts["assets"], max_steps=facts["max_steps"])
    observation, _ = env.reset(seed=facts["seed"], options={"init_state": facts["init_state"]})
    seen, success = {0: observation}, False
    for step, action in enumerate(actions, 1):
        observation, _, success, _, _ = env.step(action)
        if step in wanted:
            seen[step] = observation
    if success != facts["success"]:
        raise SimError(f"the replay's success is {success}, the episode's was {facts['success']}")
    return seen


def picture(observation: dict, label: str) -> np.ndarray:
    """The scene camera with the hand's camera in the corner, uint8 RGB."""
    shown = prepare_image(observation["agentview"], SHOWN_PX)
    inset = prepare_image(observation["eye_in_hand"], INSET_PX)
    shown[-INSET_PX:, -INSET_PX:] = inset
    corner = SHOWN_PX - INSET_PX - 1
    cv2.rectangle(shown, (corner, corner), (SHOWN_PX, SHOWN_PX), (255, 255, 255), 1)
    cv2.putText(shown, label, (6, SHOWN_PX - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA)
    return shown


def main(config: Config) -> None:
    facts = json.loads((config.episode / "episode.json").read_text())
    actions = np.load(config.episode / "episode_actions.npy")
    moments = np.linspace(0, len(actions), config.pictures).round().astype(int)
    seen = replay(facts, actions, set(moments.tolist()))
    strip = [picture(seen[step], f"{step / facts['control_hz']:.1f} s") for step in moments.tolist()]
    with replacing(config.out) as draft:
        cv2.imwrite(str(draft), cv2.cvtColor(np.hstack(strip), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    run_program(main, Config)
