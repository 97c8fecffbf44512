"""Small demonstrations in LIBERO's HDF5 layout, made on the spot: a blob that moves through known phases."""

import json
from pathlib import Path

import h5py
import numpy as np

PHASES = ("reach", "descend", "grasp", "lift", "carry", "release")


def make_episode(rng: np.random.Generator, size: int = 32, steps_per_phase: int = 8) -> dict[str, np.ndarray]:
    """Frames (upright), actions and phases of one episode: in each phase the blob moves along one
    direction."""
    background = np.full((size, size, 3), 90, np.uint8) + rng.integers(0, 40, (size, size, 3), dtype=np.uint8)
    position, frames, actions, phases = np.array([0.3, 0.3]) + rng.uniform(-0.1, 0.1, 2), [], [], []
    directions = np.array([[1, 0], [0, 1], [0, 0], [-1, 0], [0.7, 0.7], [0, -1]]) * 0.02
    for phase, direction in zip(PHASES, directions, strict=True):
        for _ in range(steps_per_phase + int(rng.integers(-2, 3))):
            frames.append(_draw(background, position, phase in ("grasp", "lift", "carry")))
            actions.append(
                [*(direction / 0.02), 0, 0, 0, 0, 1.0 if phase in ("grasp", "lift", "carry") else -1.0]
            )
            phases.append(phase)
            position = np.clip(position + direction, 0.05, 0.95)
    return {
        "frames": np.stack(frames),
        "actions": np.array(actions, np.float32),
        "phases": np.array(phases, "S"),
    }


def _draw(background: np.ndarray, position: np.ndarray, closed: bool) -> np.ndarray:
    image, size = background.copy(), len(background)
    y, x = np.mgrid[:size, :size] / size
    near = np.hypot(x - position[0], y - position[1])
    image[near < 0.12] = (220, 40, 40) if closed else (40, 40, 220)
    return image


def write_demonstrations(
    path: Path, episodes: int = 3, size: int = 32, seed: int = 0, instruction: str = ""
) -> Path:
    """One HDF5 file in the official layout, images raw as OpenGL gives them (upside down)."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    instruction = instruction or path.stem.removesuffix("_demo").replace("_", " ")
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["problem_info"] = json.dumps({"language_instruction": instruction})
        data.attrs["num_demos"] = episodes
        for i in range(episodes):
            _write_demo(data.create_group(f"demo_{i}"), make_episode(rng, size), i)
    return path


def _write_demo(demo: h5py.Group, episode: dict[str, np.ndarray], number: int) -> None:
    steps = len(episode["actions"])
    position = np.cumsum(episode["actions"][:, :3] * 0.01, 0)
    quaternion = np.tile([1.0, 0.0, 0.0, 0.0], (steps, 1))
    fingers = np.tile([0.04, -0.04], (steps, 1))
    demo.attrs["num_samples"], demo.attrs["seed"], demo.attrs["placement"] = steps, number, "scattered"
    demo["actions"], demo["phases"] = episode["actions"], episode["phases"]
    demo["states"], demo["robot_states"] = np.zeros((steps, 5)), np.hstack([fingers, position, quaternion])
    demo["rewards"], demo["dones"] = np.zeros(steps, np.uint8), np.zeros(steps, np.uint8)
    obs = demo.create_group("obs")
    obs["agentview_rgb"] = episode["frames"][:, ::-1]
    obs["eye_in_hand_rgb"] = episode["frames"][:, ::-1, ::-1]
    obs["ee_pos"], obs["ee_ori"] = position, np.tile([np.pi, 0.0, 0.0], (steps, 1))
    obs["ee_states"] = np.hstack([position, obs["ee_ori"][:]])
    obs["gripper_states"], obs["joint_states"] = fingers, np.zeros((steps, 7))
