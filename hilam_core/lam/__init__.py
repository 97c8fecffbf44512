"""Latent action model: what changed between two frames, as a small vector learned without action labels."""

from hilam_core.lam.batches import FramePairs
from hilam_core.lam.encoder import to_input
from hilam_core.lam.evaluate import action_probe, evaluate_lam
from hilam_core.lam.extract import extract_latents
from hilam_core.lam.loss import lam_loss
from hilam_core.lam.model import LAMConfig, LatentActionModel, load_lam

__all__ = [
    "FramePairs",
    "LAMConfig",
    "LatentActionModel",
    "action_probe",
    "evaluate_lam",
    "extract_latents",
    "lam_loss",
    "load_lam",
    "to_input",
]
