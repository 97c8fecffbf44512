"""The skill model: an H-Net of two (or more, or one) stages over latent actions, causal throughout.

    z^l -> stage 1 (encoder, router, [stage 2 (encoder, router, [main], dechunk, decoder)], dechunk, decoder)
        -> prediction of z^l_{t+1}

The sequence blocks are LSTMs where H-Net has Mamba-2 (and a fast CPU kernel exists for them), or attention
over a window: all carry a state of bounded size, so that the model runs one step at a time on a robot; `step`
gives what `forward` gives. Shapes: B batch, T time, S time seen, J chunks, D width, Z latent action.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilam_core.cards import config_from
from hilam_core.checkpoint import load_checkpoint, restore
from hilam_core.errors import ConfigError, DataError
from hilam_core.skills.routing import (
    P_MIN,
    Change,
    ChangeRouter,
    CosineRouter,
    chunk,
    confidence,
    dechunk,
    spread,
)

BlockKind = Literal["recurrent", "attention"]


@dataclass
class SkillConfig:
    """Architecture of the skill model."""

    latent_dim: int = 0
    """Length of z^l; 0 takes it from the stored latent actions."""
    width: int = 64
    """Length of features and of skill vectors."""
    encoder_blocks: int = 1
    """Blocks in each stage's encoder."""
    main_blocks: int = 2
    """Blocks of the innermost network."""
    decoder_blocks: int = 1
    """Blocks in each stage's decoder."""
    language_model: str = ""
    """Whose embedding of the instruction every latent action is read with; empty: none, as in the paper."""
    language_dim: int = 0
    """Length of that embedding, which the language model decides."""
    stage_kind: BlockKind = "recurrent"
    """Blocks of encoders and decoders: LSTMs, or transformer blocks (attention)."""
    main_kind: BlockKind = "recurrent"
    """Blocks of the innermost network; H-Net has a transformer there."""
    attention_window: int = 32
    """attention: tokens that each one reads, itself included."""
    attention_heads: int = 4
    """attention: must divide the width."""
    chunk_lengths: tuple[float, ...] = (12.0, 1.4)
    """Target chunk length N of each stage, in that stage's tokens: 12 and 1.4 aim at skills of 17 frames, a
    phase of the scripted experts. The published routing wants shorter first chunks, 5 and 3."""
    routing: Literal["change", "published"] = "change"
    """change: cut at the strongest changes of latent actions; published: H-Net's learned cosine."""
    window: int = 2
    """change: latent actions on each side that are averaged and compared. 2 finds more than 3 or 4."""
    min_distance: int = 5
    """change: a boundary is the strongest change within this many latent actions on both sides, and known
    twice as many later. The moves of the scripted experts last 6 frames or more."""
    gap: int = -1
    """change: k of the latent actions, 0 for changes that show once; -1 takes it from the stored ones."""
    threshold: float = 0.5
    """A boundary where p is at least this, as in the paper; H-Net's own code cuts where p is greater."""
    min_change: float = 0.05
    """published: relative change of features below which p fades; 0 is H-Net to the letter."""
    residual_dropout: float = 0.5
    """Share of training sequences without the frame-rate residual: they train chunk vectors to carry all."""

    def __post_init__(self) -> None:
        for name, least in (
            ("latent_dim", 0),
            ("width", 1),
            ("main_blocks", 1),
            ("min_change", 0),
            ("window", 1),
            ("min_distance", 0),
            ("gap", -1),
            ("attention_window", 1),
            ("attention_heads", 1),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if min(self.encoder_blocks, self.decoder_blocks) < 0 or not 0 <= self.residual_dropout < 1:
            raise ConfigError(
                "blocks must not be negative and residual_dropout in [0, 1), got "
                f"{self.encoder_blocks}, {self.decoder_blocks}, {self.residual_dropout}"
            )
        if "attention" in (self.stage_kind, self.main_kind) and self.width % self.attention_heads:
            raise ConfigError(
                f"width must be a multiple of attention_heads, got {self.width} and {self.attention_heads}"
            )
        if not self.chunk_lengths or min(self.chunk_lengths) <= 1:
            raise ConfigError(f"chunk_lengths must be greater than 1, got {self.chunk_lengths}")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must be in (0, 1), got {self.threshold}")


BlockState = Any
"""What a block remembers: two vectors of an LSTM, or the last tokens of attention; None at first."""


@dataclass
class Route:
    """What a stage decided: p [B, T], b bool [B, T], zbar [B, T, D] and mask, on its own time axis."""

    p: Tensor
    b: Tensor
    zbar: Tensor
    mask: Tensor


@dataclass
class State:
    """What a stage (or the innermost network) remembers between steps; its size is fixed."""

    blocks: list[BlockState] = field(default_factory=list)
    before: Tensor | None = None
    value: Tensor | None = None
    latents: Tensor | None = None
    decoder: list[BlockState] = field(default_factory=list)
    inner: State | None = None


class Block(nn.Module):
    """x + mix(norm x), then x + MLP(norm x): causal, `mix` being an LSTM or attention over a window."""

    def __init__(self, config: SkillConfig, kind: BlockKind) -> None:
        super().__init__()
        width = config.width
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        if kind == "attention":
            self.attention = WindowAttention(width, config.attention_heads, config.attention_window)
        else:
            self.lstm = nn.LSTM(width, width, batch_first=True)
        self.kind = kind
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x_BTD: Tensor, state: BlockState = None) -> tuple[Tensor, BlockState]:
        mix = self._attend if self.kind == "attention" else self._recur
        y, state = mix(x_BTD, state)
        x_BTD = x_BTD + y
        return x_BTD + self.mlp(self.norm2(x_BTD)), state

    def _recur(self, x_BTD: Tensor, state: BlockState) -> tuple[Tensor, BlockState]:
        with torch.autocast("cpu", enabled=False):  # most CPUs cannot run an LSTM in bfloat16
            return self.lstm(self.norm1(x_BTD.float()), state)

    def _attend(self, x_BTD: Tensor, state: BlockState) -> tuple[Tensor, BlockState]:
        return self.attention(self.norm1(x_BTD), state)


