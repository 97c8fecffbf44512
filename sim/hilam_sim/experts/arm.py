"""The robot and the objects as the expert sees them: privileged state, and actions towards a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.env import LiberoEnv
from hilam_sim.experts.planning import ELBOW, STRETCHED_RAD, Scratch
from hilam_sim.experts.pose import Pose
from hilam_sim.geometry import object_points

OPEN, CLOSE = -1.0, 1.0
RELEASE_OFFSET_M = 0.012  # at most: an object on another counts within 30 mm of its middle

_POSITION_SCALE_M, _ROTATION_SCALE_RAD = 0.05, 0.5  # of OSC_POSE's unit action
_PULL_M = _POSITION_SCALE_M  # full speed, for an elbow that is bent the wrong way
_STRAIGHT_ARM_M = 0.707  # from shoulder to wrist; at 0.719 the arm is straight, and its elbow may turn over
_GAIN = 1.5  # on the position error: the arm covers about a third of an action's reach in a step
# The noise on the translation is correlated over about five steps (a quarter of a second): white noise would
# average out in the arm's inertia. The second factor keeps its standard deviation at `Style.noise`.
_DRIFT, _DRIFT_NOISE = 0.8, 0.6  # 0.8^2 + 0.6^2 = 1
_TURN_NOISE = 0.2  # of `Style.noise`: a tilted hand misses the object, a shifted one is corrected


@dataclass(frozen=True)
class Style:
    """What distinguishes one demonstrator from the next.

    Attributes:
        speed: Share of the fastest action. Below 0.75 long tasks exceed their suite's step limit.
        hover_m: Height above a grasp from which the hand descends, less 2 cm.
        clearance_m: Between what is carried and what it is carried over.
        bow_m: How far paths through the open bend, [3], world frame.
        yaw_rad: Of the hand, beside the one planned. One in three hundred turns by more than 10 degrees.
        grasp_offset_m: Beside the grasp planned, [3]: along the fingers' motion, along their pads (16 mm
            wide: 3 mm keep them on the object), and one that is not used.
        release_offset_m: Beside the place aimed at, [2], at most `RELEASE_OFFSET_M` each.
        noise: Standard deviation of what is added to a translation in [-1, 1].
    """

    speed: float
    hover_m: float
    clearance_m: float
    bow_m: np.ndarray
    yaw_rad: float
    grasp_offset_m: np.ndarray
    release_offset_m: np.ndarray
    noise: float

    @staticmethod
    def sample(rng: np.random.Generator) -> Style:
        """Draw a style.

        The order of the draws is part of what a seed means: a new attribute is drawn last.
        """
        return Style(
            speed=rng.uniform(0.75, 1.0),
            hover_m=rng.uniform(0.05, 0.09),
            clearance_m=rng.uniform(0.03, 0.06),
            bow_m=rng.normal(0.0, 0.02, 3),
            yaw_rad=rng.normal(0.0, 0.06),
            grasp_offset_m=rng.uniform(-1.0, 1.0, 3) * (0.006, 0.003, 0.004),
            release_offset_m=rng.uniform(-1.0, 1.0, 2) * RELEASE_OFFSET_M,
            # The first of two belonged to an attribute that is gone: without it a seed gave another episode.
            noise=float(rng.uniform(0.01, 0.06, 2)[1]),
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
        """The target [3], or the nearest point to it before the arm is straight.

        An arm pulled beyond that bends its elbow the other way. Then the point lies further out along the
        arm, which brings the elbow back.
        """
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
        way = _GAIN * (self._within_reach(target.position) - self.position) / _POSITION_SCALE_M
        way *= min(1.0, speed / max(float(np.linalg.norm(way)), 1e-9))
        self._drift = _DRIFT * self._drift + self.rng.normal(0.0, _DRIFT_NOISE * noise, 3)
        turn = self.turn_to(target.rotation) / _ROTATION_SCALE_RAD
        turn *= min(1.0, 1.0 / max(float(np.linalg.norm(turn)), 1e-9))
        turn += self.rng.normal(0.0, _TURN_NOISE * noise, 3)
        action = np.concatenate([way + self._drift * (noise > 0), turn, [self.gripper]])
        return np.clip(action, -1.0, 1.0).astype(np.float32)
