"""Measures training, loading, extraction and evaluation beside what people would use otherwise: `make bench`.

    python training/bench.py
    python training/bench.py --rounds 9 --out runs/bench.md

All contestants run on one core with one thread and take turns, so that other work on the machine slows all
of them alike; CPU time counts, as the median over the rounds. BAKU's formulation is written here from what
its paper and public code describe: a pass of the encoder for each camera in float32, attention written out,
an optimiser for each part, and a loader that turns each frame into a PIL image and a float tensor.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from hilam_core.data import read_demonstrations
from hilam_core.errors import ConfigError
from hilam_core.files import writable_folder
from hilam_core.lam import CompactLAM, extract_latents
from hilam_core.policy import BakuConfig, Policy, PolicyConfig
from hilam_core.policy.batches import ActionLabels, PolicyFrames
from hilam_core.policy.loss import action_loss
from hilam_core.program import conclude_bench, run_program
from hilam_core.skills import SkillConfig, SkillModel, extract_skills

TARGETS = {"training step": 1.5, "batch beside HDF5": 5.0, "batch beside pickles": 5.0}
INSTRUCTION = "pick up the milk and place it in the basket"


@dataclass
class Config:
    """Time the learning side beside what people would use otherwise, and print a Markdown table."""

    rounds: int = 7
    """Turns of each contestant; the medians count."""
    batch: int = 64
    """Samples of a training step and of a loaded batch."""
    episodes: int = 4
    """Episodes of the shipped policy to evaluate on one core; 0 leaves evaluation out."""
    core: int | None = None
    """Processor to run on, by default the last one allowed."""
    out: Path | None = None
    """File for the table, besides standard output."""
    check: bool = False
    """Exit with 1 where a ratio falls short: 1.5 for the training step, 5 for the loader."""

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("batch", 1), ("episodes", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        allowed = os.sched_getaffinity(0)
        if self.core is not None and self.core not in allowed:
            raise ConfigError(f"core {self.core} is not one of those allowed: {sorted(allowed)}")


# BAKU's formulation.


class _Film(nn.Module):
    def __init__(self, condition: int, channels: int) -> None:
        super().__init__()
        self.scale_and_shift = nn.Linear(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift(condition)[:, :, None, None].chunk(2, 1)
        return (1 + scale) * x + shift


class _Residual(nn.Module):
    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(channels // 16, channels) for _ in range(2))
        self.skip = (
            nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.GroupNorm(channels // 16, channels)
            )
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(inner + self.skip(x))


class _Encoder(nn.Module):
    """ResNet-18 cut after its second layer, FiLM after each block, spatial softmax keypoints."""

    def __init__(self, token: int = 512, keypoints: int = 256) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.GroupNorm(4, 64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        shapes = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1))
        self.blocks = nn.ModuleList(_Residual(*shape) for shape in shapes)
        self.films = nn.ModuleList(_Film(token, channels) for _, channels, _ in shapes)
        self.points = nn.Conv2d(128, keypoints, 1)
        self.token = nn.Linear(2 * keypoints, token)

    def forward(self, image: Tensor, language: Tensor) -> Tensor:
        x = self.stem(image)
        for block, film in zip(self.blocks, self.films, strict=True):
            x = film(block(x), language)
        x = self.points(x)
        attention = F.softmax(x.flatten(2), -1)
        rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in x.shape[2:]), indexing="ij")
        places = [(attention * axis.flatten()).sum(-1) for axis in (columns, rows)]
        return self.token(torch.cat(places, 1))


class _Attention(nn.Module):
    """Causal self-attention written out, as minGPT has it."""

    def __init__(self, width: int = 256, heads: int = 4) -> None:
        super().__init__()
        self.qkv, self.project, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1)
        )
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("future", torch.ones(16, 16).triu(1).bool())

    def forward(self, x: Tensor) -> Tensor:
        size, tokens, width = x.shape
        q, k, v = (
            part.view(size, tokens, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norms[0](x)).split(width, 2)
        )
        weights = (q @ k.transpose(-2, -1)) / math.sqrt(k.shape[-1])
        weights = weights.masked_fill(self.future[:tokens, :tokens], -torch.inf)
        weights = self.dropout(F.softmax(weights, -1))
        x = x + self.dropout(self.project((weights @ v).transpose(1, 2).reshape(size, tokens, width)))
        return x + self.mlp(self.norms[1](x))


class BakuAsPublished(nn.Module):
    """BAKU's network and step: images float [B, 3, 128, 128] in [0, 1]."""

    def __init__(self, cameras: int = 2, proprio: int = 9, language: int = 384, actions: int = 70) -> None:
        super().__init__()
        self.encoder = _Encoder()
        self.language, self.proprio = self._mlp(language, 512), self._mlp(proprio, 512)
        self.to_width = nn.Linear(512, 256)
        self.action_token = nn.Parameter(torch.randn(1, 1, 256))
        self.positions = nn.Parameter(torch.randn(cameras + 3, 256) * 0.02)
        self.trunk = nn.Sequential(*(_Attention() for _ in range(8)), nn.LayerNorm(256))
        self.head = nn.Sequential(
            nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, actions), nn.Tanh()
        )
        parts: list[list[nn.Module]] = [
            [self.encoder],
            [self.language],
            [self.proprio],
            [self.to_width, self.trunk, self.head],
        ]
        self._optimizers = [
            torch.optim.AdamW([p for module in part for p in module.parameters()], lr=1e-4, weight_decay=1e-4)
            for part in parts
        ]

    @staticmethod
    def _mlp(size: int, token: int) -> nn.Module:
        return nn.Sequential(nn.Linear(size, token), nn.ReLU(), nn.Linear(token, token))

    def step(self, batch: Mapping[str, Any]) -> float:
        """A training step; the loss is the squared error that a normal of fixed deviation amounts to."""
        language = self.language(batch["language"])
        tokens = [language, *(self.encoder(image, language) for image in batch["images"])]
        x = self.to_width(torch.stack([*tokens, self.proprio(batch["proprio"])], 1))
        x = torch.cat([x, self.action_token.expand(len(x), 1, -1)], 1) + self.positions
        loss = ((self.head(self.trunk(x)[:, -1]) - batch["actions"]) / 0.1).square().mean() / 2
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in self._optimizers:
            optimizer.step()
        return float(loss.detach())


