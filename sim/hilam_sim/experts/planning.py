"""Planning in a scratch copy of the simulation: whether the arm reaches a pose, and what would touch."""

from __future__ import annotations

from collections.abc import Iterable

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from hilam_sim.env import LiberoEnv
from hilam_sim.experts.pose import Pose
from hilam_sim.geometry import bodies_below

_IK_STEPS = 50  # all but 5 in 1000 of the poses asked for in episodes take ten or fewer
_IK_DAMPING = 1e-4  # of the squared singular values: near a singular posture steps stay short
_STEP_M, _STEP_RAD = 0.08, 0.4  # at most, a step: the Jacobian holds only near the posture it was taken in
_HOME_GAIN, _HOME_DECAY = 0.2, 0.9  # pull to the rest posture; it fades, as it keeps the hand off its goal
_REACHED_M, _REACHED_RAD = 0.004, 0.04  # what the real arm misses by anyway
_LIMIT_MARGIN_RAD = 0.08  # from a joint's limit, which the controller does not know of
ELBOW, STRETCHED_RAD = 3, -0.47  # beyond, the arm bends the other way and does not come back
_FALL_STEPS = 400  # of 2 ms: a fall from 13 cm takes 160 ms, the rest is to come to rest
_FALL_AT_LEAST = 120  # steps: before, a tall object may stand still on its edge for a moment
_STILL = 0.02  # m/s or rad/s, as `moves.settle` asks
_WILD = 30.0  # m/s or rad/s: it started inside something
_TOUCH_M = 0.0015  # contacts less deep than this are no collisions: objects lie in each other's margins


def _clipped(vector: np.ndarray, length: float) -> np.ndarray:
    """At most `length` long."""
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-9))


class Scratch:
    """A copy of the world in which arm and objects can be put anywhere; contacts, but no motion."""

    def __init__(self, env: LiberoEnv) -> None:
        robot = env.problem.robots[0]
        self.model = env.model
        self.data = mujoco.MjData(self.model)
        self._live = env.data
        self._problem = env.problem
        self._site = robot.eef_site_id
        self._qpos = np.array(robot._ref_joint_pos_indexes)
        self._dofs = np.array(robot._ref_joint_vel_indexes)
        self._fingers = np.array(robot._ref_gripper_joint_pos_indexes)
        self._robot_qpos = np.concatenate([self._qpos, self._fingers])
        self._robot_dofs = np.concatenate([self._dofs, robot._ref_gripper_joint_vel_indexes])
        self._limits = self.model.jnt_range[self.model.dof_jntid[self._dofs]].T + np.array(
            [[_LIMIT_MARGIN_RAD], [-_LIMIT_MARGIN_RAD]]
        )
        self._limits[1, ELBOW] = STRETCHED_RAD - 0.1  # the real arm overshoots a little
        self._rest = np.array(robot.init_qpos)
        self._jacobian = np.zeros((6, self.model.nv))
        self._is_robot = np.isin(
            self.model.geom_bodyid, bodies_below(self.model, self.model.body("robot0_base").id)
        )

    def refresh(self) -> None:
        """Take over the present state of the world."""
        self.data.qpos[:] = self._live.qpos
        mujoco.mj_kinematics(self.model, self.data)

    def reach(self, pose: Pose) -> bool:
        """Bring the grip site to `pose`; whether that is possible."""
        model, data = self.model, self.data
        for step_number in range(_IK_STEPS):
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            away, turn = pose.position - data.site_xpos[self._site], self._turn(pose.rotation)
            if np.linalg.norm(away) < _REACHED_M and np.linalg.norm(turn) < _REACHED_RAD:
                return True
            error = np.concatenate([_clipped(away, _STEP_M), _clipped(turn, _STEP_RAD)])
            mujoco.mj_jacSite(model, data, self._jacobian[:3], self._jacobian[3:], self._site)
            jacobian = self._jacobian[:, self._dofs]
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + _IK_DAMPING * np.eye(6))
            home = _HOME_GAIN * _HOME_DECAY**step_number * (self._rest - data.qpos[self._qpos])
            step = inverse @ error + home - inverse @ (jacobian @ home)
            step *= min(1.0, _STEP_RAD / max(float(np.abs(step).max()), 1e-9))
            data.qpos[self._qpos] = np.clip(data.qpos[self._qpos] + step, *self._limits)
        return False

    def _turn(self, rotation: np.ndarray) -> np.ndarray:
        present = self.data.site_xmat[self._site].reshape(3, 3)
        return Rotation.from_matrix(rotation @ present.T).as_rotvec()

    def open_hand(self, opening_m: float = 0.08) -> None:
        """Put the fingers `opening_m` apart."""
        self.data.qpos[self._fingers] = (opening_m / 2, -opening_m / 2)

    def put(self, name: str, pose: Pose) -> None:
        """Put an object's origin at a pose (here not of the grip site)."""
        address = self._address(name)
        self.data.qpos[address : address + 3] = pose.position
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, pose.rotation.ravel())
        self.data.qpos[address + 3 : address + 7] = quaternion

    def _address(self, name: str) -> int:
        body = self._problem.obj_body_id[name]
        return int(self.model.jnt_qposadr[self.model.body_jntadr[body]])

    def fall(self, name: str) -> Pose | None:
        """Where an object comes to rest when let go in its present pose, the arm being out of the way.

        None where it does not within `_FALL_STEPS`, or where it started inside something.
        """
        data = self.data
        body = self._problem.obj_body_id[name]
        dof = self.model.body_dofadr[body]
        still = self._live.qpos[self._robot_qpos]
        data.qpos[self._robot_qpos] = still
        data.qvel[:], data.qacc_warmstart[:] = 0.0, 0.0
        for step in range(_FALL_STEPS):
            mujoco.mj_step(self.model, data)
            data.qpos[self._robot_qpos], data.qvel[self._robot_dofs] = still, 0.0
            if np.abs(data.qvel).max() > _WILD:
                return None
            if step > _FALL_AT_LEAST and np.abs(data.qvel[dof : dof + 6]).max() < _STILL:
                return Pose(data.xpos[body].copy(), data.xmat[body].reshape(3, 3).copy())
        return None

    def depth(self, names: Iterable[str] = (), robot: bool = False) -> float:
        """How deep the named objects (as one body) and the robot penetrate anything else, m."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_collision(self.model, self.data)
        mine = self._is_robot if robot else np.zeros(self.model.ngeom, dtype=bool)
        for name in names:
            bodies = bodies_below(self.model, self._problem.obj_body_id[name])
            mine = mine | np.isin(self.model.geom_bodyid, bodies)
        count = self.data.ncon
        if count == 0:
            return 0.0
        pairs = self.data.contact.geom[:count]
        ours = mine[pairs]
        others = ~ours & (self._is_robot[pairs] if not robot else False)
        matters = (ours.sum(axis=1) == 1) & ~others.any(axis=1)
        return float(max(0.0, -self.data.contact.dist[:count][matters].min(initial=0.0)))

    def is_free(self, names: Iterable[str] = (), robot: bool = False) -> bool:
        """Whether they touch nothing else."""
        return self.depth(names, robot) < _TOUCH_M
