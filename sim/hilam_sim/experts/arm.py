"""The robot and the objects as the skills see them: privileged state, and actions towards a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.env import LiberoEnv
from hilam_sim.experts.planning import ELBOW, STRETCHED_RAD, Scratch
from hilam_sim.experts.pose import Pose, turned
from hilam_sim.geometry import object_points

__all__ = ["CLOSE", "OPEN", "Arm", "Pose", "Style", "turned"]

OPEN, CLOSE = -1.0, 1.0

_PULL_M = 0.05
_STRAIGHT_ARM_M = 0.707  # shoulder to wrist; 0.719 is the end
_POSITION_SCALE_M, _ROTATION_SCALE_RAD = 0.05, 0.5  # of OSC_POSE's unit action
_GAIN = 1.5  # on the position error: the arm covers about a third of an action's reach in a step


@dataclass(frozen=True)
class Style:
    """What distinguishes one demonstrator from the next."""

    speed: float
    hover_m: float
    clearance_m: float
    bow_m: np.ndarray
    yaw_rad: float
    grasp_offset_m: np.ndarray
    release_offset_m: np.ndarray
    release_height_m: float
    noise: float

    @staticmethod
    def sample(rng: np.random.Generator) -> Style:
        """Draw a style."""
        return Style(
            speed=rng.uniform(0.75, 1.0),
            hover_m=rng.uniform(0.05, 0.09),
            clearance_m=rng.uniform(0.03, 0.06),
            bow_m=rng.normal(0.0, 0.02, 3),
            yaw_rad=rng.normal(0.0, 0.06),
            grasp_offset_m=rng.uniform(-1.0, 1.0, 3) * (0.006, 0.003, 0.004),
            release_offset_m=rng.uniform(-1.0, 1.0, 2) * 0.012,
            release_height_m=rng.uniform(0.02, 0.05),
            noise=rng.uniform(0.01, 0.06),
        )


class Arm:
    """The robot, its demonstrator's style, and what surrounds it."""

    def __init__(self, env: LiberoEnv, rng: np.random.Generator) -> None:
        self.env = env
        self.rng = rng
        self.style = Style.sample(rng)
        self.gripper = OPEN
        self._site = env.problem.robots[0].eef_site_id
        self._shoulder, self._wrist = (env.model.body(f"robot0_link{i}").id for i in (2, 6))
        self._elbow = env.problem.robots[0]._ref_joint_pos_indexes[ELBOW]
        self._drift = np.zeros(3)
        self.scratch = Scratch(env)

    @property
    def pose(self) -> Pose:
        """Grip site, world frame."""
        data = self.env.data
        return Pose(data.site_xpos[self._site].copy(), data.site_xmat[self._site].reshape(3, 3).copy())

    @property
    def position(self) -> np.ndarray:
        """Grip site, m, world frame."""
        return self.env.data.site_xpos[self._site].copy()

    @property
    def opening_m(self) -> float:
        """Distance between the fingers."""
        return float(
            np.abs(self.env.data.qpos[self.env.problem.robots[0]._ref_gripper_joint_pos_indexes]).sum()
        )

    def object_position(self, name: str) -> np.ndarray:
        """Origin of an object, m, world frame."""
        return self.env.data.xpos[self.env.problem.obj_body_id[name]].copy()

    def object_pose(self, name: str) -> Pose:
        """Origin and axes of an object, world frame."""
        body = self.env.problem.obj_body_id[name]
        return Pose(self.env.data.xpos[body].copy(), self.env.data.xmat[body].reshape(3, 3).copy())

    def holds(self, *goal: str) -> bool:
        """Whether a predicate of the task's goal is true now."""
        return bool(self.env.problem._eval_predicate(list(goal)))

    def bounds(self, name: str) -> np.ndarray:
        """Low and high corner [2, 3] of an object's shape, m, world frame."""
        points = object_points(self.env.problem, name)
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def speed_of(self, name: str) -> float:
        """Linear speed of an object, m/s."""
        body = self.env.model.body(self.env.problem.obj_body_id[name])
        return float(np.linalg.norm(self.env.data.qvel[body.dofadr[0] : body.dofadr[0] + 3]))

    def _within_reach(self, position: np.ndarray) -> np.ndarray:
        """The target, or where a straight arm ends. Pulled further, the elbow bends the wrong way: then out,
        to where it comes back."""
        shoulder, wrist = self.env.data.xpos[self._shoulder], self.env.data.xpos[self._wrist]
        away = position + wrist - self.position - shoulder
        if self.env.data.qpos[self._elbow] > STRETCHED_RAD:
            out = (wrist - shoulder) / np.linalg.norm(wrist - shoulder)
            return self.position + _PULL_M * out
        return position - away * max(0.0, 1.0 - _STRAIGHT_ARM_M / float(np.linalg.norm(away)))

    def turn_to(self, rotation: np.ndarray) -> np.ndarray:
        """Rotation vector [3] in rad, world frame, from the present orientation to `rotation` [3, 3]."""
        return Rotation.from_matrix(rotation @ self.pose.rotation.T).as_rotvec()

    def action_towards(self, target: Pose, speed: float, noise: float) -> np.ndarray:
        """The action, float32 [7], that moves the grip site towards `target`, at most `speed` of full."""
        move = _GAIN * (self._within_reach(target.position) - self.position) / _POSITION_SCALE_M
        move *= min(1.0, speed / max(float(np.linalg.norm(move)), 1e-9))
        self._drift = 0.8 * self._drift + self.rng.normal(0.0, 0.6 * noise, 3)
        turn = self.turn_to(target.rotation) / _ROTATION_SCALE_RAD
        turn *= min(1.0, 1.0 / max(float(np.linalg.norm(turn)), 1e-9))
        turn += self.rng.normal(0.0, 0.2 * noise, 3)
        action = np.concatenate([move + self._drift * (noise > 0), turn, [self.gripper]])
        return np.clip(action, -1.0, 1.0).astype(np.float32)