class WindowAttention(nn.Module):
    """Causal attention over the last `window` tokens, itself included, with a learned bias for each distance.

    The state is the tokens that the next one will read: as many at most, whatever the length of the sequence.
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, window))

    def forward(self, x_BTD: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        seen_BSD = x_BTD if before is None else torch.cat([before, x_BTD], 1)
        q = self.query(x_BTD).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(seen_BSD).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self._mask(q.shape[2], k.shape[2]).to(q.dtype))
        return self.project(y.transpose(1, 2).flatten(2)), seen_BSD[:, max(0, k.shape[2] - self.window + 1) :]

    def _mask(self, count: int, seen: int) -> Tensor:
        """What is added to the scores [heads, T, S] of the last `count` tokens for all `seen`."""
        times = torch.arange(seen, device=self.bias.device)
        distance_TS = times[seen - count :, None] - times
        outside = (distance_TS < 0) | (distance_TS >= self.window)
        return self.bias[:, distance_TS.clamp(0, self.window - 1)].masked_fill(outside, float("-inf"))


class Blocks(nn.Module):
    """Some blocks of one kind and a final normalisation."""

    def __init__(self, config: SkillConfig, kind: BlockKind, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config, kind) for _ in range(count))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x_BTD: Tensor, states: list[BlockState] | None = None) -> tuple[Tensor, list]:
        states = states or [None] * len(self.blocks)
        after = []
        for block, state in zip(self.blocks, states, strict=True):
            x_BTD, state = block(x_BTD, state)
            after.append(state)
        return self.norm(x_BTD), after


class Main(nn.Module):
    """The innermost network, on the shortest sequence."""

    def __init__(self, config: SkillConfig) -> None:
        super().__init__()
        self.net = Blocks(config, config.main_kind, config.main_blocks)

    def forward(self, x: Tensor, mask: Tensor, strength: Tensor) -> tuple[Tensor, list[Route]]:
        return self.net(x)[0], []

    def step(self, x: Tensor, state: State, strength: Tensor) -> tuple[Tensor, list[Route]]:
        y, state.blocks = self.net(x, state.blocks)
        return y, []


class Stage(nn.Module):
    """Encoder, router, the network inside on the boundary tokens, dechunk, decoder."""

    def __init__(self, config: SkillConfig, length: float, inner: Stage | Main) -> None:
        super().__init__()
        self.encoder = Blocks(config, config.stage_kind, config.encoder_blocks)
        self.router: CosineRouter | ChangeRouter = (
            ChangeRouter(length)
            if config.routing == "change"
            else CosineRouter(config.width, config.min_change)
        )
        self.threshold = config.threshold
        self.inner = inner
        self.residual = nn.Linear(config.width, config.width)
        self.decoder = Blocks(config, config.stage_kind, config.decoder_blocks)
        self.residual_dropout = config.residual_dropout
        # Zero at first, as the paper says; H-Net's own code leaves the bias at torch's default.
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)

    def forward(self, x: Tensor, mask: Tensor, strength: Tensor) -> tuple[Tensor, list[Route]]:
        """strength [B, T, 2]: what `Change` says of each token."""
        h, _ = self.encoder(x)
        if self.training:
            self.router.observe(strength, mask)
        p = self.router(h[:, :-1], h[:, 1:], strength[:, 1:])
        p = torch.cat([torch.ones_like(h[:, :1, 0]), p], 1)
        b = (p >= self.threshold) & mask
        zhat, routes = self.inner(*chunk(h, b), chunk(_peaks(strength), b)[0])
        zbar = dechunk(zhat, p, b)
        y = self._residual(h) + zbar * confidence(p, b)[..., None]
        return self.decoder(y)[0], [Route(p, b, zbar, mask), *routes]

    def _residual(self, h: Tensor) -> Tensor:
        with torch.autocast(h.device.type, enabled=False):
            r = self.residual(h.float())
        if self.training and self.residual_dropout:
            r = r * (torch.rand(len(r), 1, 1, device=r.device) >= self.residual_dropout)
        return r

    def step(self, x: Tensor, state: State, strength: Tensor) -> tuple[Tensor, list[Route]]:
        """One token [1, 1, D]; updates `state`. The inner network runs at boundaries alone."""
        h, state.blocks = self.encoder(x, state.blocks)
        p = torch.ones_like(h[..., 0]) if state.before is None else self.router(state.before, h, strength)
        b = p >= self.threshold
        routes: list[Route] = []
        if b:
            state.inner = state.inner or State()
            zhat, routes = self.inner.step(h, state.inner, _peaks(strength))
            P = p.clamp(P_MIN, 1 - P_MIN)[..., None]
            state.value = P * zhat + (1 - P) * (0 if state.value is None else state.value)
        assert state.value is not None  # the first token is a boundary
        y, state.decoder = self.decoder(self._residual(h) + state.value, state.decoder)
        state.before = h
        return y, [Route(p, b, state.value, torch.ones_like(b)), *routes]


def _peaks(strength: Tensor) -> Tensor:
    """Strengths for the stage inside, whose tokens are peaks already."""
    return torch.stack([strength[..., 0], torch.ones_like(strength[..., 0])], -1)


class SkillModel(nn.Module):
    """As many stages of dynamic chunking as there are `chunk_lengths`; predicts the next latent action."""

    def __init__(self, config: SkillConfig) -> None:
        super().__init__()
        if config.latent_dim < 1:
            raise ConfigError(f"latent_dim must be at least 1, got {config.latent_dim}")
        if config.routing == "change" and config.gap < 0:
            raise ConfigError(f"gap must be that of the latent actions, got {config.gap}")
        self.config = config
        self.embed = nn.Linear(config.latent_dim, config.width)
        self.instruct = nn.Linear(config.language_dim, config.width) if config.language_dim else None
        self.change = (
            Change(config.window, config.gap, config.min_distance) if config.routing == "change" else None
        )
        net: Stage | Main = Main(config)
        for length in reversed(config.chunk_lengths):
            net = Stage(config, length, net)
        self.net = net
        self.head = nn.Linear(config.width, config.latent_dim)

    def forward(
        self, z_BTZ: Tensor, mask_BT: Tensor | None = None, language_BL: Tensor | None = None
    ) -> tuple[Tensor, list[Route]]:
        """(prediction of z^l_{t+1} [B, T, Z], routes of stage 1, 2, ...) from z^l; padding at the end.

        language_BL: embeddings of the instructions, for a model that reads them.

        Raises DataError for latent actions that are not finite: NaN would prevent all later boundaries.
        """
        _require_finite(z_BTZ)
        mask = (
            torch.ones(z_BTZ.shape[:2], dtype=torch.bool, device=z_BTZ.device) if mask_BT is None else mask_BT
        )
        # Without gradient: changes decide where to cut, which z^l must not learn to please.
        y, routes = self.net(self._read(z_BTZ, language_BL), mask, self._strength(z_BTZ.detach()))
        return self.head(y), routes

    @property
    def delay(self) -> int:
        """Steps between a change and its boundary."""
        return self.change.delay if self.change else 0

    def _strength(self, z_BTZ: Tensor) -> Tensor:
        return self.change(z_BTZ) if self.change else z_BTZ.new_zeros(*z_BTZ.shape[:2], 2)

    def _read(self, z_BTZ: Tensor, language_BL: Tensor | None) -> Tensor:
        if self.instruct is None:
            return self.embed(z_BTZ)
        assert language_BL is not None, "this skill model reads the instruction"
        return self.embed(z_BTZ) + self.instruct(language_BL)[:, None]

    def step(self, z_Z: Tensor, state: State, language_L: Tensor | None = None) -> tuple[Tensor, list[Route]]:
        """(prediction [Z], routes of shape [1, 1]) from the next latent action [Z].

        `state` starts as State() and is updated. A stage beyond the first has a route only at the steps where
        the stage before it had a boundary.
        """
        _require_finite(z_Z)
        z = z_Z[None, None]
        latents = z if state.latents is None else torch.cat([state.latents, z], 1)
        state.latents = latents[:, -(self.change.memory if self.change else 1) :]
        x = self._read(z, None if language_L is None else language_L[None])
        y, routes = self.net.step(x, state, self._strength(state.latents)[:, -1:])
        return self.head(y)[0, 0], routes


def _require_finite(z: Tensor) -> None:
    finite = z.isfinite()
    if not finite.all():
        place = (~finite).nonzero()[0].tolist()
        raise DataError(f"the skill model was given a latent action that is not finite, at {place}")


@dataclass
class Skills:
    """One stage on the frame axis: composed boundary, its probability, zbar^s, segment number (from 1)."""

    b: Tensor
    p: Tensor
    z: Tensor
    segment: Tensor


def to_frame_rate(routes: list[Route]) -> list[Skills]:
    """From each stage's own time axis to frames: zbar^s_t = z^s_{k^s_t}, k^s = cumsum(bbar^s)."""
    skills: list[Skills] = []
    outer: list[Tensor] = []
    for route in routes:
        b, p, z = route.b, route.p, route.zbar
        for outer_b in reversed(outer):
            b = spread(b[..., None], outer_b)[..., 0] & outer_b
            p = spread(p[..., None], outer_b)[..., 0] * outer_b
            z = spread(z, outer_b)
        skills.append(Skills(b, p, z, b.cumsum(1)))
        outer.append(route.b)
    return skills


def load_skills(folder: str | Path, device: str = "cpu") -> tuple[SkillModel, dict[str, Any]]:
    """A trained skill model, in evaluation mode, and its card."""
    state, card = load_checkpoint(folder, "skills")
    model = SkillModel(config_from(SkillConfig, card["config"], folder))
    restore(model, state, folder)
    return model.to(device).eval(), card
