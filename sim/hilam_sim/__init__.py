"""LIBERO on MuJoCo: tasks, placements, experts, recording and parallel rollouts."""

from hilam_sim.backend import importable_gl
from hilam_sim.errors import SimError

with importable_gl():
    import mujoco  # noqa: F401

from hilam_sim.env import LiberoEnv

__all__ = ["LiberoEnv", "SimError"]
