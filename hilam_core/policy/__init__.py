"""Policies: BAKU, flat or as the two levels of HiLAM, with their image encoders and language model."""

from hilam_core.policy.baku import Baku, BakuConfig
from hilam_core.policy.language import LanguageError, embed_instruction
from hilam_core.policy.model import (
    Policy,
    PolicyConfig,
    load_policy,
    random_policy,
    read_policy_config,
    save_policy,
)
from hilam_core.policy.vision import EncoderConfig

__all__ = [
    "Baku",
    "BakuConfig",
    "EncoderConfig",
    "LanguageError",
    "Policy",
    "PolicyConfig",
    "embed_instruction",
    "load_policy",
    "random_policy",
    "read_policy_config",
    "save_policy",
]
