"""The hierarchical policy: pi^h(z^h_t | o_t, l) proposes a latent skill, pi^l(a | o_t, zhat^h_t) acts.

A flat BAKU is a policy without the high level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hilam_core.cards import config_from
from hilam_core.checkpoint import load_checkpoint, restore, save_checkpoint
from hilam_core.conventions import ACTION_DIM
from hilam_core.errors import CheckpointError
from hilam_core.inference import Function, accelerate
from hilam_core.observation import PROPRIO_DIM, ObservationSpec
from hilam_core.policy.baku import Baku, BakuConfig, published
from hilam_core.policy.language import (
    LANGUAGE_MODEL,
    embed_instruction,
    fingerprint,
    language_dim,
    require_language_model,
)
from hilam_core.policy.vision import EncoderConfig
from hilam_core.precision import Precision, choose_precision


@dataclass(frozen=True)
class PolicyConfig:
    """A low level, and a high level that plans a skill for it every `plan_period` control steps."""

    low: BakuConfig = field(default_factory=BakuConfig)
    high: BakuConfig | None = None
    image_size: int = 128
    plan_period: int = 5
    aggregation_decay: float = 1.0
    """temporal aggregation: a prediction made i steps ago weighs exp(-decay * i). ACT and BAKU favour the
    oldest (a negative decay): the arm then lags behind what the policy sees, and overshoots"""

    unit_actions: bool = True
    """actions lie in [-1, 1], as LIBERO's, and are clipped to it; else they are in the units of their data"""

    language_model: str = LANGUAGE_MODEL
    """whose sentence embeddings the policy reads: MiniLM, or a T5"""
    language_fingerprint: tuple[float, ...] = ()
    """tells language models of one name apart; none for MiniLM"""

    @staticmethod
    def flat(low: BakuConfig | None = None, **kwargs: Any) -> PolicyConfig:
        """Flat BAKU: observations and language to actions."""
        return PolicyConfig(low=low or BakuConfig(), **kwargs)

    @staticmethod
    def blind(output_dim: int = ACTION_DIM, proprio_dim: int = PROPRIO_DIM, **kwargs: Any) -> PolicyConfig:
        """Flat BAKU without images: what proprioception and language alone can do."""
        low = BakuConfig(cameras=(), output_dim=output_dim, proprio_dim=proprio_dim)
        return PolicyConfig(low=low, **kwargs)

    @staticmethod
    def hierarchical(
        skill_dim: int,
        output_dim: int = ACTION_DIM,
        base: BakuConfig | None = None,
        low_language: bool = True,
        **kwargs: Any,
    ) -> PolicyConfig:
        """HiLAM: `output_dim` is that of z^l in pretraining and of the robot's actions after it.

        `low_language` also shows pi^l the instruction: z^h comes from motion alone, so that otherwise the
        target's identity would have to pass through a regressed vector.
        """
        base = base or BakuConfig()
        high = replace(base, output_dim=skill_dim, chunk=1, boundary=True, waypoint=False)
        language_dim = base.language_dim if low_language else 0
        low = replace(base, skill_dim=skill_dim, output_dim=output_dim, language_dim=language_dim)
        return PolicyConfig(low=low, high=high, **kwargs)

    def reading(self, language_model: str) -> PolicyConfig:
        """The same policy for the embeddings of a language model, on the levels that read language."""
        dim = language_dim(language_model)
        levels = {
            name: replace(level, language_dim=dim)
            for name, level in (("low", self.low), ("high", self.high))
            if level is not None and level.language_dim
        }
        return replace(
            self,
            language_model=language_model,
            language_fingerprint=fingerprint(language_model),
            **levels,  # type: ignore[arg-type]
        )

    def at_published_size(self) -> PolicyConfig:
        """The same policy with BAKU's published networks (`published`) and temporal aggregation: the weights
        exp(-0.01 i) with i counted from the oldest prediction."""
        high = published(self.high) if self.high else None
        return replace(self, low=published(self.low), high=high, aggregation_decay=-0.01)

    @staticmethod
    def tiny(skill_dim: int = 8, **kwargs: Any) -> PolicyConfig:
        """A very small hierarchy, for tests."""
        encoder = EncoderConfig(channels=(8, 8), keypoints=4, film_dim=8)
        base = BakuConfig(encoder=encoder, width=16, layers=1, heads=2)
        return PolicyConfig.hierarchical(skill_dim, base=base, **kwargs)


