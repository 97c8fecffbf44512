"""The loss of the skill model, L = L_latent + lambda_rec L_rec + lambda_ratio L_ratio."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hilam_core.distributed import shared_mean
from hilam_core.errors import ConfigError
from hilam_core.lam.protocol import LatentActionModel
from hilam_core.skills.model import SkillModel


@dataclass
class LossConfig:
    """Weights of the losses."""

    rec: float = 1.0
    """lambda_rec, of the decoded future frame; where the latent action model learns too, also of the frame
    decoded from its own z^l."""
    ratio: float = 0.1
    """lambda_ratio, of the target chunk lengths. H-Net uses 0.03 beside its cross-entropy; the l1 here
    ends near 0.1, and this holds the lengths near their targets."""
    rec_frames: int = 32
    """Frames of all cameras decoded for L_rec in each batch; 0 leaves L_rec out."""
    motion_gain: float = 20.0
    """How much more a moving pixel counts in L_rec."""

    def __post_init__(self) -> None:
        for name in ("rec", "ratio", "rec_frames", "motion_gain"):
            if getattr(self, name) < 0:
                raise ConfigError(f"loss.{name} must not be negative, got {getattr(self, name)}")


def ratio_loss(p: Tensor, b: Tensor, mask: Tensor, target: float) -> Tensor:
    """N/(N-1) ((N-1) F G + (1-F)(1-G)), with F = mean(b) and G = mean(p) over the mask, N = target.

    It is 1 at F = G = 1/N.
    """
    count = mask.sum()
    fraction, mean = shared_mean((b & mask).sum(), count), shared_mean((p * mask).sum(), count)
    return target / (target - 1) * ((target - 1) * fraction * mean + (1 - fraction) * (1 - mean))


def skill_loss(
    model: SkillModel, lam: LatentActionModel | None, batch: dict[str, Tensor], config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The three losses; `lam` is needed where the batch holds frames for L_rec, and as a rule frozen."""
    z, mask = batch["z"], batch["mask"]
    predicted, routes = model(z, mask, batch.get("language"))
    follows = mask[:, 1:, None]
    errors = (predicted[:, :-1] - z[:, 1:]).abs() * follows
    latent = shared_mean(errors.sum(), follows.sum() * z.shape[-1])
    loss = latent
    if model.config.routing == "published":  # else the routers' moving thresholds hold the lengths
        lengths = zip(routes, model.config.chunk_lengths, strict=True)
        loss = loss + config.ratio * sum(ratio_loss(r.p, r.b, r.mask, n) for r, n in lengths)
    scalars = {"latent": latent.detach()}
    if "now" in batch:
        assert lam is not None, "L_rec needs the latent action model"
        chosen = predicted[batch["rows"], batch["times"]].reshape(-1, lam.latent_dim)  # a row a camera
        rec, _ = lam.decoding_loss(batch["now"], batch["future"], chosen, config.motion_gain)
        loss = loss + config.rec * rec
        scalars["rec"] = rec.detach()
    for s, route in enumerate(routes, 1):
        scalars[f"tokens_per_chunk{s}"] = shared_mean(route.mask.sum(), route.b.sum())
    return loss, scalars
