"""LIBERO on MuJoCo: tasks, placements, experts, recording and parallel rollouts."""

from hilam_sim.backend import check_gl_name
from hilam_sim.errors import SimError

check_gl_name()  # before mujoco, which ends in a traceback

from hilam_sim.env import LiberoEnv  # noqa: E402

__all__ = ["LiberoEnv", "SimError"]
