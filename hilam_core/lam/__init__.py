"""Latent action models: what changed between two frames, as a small vector learned without action labels.

One protocol (`protocol`), two implementations: the compact pair and UniSkill's.
"""

from hilam_core.lam.batches import FramePairs
from hilam_core.lam.compact import CompactConfig, CompactLAM
from hilam_core.lam.evaluate import action_probe, evaluate_lam
from hilam_core.lam.extract import extract_latents, extract_views
from hilam_core.lam.model import load_lam
from hilam_core.lam.protocol import LatentActionModel, to_input
from hilam_core.lam.uniskill import UniSkillConfig, UniSkillLAM

__all__ = [
    "CompactConfig",
    "CompactLAM",
    "FramePairs",
    "LatentActionModel",
    "UniSkillConfig",
    "UniSkillLAM",
    "action_probe",
    "evaluate_lam",
    "extract_latents",
    "extract_views",
    "load_lam",
    "to_input",
]
