"""The operational space controller (OSC_POSE) and one control step: robosuite's arithmetic in fewer calls.

robosuite runs its controller in Python at every 2 ms substep: it evaluates positions and velocities three
times and the contact solver three times, looks up names, allocates matrices and samples observables. Here the
state is read once into matrices that stay, the law is a few numpy calls around robosuite's own compiled
functions, and the solver runs once. Torques equal robosuite's in every state; accelerations agree to the
solver's tolerance, because its warm start is part of the result. With `exact` the solver runs three times,
and whole trajectories equal stock LIBERO's to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from hilam_sim.errors import SimError

_GRIPPER_SPEED = 0.01  # of the half range, a substep: robosuite's own, 8 control steps from open to closed


class OperationalSpaceController:
    """robosuite's OSC_POSE for one arm, reading MuJoCo's arrays in place.

    Args:
        controller: The robosuite controller to take gains and limits from.
        site: Id of the controlled site.

    Raises:
        SimError: a controller configured in a way that LIBERO's never is.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, controller: Any, site: int) -> None:
        from robosuite.utils import control_utils

        dofs = controller.joint_dim
        if not list(controller.qpos_index) == list(controller.qvel_index) == list(range(dofs)):
            raise SimError("the arm's joints must come first in the model: this is no LIBERO scene")
        if controller.name != "OSC_POSE" or controller.interpolator_pos is not None:
            raise SimError(f"only OSC_POSE without interpolation is supported, not {controller.name}")
        self._model, self._data, self._site, self._functions = model, data, site, control_utils
        self._scale = 0.5 * (controller.output_max - controller.output_min)
        self._kp, self._kd = controller.kp, controller.kd
        self._site_pos, self._site_mat = data.site_xpos[site], data.site_xmat[site].reshape(3, 3)
        self._joint_pos, self._joint_vel = data.qpos[:dofs], data.qvel[:dofs]
        self._bias = data.qfrc_bias[:dofs]
        self._jacobian = np.zeros((6, model.nv))
        self._mass_index = _mass_index(model, dofs)
        # The state last read. Column-major like robosuite's: the compiled functions round accordingly.
        self._pos, self._mat, self._velocity = np.zeros(3), np.zeros((3, 3)), np.zeros(6)
        self._q, self._dq = np.zeros(dofs), np.zeros(dofs)
        self._mass = np.zeros((dofs, dofs), order="F")
        self._j = np.zeros((6, dofs), order="F")
        self._j_pos, self._j_ori = np.zeros((3, dofs), order="F"), np.zeros((3, dofs), order="F")
        # The goal, and what is left of it.
        self._rest, self._goal_pos, self._goal_mat = np.zeros(dofs), np.zeros(3), np.zeros((3, 3))
        self._error, self._wrench = np.zeros(6), np.zeros(6)

    def adopt(self, controller: Any) -> None:
        """Continue where robosuite's freshly reset controller stands: its goal, and the state it read."""
        for mine, its in (
            (self._rest, controller.initial_joint),
            (self._goal_pos, controller.goal_pos),
            (self._goal_mat, controller.goal_ori),
            (self._pos, controller.ee_pos),
            (self._mat, controller.ee_ori_mat),
            (self._velocity[:3], controller.ee_pos_vel),
            (self._velocity[3:], controller.ee_ori_vel),
            (self._q, controller.joint_pos),
            (self._dq, controller.joint_vel),
            (self._mass, controller.mass_matrix),
            (self._j, controller.J_full),
            (self._j_pos, controller.J_pos),
            (self._j_ori, controller.J_ori),
        ):
            mine[:] = its

    def read(self) -> None:
        """Read the arm's state; positions and velocities must have been evaluated."""
        data, jacobian = self._data, self._jacobian
        mujoco.mj_jacSite(self._model, data, jacobian[:3], jacobian[3:], self._site)
        np.dot(jacobian[:3], data.qvel, out=self._velocity[:3])
        np.dot(jacobian[3:], data.qvel, out=self._velocity[3:])
        self._j[:] = arm = jacobian[:, : len(self._q)]
        self._j_pos[:], self._j_ori[:] = arm[:3], arm[3:]
        self._pos[:], self._mat[:] = self._site_pos, self._site_mat
        self._q[:], self._dq[:] = self._joint_pos, self._joint_vel
        data.qM.take(self._mass_index, out=self._mass.T, mode="clip")

    def hold(self) -> None:
        """Make the state last read the goal."""
        self._goal_pos, self._goal_mat = self._pos.copy(), self._mat.copy()

    def set_goal(self, action: np.ndarray) -> None:
        """Move the goal to the state last read plus `action`, float64 [6] in [-1, 1]."""
        delta = action * self._scale
        np.add(self._pos, delta[:3], out=self._goal_pos)
        if delta[3:].any():  # without a rotation the orientation aimed at stays
            self._goal_mat = self._functions.set_goal_orientation(delta[3:], self._mat)

    def aim(self, position: np.ndarray, rotation: np.ndarray) -> None:
        """Make a pose of the site the goal: position float64 [3] m, rotation [3, 3], world frame."""
        self._goal_pos[:], self._goal_mat = position, rotation

    def stiffen(self, stiffness: float) -> None:
        """Another stiffness in 1/s^2 than LIBERO's 150, critically damped."""
        self._kp = np.full(6, stiffness)
        self._kd = 2 * np.sqrt(self._kp)

    def site_rotation(self) -> np.ndarray:
        """The site's rotation now, float64 [3, 3], world frame."""
        return self._site_mat

    def torques(self) -> np.ndarray:
        """Joint torques in Nm, float64 [7], for the state last read and the current goal."""
        error, wrench = self._error, self._wrench
        np.subtract(self._goal_pos, self._pos, out=error[:3])
        error[3:] = self._functions.orientation_error(self._goal_mat, self._mat)
        np.multiply(error, self._kp, out=wrench)
        wrench -= self._velocity * self._kd
        _, lambda_pos, lambda_ori, nullspace = self._functions.opspace_matrices(
            self._mass, self._j, self._j_pos, self._j_ori
        )
        wrench[:3], wrench[3:] = np.dot(lambda_pos, wrench[:3]), np.dot(lambda_ori, wrench[3:])
        torques = np.dot(self._j.T, wrench)
        torques += self._bias
        torques += self._functions.nullspace_torques(self._mass, nullspace, self._rest, self._q, self._dq)
        return torques


