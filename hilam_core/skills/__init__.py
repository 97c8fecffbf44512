"""Skills: variable-length segments of latent actions, discovered by a two-stage H-Net, one vector each."""

from hilam_core.skills.batches import SkillBatches
from hilam_core.skills.evaluate import (
    boundary_scores,
    evaluate_skills,
    neighbour_report,
    segmentation_report,
    segments_of,
)
from hilam_core.skills.extract import extract_skills
from hilam_core.skills.joint import JointModel, evaluate_joint, joint_loss
from hilam_core.skills.loss import LossConfig, ratio_loss, skill_loss
from hilam_core.skills.model import Route, SkillConfig, SkillModel, load_skills
from hilam_core.skills.routing import Change, ChangeRouter, CosineRouter, chunk, confidence, dechunk

__all__ = [
    "Change",
    "ChangeRouter",
    "CosineRouter",
    "JointModel",
    "LossConfig",
    "Route",
    "SkillBatches",
    "SkillConfig",
    "SkillModel",
    "boundary_scores",
    "chunk",
    "confidence",
    "dechunk",
    "evaluate_joint",
    "evaluate_skills",
    "extract_skills",
    "joint_loss",
    "load_skills",
    "neighbour_report",
    "ratio_loss",
    "segmentation_report",
    "segments_of",
    "skill_loss",
]
