"""What a robot runs: preprocessing, the skill planner (pi^h), the action executor (pi^l). Imports no training
code."""

from hilam_core.checkpoint import CheckpointError
from hilam_core.observation import (
    Observation,
    ObservationError,
    ObservationSpec,
    RawObservation,
    prepare_image,
    preprocess,
    proprioception,
)
from hilam_core.policy.instructions import LanguageError
from hilam_core.policy.policy import Policy, load_policy, random_policy
from hilam_core.runtime.control import (
    ActionExecutor,
    NonFiniteError,
    PolicyRunner,
    Skill,
    SkillPlanner,
    TemporalAggregation,
    load_runner,
)

__all__ = [
    "ActionExecutor",
    "CheckpointError",
    "LanguageError",
    "NonFiniteError",
    "Observation",
    "ObservationError",
    "ObservationSpec",
    "Policy",
    "PolicyRunner",
    "RawObservation",
    "Skill",
    "SkillPlanner",
    "TemporalAggregation",
    "load_policy",
    "load_runner",
    "prepare_image",
    "preprocess",
    "proprioception",
    "random_policy",
]