def _mass_index(model: mujoco.MjModel, dofs: int) -> np.ndarray:
    """Where MuJoCo's sparse inertia matrix keeps the block of the first `dofs` joints, a chain."""
    row, column = np.indices((dofs, dofs))
    row, column = np.maximum(row, column), np.minimum(row, column)
    return model.dof_Madr[row] + row - column  # a row holds the joint and then its ancestors


class Stepper:
    """Advances a LIBERO problem by control steps.

    Args:
        problem: LIBERO's problem object.
        exact: Solve as often as robosuite does.
    """

    def __init__(self, problem: Any, exact: bool = False) -> None:
        self._problem, self._exact = problem, exact
        self._model: mujoco.MjModel = problem.sim.model._model
        self._data: mujoco.MjData = problem.sim.data._data
        self._substeps = int(problem.control_timestep / problem.model_timestep)
        self._robot = robot = problem.robots[0]
        self._controller = OperationalSpaceController(
            self._model, self._data, robot.controller, robot.eef_site_id
        )
        self._arm_ctrl = self._data.ctrl[: len(robot._ref_joint_actuator_indexes)]
        self._torque_limits = robot.torque_limits
        grip = [self._model.actuator(name).id for name in robot.gripper.actuators]
        first = grip[0]
        self._grip_ctrl = self._data.ctrl[first : first + len(grip)]
        low, high = self._model.actuator_ctrlrange[grip].T
        self._grip_bias, self._grip_weight = 0.5 * (high + low), 0.5 * (high - low)
        self.begin()

    def begin(self) -> None:
        """Start an episode: call it after every reset of the problem."""
        self._controller.adopt(self._robot.controller)
        self._fresh = True
        self._fingers = np.zeros(len(self._grip_ctrl))

    def hold(self) -> None:
        """Aim at the present pose: call it after writing a state."""
        self._controller.read()
        self._controller.hold()
        self._fresh = False

    def advance(self, action: np.ndarray) -> None:
        """Apply an action, float64 [7] in [-1, 1], for one control period."""
        path = self._finger_path(action[6], self._substeps)
        self._run(path, lambda: self._controller.set_goal(action[:6]))
        self._problem._post_process()

    def follow(self, position: np.ndarray, rotation: np.ndarray, closing: float, substeps: int) -> None:
        """Pull the site towards a pose (as of `OperationalSpaceController.aim`) for some substeps.

        closing: positive closes the fingers, negative opens them.
        """
        path = self._finger_path(closing, substeps)
        self._run(path, lambda: self._controller.aim(position, rotation))

    def site_rotation(self) -> np.ndarray:
        """The controlled site's rotation now, float64 [3, 3], world frame."""
        return self._controller.site_rotation()

    def stiffen(self, stiffness: float) -> None:
        """As `OperationalSpaceController.stiffen`."""
        self._controller.stiffen(stiffness)

    def _run(self, finger_path: np.ndarray, set_goal: Callable[[], None]) -> None:
        model, data, controller = self._model, self._data, self._controller
        low, high = self._torque_limits
        for substep, fingers in enumerate(finger_path):
            mujoco.mj_fwdPosition(model, data)
            mujoco.mj_fwdVelocity(model, data)
            if self._exact:
                self._solve()
            if substep or not self._fresh:  # the first one after a reset uses what the reset has read
                if self._exact:
                    self._solve()
                controller.read()
            if substep == 0:
                set_goal()
            np.minimum(np.maximum(controller.torques(), low), high, out=self._arm_ctrl)
            self._grip_ctrl[:] = fingers
            self._solve()
            mujoco.mj_checkAcc(model, data)
            mujoco.mj_Euler(model, data)
        self._fresh = False

    def _finger_path(self, closing: float, substeps: int) -> np.ndarray:
        """Finger controls [substeps, 2]: they close (positive) or open (negative) at a fixed speed."""
        move = np.array([-1.0, 1.0]) * _GRIPPER_SPEED * np.sign(closing)
        path = np.add.accumulate([self._fingers] + [move] * substeps)[1:].clip(-1.0, 1.0)
        self._fingers = path[-1]
        return self._grip_bias + self._grip_weight * path

    def _solve(self) -> None:
        """Accelerations for the positions and velocities evaluated, without sensors: nothing reads them."""
        mujoco.mj_forwardSkip(self._model, self._data, mujoco.mjtStage.mjSTAGE_VEL, 1)