class Policy(nn.Module):
    """Both levels, with the observations they read (`spec`) and the card of the checkpoint they came from."""

    def __init__(self, config: PolicyConfig, card: Mapping[str, Any] | None = None):
        super().__init__()
        self.high = Baku(config.high) if config.high is not None else None
        self.low = Baku(config.low)
        self._config = config
        self.card: dict[str, Any] = dict(card or {})
        self._plan: Function = self._run_high
        self._act: Function = self._run_low

    def prepare(self, precision: Precision = "float32", compile: str | None = None) -> Policy:
        """Make `plan` and `act` fast for inference where the weights lie now (see `inference.accelerate`).

        compile: backend of torch.compile. Results in "float32" without one are those of before, to the bit
        on a CPU. Returns itself.
        """
        device = self.low.positions.device
        chosen, _ = choose_precision(precision, device, self)
        self._plan = accelerate(self._run_high, device, chosen, compile)
        self._act = accelerate(self._run_low, device, chosen, compile)
        return self

    @property
    def config(self) -> PolicyConfig:
        """The configuration, with what fine-tuning changed in it."""
        return replace(self._config, low=self.low.config)

    def set_unit_actions(self, unit: bool) -> None:
        """Whether the actions it learns lie in [-1, 1]."""
        self._config = replace(self._config, unit_actions=unit)

    @property
    def spec(self) -> ObservationSpec:
        """What this policy must be shown."""
        low = self._config.low
        return ObservationSpec(low.cameras, self._config.image_size, low.proprio_dim or PROPRIO_DIM)

    @property
    def reads_language(self) -> bool:
        """Whether any level is told the instruction."""
        return self.language_dim > 0

    @property
    def language_dim(self) -> int:
        """Length of the sentence embeddings it reads; 0: none."""
        levels = (self._config.low, self._config.high)
        return max(level.language_dim for level in levels if level is not None)

    @property
    def language_model(self) -> str | None:
        """Whose sentence embeddings it reads; None where it reads no language."""
        return self._config.language_model if self.reads_language else None

    def embed(self, instruction: str) -> np.ndarray:
        """The instruction as the policy reads it, float32 [D]; [0] where it reads none.

        Raises:
            LanguageError: it cannot be embedded here.
        """
        if not self.reads_language:
            return np.zeros(0, np.float32)
        return embed_instruction(instruction, self._config.language_model)

    def require_language(self) -> None:
        """Raise LanguageError where the language model that it was trained with is not the one here."""
        config = self._config
        if self.reads_language:
            require_language_model(config.language_model, self.language_dim, config.language_fingerprint)

    @property
    def plan_period(self) -> int:
        """Control steps from one plan to the next."""
        return self._config.plan_period

    @property
    def skill_dim(self) -> int:
        """Length of the skill vector; 0 for a flat policy."""
        return self._config.low.skill_dim

    def plan(
        self, images: Mapping[str, Tensor], proprio: Tensor | None, language: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """pi^h: skills [B, D] and the probabilities [B] that a new segment begins."""
        return self._plan(images, proprio, language)

    def _run_high(
        self, images: Mapping[str, Tensor], proprio: Tensor | None, language: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert self.high is not None, "a flat policy does not plan"
        output = self.high(images, proprio, language)
        assert output.boundary_logit is not None
        return self.high.denormalise(output.chunk)[:, 0], output.boundary_logit.sigmoid()

    def act(
        self,
        images: Mapping[str, Tensor],
        proprio: Tensor | None,
        language: Tensor | None,
        skill: Tensor | None,
    ) -> Tensor:
        """pi^l: a chunk [B, L, A] of actions (latent ones before fine-tuning)."""
        return self._act(images, proprio, language, skill)

    def _run_low(
        self,
        images: Mapping[str, Tensor],
        proprio: Tensor | None,
        language: Tensor | None,
        skill: Tensor | None,
    ) -> Tensor:
        output = self.low(images, proprio, language if self.low.config.language_dim else None, skill)
        return self.low.denormalise(output.chunk)


def save_policy(folder: Path | str, policy: Policy, card: Mapping[str, Any] | None = None) -> Path:
    """Write a policy checkpoint; `card` says what made it (data, seed, command, metrics, ...)."""
    return save_checkpoint(
        folder, policy.state_dict(), {**(card or {}), "kind": "policy", "config": asdict(policy.config)}
    )


def random_policy(folder: Path | str, config: PolicyConfig | None = None, seed: int = 0) -> Path:
    """Write a valid checkpoint with random weights: to try a robot's plumbing before there is a trained
    policy."""
    torch.manual_seed(seed)
    return save_policy(
        folder, Policy(config or PolicyConfig.tiny()), {"seed": seed, "command": "random_policy"}
    )


def read_policy_config(card: Mapping[str, Any], source: Path | str) -> PolicyConfig:
    """The configuration in the card of the policy checkpoint `source`.

    Raises:
        CheckpointError: there is none, or it has settings that this version does not know.
    """
    if not isinstance(card.get("config"), Mapping):
        raise CheckpointError(f"the card of '{source}' has no configuration: train it again")
    return config_from(PolicyConfig, card["config"], source)


def load_policy(path: Path | str, device: str = "cpu") -> Policy:
    """Read a policy, flat or hierarchical, ready to run (evaluation mode, no gradients).

    Raises:
        CheckpointError: the folder is missing, damaged, of another kind, its weights do not fit its
        configuration, or as `read_policy_config`.
    """
    state, card = load_checkpoint(path, "policy")
    policy = Policy(read_policy_config(card, path), card)
    restore(policy, state, path)
    return policy.to(device).eval().requires_grad_(False)
