"""Latent action model: what changed between two frames, as a small vector learned without action labels."""

from hilam_core.lam.encoder import EncoderConfig, ImageEncoder, to_input
from hilam_core.lam.model import LAMConfig, LatentActionModel, load_lam
from hilam_core.lam.training import FramePairs, evaluate_lam, lam_loss

__all__ = [
    "EncoderConfig",
    "FramePairs",
    "ImageEncoder",
    "LAMConfig",
    "LatentActionModel",
    "evaluate_lam",
    "lam_loss",
    "load_lam",
    "to_input",
]