# Ours.


class OurBaku:
    """The same network by `hilam_core.policy`, in the step of the training loop."""

    def __init__(self) -> None:
        self.policy = Policy(PolicyConfig.flat(BakuConfig(proprio_dim=8, waypoint=False)).at_published_size())
        parameters = [p for p in self.policy.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.95), foreach=True)
        self._parameters = parameters

    def step(self, batch: Mapping[str, Any]) -> float:
        loss, _ = action_loss(self.policy.train(), dict(batch))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        return float(loss.detach())


# Data.


def write_demonstrations(path: Path, episodes: int = 6, steps: int = 120) -> None:
    """Demonstrations in LIBERO's layout, compressed as collect_demos does, with pictures of smooth noise."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["problem_info"] = json.dumps({"language_instruction": INSTRUCTION})
        for number in range(episodes):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            position = rng.normal(0, 0.01, (steps, 3)).cumsum(0)
            fingers, turn = np.tile([0.04, -0.04], (steps, 1)), np.tile([1.0, 0.0, 0.0, 0.0], (steps, 1))
            demo["actions"] = np.hstack([rng.uniform(-1, 1, (steps, 6)), -np.ones((steps, 1))])
            demo["states"] = np.zeros((steps, 5))
            demo["robot_states"] = np.hstack([fingers, position, turn])
            obs = demo.create_group("obs")
            for camera in ("agentview", "eye_in_hand"):
                frames = rng.integers(0, 255, (steps, 16, 16, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
                obs.create_dataset(f"{camera}_rgb", data=frames, chunks=(1, 128, 128, 3), compression="lzf")
            obs["ee_pos"], obs["ee_ori"] = position, np.zeros((steps, 3))
            obs["ee_states"] = np.hstack([position, np.zeros((steps, 3))])
            obs["gripper_states"], obs["joint_states"] = fingers, np.zeros((steps, 7))


def as_float(frame: np.ndarray) -> Tensor:
    """uint8 [H, W, 3] -> float [3, H, W] in [0, 1], by way of a PIL image."""
    return torch.from_numpy(np.array(Image.fromarray(frame))).permute(2, 0, 1).float() / 255


def hdf5_batch(demos: list[h5py.Group], rng: np.random.Generator, size: int) -> list[Tensor]:
    """A batch read sample by sample from the demonstrations of an open file."""
    images: list[list[Tensor]] = [[], []]
    for _ in range(size):
        demo = demos[rng.integers(len(demos))]
        step = int(rng.integers(len(demo["actions"]) - 10))
        demo["actions"][step : step + 10]
        for rows, camera in zip(images, ("agentview", "eye_in_hand"), strict=True):
            rows.append(as_float(demo[f"obs/{camera}_rgb"][step][::-1]))
    return [torch.stack(rows) for rows in images]


def pickled_batch(episodes: list[dict[str, np.ndarray]], rng: np.random.Generator, size: int) -> list[Tensor]:
    """A batch of episodes that were unpickled into memory, as BAKU's loader makes it."""
    images: list[list[Tensor]] = [[], []]
    for _ in range(size):
        episode = episodes[rng.integers(len(episodes))]
        step = int(rng.integers(len(episode["actions"]) - 10))
        torch.from_numpy(episode["actions"][step : step + 10])
        for rows, camera in zip(images, ("agentview", "eye_in_hand"), strict=True):
            rows.append(as_float(episode[camera][step]))
    return [torch.stack(rows) for rows in images]


