"""LIBERO on MuJoCo: tasks, placements, experts, recording and parallel rollouts."""

from hilam_sim.env import LiberoEnv
from hilam_sim.errors import SimError

__all__ = ["LiberoEnv", "SimError"]
