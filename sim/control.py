"""One control step, bit for bit what robosuite computes, with what it repeats left out.

robosuite runs its controller in Python at every 2 ms substep. The control law stays its own; the bookkeeping
around it is done here in few calls: the state is read once, positions and velocities are evaluated once
instead of three times (the solver still runs three times, because its warm start is part of the result),
names are not looked up again, and observables and force buffers, which move nothing, are not updated.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np


class Stepper:
    """Advances a LIBERO problem by control steps."""

    def __init__(self, problem: Any) -> None:
        self._problem = problem
        self._model: mujoco.MjModel = problem.sim.model._model
        self._data: mujoco.MjData = problem.sim.data._data
        self._substeps = int(problem.control_timestep / problem.model_timestep)
        robot = problem.robots[0]
        self._robot = robot
        self._site = robot.eef_site_id
        self._arm_actuators = robot._ref_joint_actuator_indexes
        self._torque_limits = robot.torque_limits
        self._grip_actuators = [self._model.actuator(name).id for name in robot.gripper.actuators]
        low, high = self._model.actuator_ctrlrange[self._grip_actuators].T
        self._grip_bias, self._grip_weight = 0.5 * (high + low), 0.5 * (high - low)
        size = self._model.nv
        self._jacobian = np.zeros((3, size)), np.zeros((3, size))
        self._mass_matrix = np.zeros((size, size))

    def advance(self, action: np.ndarray) -> None:
        """Apply an action, float64 [7] in [-1, 1], for one control period."""
        model, data = self._model, self._data
        controller, gripper = self._robot.controller, self._robot.gripper
        for substep in range(self._substeps):
            mujoco.mj_forward(model, data)
            if controller.new_update:  # false in the first substep after a reset
                self._solve_again()
                self._read_state(controller)
            if substep == 0:
                controller.set_goal(action[:6])
            torques = controller.run_controller()
            data.ctrl[self._arm_actuators] = np.clip(torques, *self._torque_limits)
            fingers = gripper.format_action(action[6:])
            data.ctrl[self._grip_actuators] = self._grip_bias + self._grip_weight * fingers
            self._solve_again()
            mujoco.mj_checkAcc(model, data)
            mujoco.mj_Euler(model, data)
        self._problem._post_process()

    def _solve_again(self) -> None:
        """mj_forward in a state whose positions and velocities were evaluated already."""
        mujoco.mj_forwardSkip(self._model, self._data, mujoco.mjtStage.mjSTAGE_VEL, 1)

    def _read_state(self, controller: Any) -> None:
        """What robosuite's `Controller.update` reads."""
        model, data = self._model, self._data
        positions, velocities = controller.qpos_index, controller.qvel_index
        translation, rotation = self._jacobian
        mujoco.mj_jacSite(model, data, translation, rotation, self._site)
        mujoco.mj_fullM(model, self._mass_matrix, data.qM)
        controller.ee_pos = data.site_xpos[self._site].copy()
        controller.ee_ori_mat = data.site_xmat[self._site].reshape(3, 3).copy()
        controller.ee_pos_vel = np.dot(translation, data.qvel)
        controller.ee_ori_vel = np.dot(rotation, data.qvel)
        controller.joint_pos = data.qpos[positions]
        controller.joint_vel = data.qvel[velocities]
        controller.J_pos = np.array(translation[:, velocities])
        controller.J_ori = np.array(rotation[:, velocities])
        controller.J_full = np.vstack([controller.J_pos, controller.J_ori])
        controller.mass_matrix = self._mass_matrix[velocities, :][:, velocities]
        controller.new_update = False