def our_batch(labels: ActionLabels, rng: np.random.Generator, size: int) -> list[Tensor]:
    """A batch of the training loop, with random shifts; its images as floats too, which the encoder does."""
    batch = labels.batch(rng.choice(labels.rows, size), rng)
    return [image.permute(0, 3, 1, 2).float() / 255 for image in batch["images"].values()]


# Measuring.


def race(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """CPU seconds of each, the median of its turns; the first turn warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            before = time.process_time()
            run()
            if turn:
                times[name].append(time.process_time() - before)
    return {name: statistics.median(values) for name, values in times.items()}


def step_contest(config: Config) -> tuple[str, str, dict[str, float]]:
    """A training step at BAKU's sizes."""
    rng, size = torch.Generator().manual_seed(0), config.batch
    pictures = [
        torch.randint(0, 256, (size, 128, 128, 3), generator=rng, dtype=torch.uint8) for _ in range(2)
    ]
    language, target = torch.randn(size, 384, generator=rng), torch.rand(size, 10, 7, generator=rng) * 2 - 1
    theirs = {
        "images": [image.permute(0, 3, 1, 2).float() / 255 for image in pictures],
        "language": language,
        "proprio": torch.randn(size, 9, generator=rng),
        "actions": target.flatten(1),
    }
    ours = {
        "images": dict(zip(("agentview", "eye_in_hand"), pictures, strict=True)),
        "language": language,
        "proprio": theirs["proprio"][:, :8],
        "skill": None,
        "low_target": target,
        "low_mask": torch.ones(size, 10, dtype=torch.bool),
    }
    reference, own = BakuAsPublished(), OurBaku()
    times = race({"BAKU": lambda: reference.step(theirs), "ours": lambda: own.step(ours)}, config.rounds)
    return "training step", f"of {size} samples, float32", times


def loader_contests(config: Config, folder: Path) -> list[tuple[str, str, dict[str, float]]]:
    """A batch of two cameras and action chunks."""
    path = folder / "pick_up_the_milk_and_place_it_in_the_basket_demo.hdf5"
    write_demonstrations(path)
    episodes = read_demonstrations(folder, cameras=("agentview", "eye_in_hand"))
    pickled = folder / "task.pkl"
    pickled.write_bytes(
        pickle.dumps(
            [{"actions": e.actions, **{c: np.asarray(e.frames[c]) for c in e.frames}} for e in episodes]
        )
    )
    in_memory = pickle.loads(pickled.read_bytes())  # written just above
    labels = ActionLabels(PolicyFrames(episodes, Policy(PolicyConfig.flat()).spec), 10, 1, None)
    rng, size = np.random.default_rng(0), config.batch
    with h5py.File(path, "r") as file:
        demos = list(file["data"].values())
        times = race(
            {
                "HDF5": lambda: hdf5_batch(demos, rng, size),
                "pickles": lambda: pickled_batch(in_memory, rng, size),
                "ours": lambda: our_batch(labels, rng, size),
            },
            config.rounds,
        )
    return [
        (
            f"batch beside {name}",
            f"of {size} samples, two cameras",
            {name: times[name], "ours": times["ours"]},
        )
        for name in ("HDF5", "pickles")
    ]


def rates(config: Config) -> dict[str, float]:
    """Frames a CPU second of the skill model's step and of both extractions."""
    torch.manual_seed(0)
    model, lam = SkillModel(SkillConfig(latent_dim=32, gap=8)), CompactLAM()
    z = torch.randn(16, 120, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        predicted = model.train()(z)[0]
        optimizer.zero_grad()
        (predicted[:, :-1] - z[:, 1:]).abs().mean().backward()
        optimizer.step()

    frames = np.random.default_rng(0).integers(0, 255, (128, 128, 128, 3), dtype=np.uint8)
    contestants = {
        "skill-model step": (step, z.shape[0] * z.shape[1]),
        "extraction of latent actions": (lambda: extract_latents(lam.eval(), frames, 8), len(frames)),
        "extraction of skills": (lambda: extract_skills(model.eval(), z[0].numpy(), 112), z.shape[1]),
    }
    times = race({name: run for name, (run, _) in contestants.items()}, config.rounds)
    return {name: count / times[name] for name, (_, count) in contestants.items()}


def episodes_an_hour(config: Config, folder: Path) -> float:
    """Of the shipped policy on one core, by CPU time of this process and of its worker."""
    import evaluate

    shipped = Path(__file__).parents[1] / "checkpoints" / "libero_object"
    asked = {"tasks": ("0",), "episodes": config.episodes, "workers": 1, "batch": 1, "out": folder / "e.json"}
    before = os.times()
    evaluate.main(evaluate.Config(shipped, **asked))
    # User and system time, of this process and of its children that ended.
    return 3600 * config.episodes / (sum(os.times()[:4]) - sum(before[:4]))


def main(config: Config) -> None:
    if config.out is not None:
        writable_folder(config.out.parent)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if config.core is None else config.core})
    torch.set_num_threads(1)
    short, lines = (
        [],
        ["| what | | reference, CPU ms | ours, CPU ms | times faster |", "|---|---|---:|---:|---:|"],
    )
    with tempfile.TemporaryDirectory() as name:
        for title, what, times in [step_contest(config), *loader_contests(config, Path(name))]:
            reference, own = times.values()
            lines.append(
                f"| {title} | {what} | {1e3 * reference:.1f} ({next(iter(times))}) | {1e3 * own:.1f} | "
                f"{reference / own:.2f} |"
            )
            if reference / own < TARGETS[title]:
                short.append(f"{title}: {reference / own:.2f} times, not {TARGETS[title]}")
        lines += ["", "| what | a CPU second |", "|---|---:|"]
        lines += [f"| {what} | {rate:.0f} frames |" for what, rate in rates(config).items()]
        if config.episodes:
            lines.append(f"| evaluation | {episodes_an_hour(config, Path(name)):.0f} episodes an hour |")
    print("\n".join(lines))
    conclude_bench(lines, config.out, short if config.check else [])


if __name__ == "__main__":
    run_program(main, Config)
