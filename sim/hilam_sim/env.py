"""LIBERO as one gymnasium environment."""

from __future__ import annotations

import gc
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces

from hilam_core.conventions import CAMERAS, CONTROL_HZ
from hilam_sim.assets import resolve_assets
from hilam_sim.errors import SimError
from hilam_sim.osc import Stepper
from hilam_sim.placements import PLACEMENTS, STORED, scatter, swap
from hilam_sim.problem import RESET_ATTEMPTS, build_problem, global_seed
from hilam_sim.tasks import MAX_STEPS, get_task, initial_states, require_same_scene

ROBOSUITE_CAMERAS = dict(zip(CAMERAS, ("agentview", "robot0_eye_in_hand"), strict=True))
SETTLE_STEPS = 10  # as others who evaluate on LIBERO do: objects start 7 to 16 cm too high
IDLE_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])

_ROUNDING = 1e-6  # by which an action may exceed its range: float32 arithmetic of a policy that clips
_JOINT_NOISE_RAD = 0.02  # of the published initial states


class LiberoEnv(gymnasium.Env):
    """A LIBERO task: the original problem definition and controller, observations built once a step.

    Observation (dict):
        agentview, eye_in_hand: uint8 RGB [image_size, image_size, 3], upright; absent with render=False.
        ee_pos: float64 [3], m, world frame. ee_quat: float64 [4], xyzw, world frame.
        gripper_qpos: float64 [2], m, the two finger joints. joint_pos: float64 [7], rad.
    Action: float32 [7] in [-1, 1]: three of translation (times 0.05 m), three of rotation (times 0.5 rad),
    gripper (-1 opens, +1 closes), at 20 Hz.
    `step` returns reward 1.0, terminated=True and info["success"]=True while the goal holds; stepping on is
    allowed. info["progress"] is the share of the goal's conditions that hold.

    Args:
        suite: One of `hilam_sim.tasks.SUITES`.
        task: Index, name or instruction.
        image_size: Pixels of both sides of the camera images.
        assets: "auto", "builtin" or "official"; `self.assets` says which was taken.
        render: Without, no images and no OpenGL.
        max_steps: Steps until truncation, by default the suite's protocol limit.
        exact: Repeat the contact solver as stock LIBERO does: states equal stock's to the last bit instead of
            to the solver's tolerance, and a step without cameras takes 25 to 50% longer.
        quality: How scenes are drawn. "fast": the robot from simplified meshes, no multisampling, reflections
            or shadow maps. "stock": pixel for pixel as LIBERO draws them. "auto": stock with official assets,
            else fast. `self.quality` says which was taken.
        render_mode: For `gymnasium.make`: "rgb_array", which `render=True` means anyway.

    Raises:
        SimError: unknown names, assets that are missing or lack the suite, no OpenGL.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012
    control_hz = CONTROL_HZ

    def __init__(
        self,
        suite: str = "libero_object",
        task: int | str = 0,
        image_size: int = 128,
        assets: str = "auto",
        render: bool = True,
        max_steps: int | None = None,
        exact: bool = False,
        quality: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        self.task = get_task(suite, task)
        self.instruction = self.task.instruction
        self.max_steps = MAX_STEPS[suite] if max_steps is None else int(max_steps)
        self.image_size = int(image_size)
        if self.image_size < 1:
            raise SimError(f"image_size must be at least 1 pixel, not {image_size}")
        if render_mode is not None and (render_mode != "rgb_array" or not render):
            raise SimError(
                f"render_mode {render_mode!r} with render={render}: choose 'rgb_array' with render=True"
            )
        found = resolve_assets(assets)
        self.assets, self._found_assets = found.kind, found
        self.quality = found.quality(quality)
        self.problem = build_problem(self.task.bddl_path, found.path, self.quality == "fast", CONTROL_HZ)
        self.model = self.problem.sim.model._model
        self.data = self.problem.sim.data._data
        self._robot = self.problem.robots[0]
        self._gripper_qpos = self._robot._ref_gripper_joint_pos_indexes
        self._joint_qpos = self._robot._ref_joint_pos_indexes
        self._ee_body = self.model.body(self._robot.robot_model.eef_name).id
        self._renderer = self._make_renderer() if render else None
        self._stepper = Stepper(self.problem, exact)
        self._steps = 0
        self._placed = self._closed = False
        self.render_mode = "rgb_array" if render else None
        self.observation_space = self._observation_space()
        self.action_space = spaces.Box(-1.0, 1.0, (7,), np.float32)

    @property
    def stepper(self) -> Stepper:
        """The controller and the steps of the simulation, for control between the control steps."""
        return self._stepper

    @property
    def assets_hash(self) -> str:
        """Content hash of the assets drawn (`Assets.content_hash`)."""
        return self._found_assets.content_hash

    def _make_renderer(self) -> Any:
        from hilam_sim.rendering import Renderer

        return Renderer(self.model, self.image_size)

    def _observation_space(self) -> spaces.Dict:
        boxes: dict[str, spaces.Space] = {
            key: spaces.Box(-np.inf, np.inf, (size,), np.float64)
            for key, size in (("ee_pos", 3), ("ee_quat", 4), ("gripper_qpos", 2), ("joint_pos", 7))
        }
        if self._renderer is not None:
            for camera in CAMERAS:
                boxes[camera] = spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)
        return spaces.Dict(boxes)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Place the objects, then let them settle for ten idle steps.

        Args:
            seed: Same seed, same episode, to the bit. Without: for `stored` always the same (it places the
                fixtures, which are not in the stored states), else drawn from the environment's own
                generator.
            options: `placement`, one of "stored" (default), "swapped", "fresh", "scattered"; `init_state`,
                index of the stored state (default 0); `states_of`, another task of the suite and scene whose
                stored states to begin with (default: the task's own).

        Raises:
            SimError: unknown option, placement or state; no valid placement found.
        """
        self._require_open()
        super().reset(seed=seed)
        placement, state = self._read_options(options)
        if seed is None:
            seed = 0 if placement in STORED else int(self.np_random.integers(2**31))
        with global_seed(seed):
            self._reset_problem(0.0 if placement in STORED else _JOINT_NOISE_RAD)
        if state is not None:
            self._write_state(state)
        if placement == "swapped":
            swap(self.problem, np.random.default_rng(seed))
            self.problem.sim.forward()
        elif placement == "scattered":
            scatter(self.problem, np.random.default_rng(seed))
            self.problem.sim.forward()
        self._placed = True
        for _ in range(SETTLE_STEPS):
            self._stepper.advance(IDLE_ACTION)
        self._steps = 0
        return self._observe(), self._info()

    def _read_options(self, options: dict[str, Any] | None) -> tuple[str, np.ndarray | None]:
        """The placement, and the stored state that it begins with."""
        options = dict(options or {})
        placement, index = options.pop("placement", "stored"), options.pop("init_state", 0)
        states_of = options.pop("states_of", None)
        if options:
            raise SimError(
                f"unknown reset option {next(iter(options))!r}: choose from placement, init_state, states_of"
            )
        if placement not in PLACEMENTS:
            raise SimError(f"unknown placement {placement!r}: choose from {', '.join(PLACEMENTS)}")
        if placement not in STORED:
            return placement, None
        origin = self.task if states_of is None else get_task(self.task.suite, states_of)
        require_same_scene(self.task, origin)
        states = initial_states(origin)
        if not (isinstance(index, int | np.integer) and 0 <= index < len(states)):
            raise SimError(f"unknown initial state {index!r} of {origin.name}: choose 0 to {len(states) - 1}")
        return placement, states[index]

    def _reset_problem(self, joint_noise_rad: float) -> None:
        from robosuite.utils.errors import RandomizationError

        self._robot.initialization_noise["magnitude"] = joint_noise_rad
        self._robot.gripper.current_action = np.zeros(self._robot.gripper.dof)
        for _ in range(RESET_ATTEMPTS):
            try:
                self.problem.reset()
                self._stepper.begin()
                return
            except RandomizationError:
                continue
        raise SimError(
            f"no valid placement of {self.task.name} in {RESET_ATTEMPTS} attempts: try another seed"
        )

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Apply one action for 50 ms.

        Raises:
            SimError: wrong shape, not finite or not in [-1, 1], or no reset yet.
        """
        self._require_open()
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (7,):
            raise SimError(f"action has shape {action.shape}, expected (7,)")
        if not np.isfinite(action).all():
            raise SimError(f"action is not finite: {action.tolist()}")
        if np.abs(action).max() > 1.0 + _ROUNDING:
            index = int(np.abs(action).argmax())
            raise SimError(
                f"action[{index}] is {action[index]:.6g}, not in [-1, 1]: scale or np.clip it first"
            )
        if not self._placed:
            raise SimError("step before reset: call reset() first")
        self._stepper.advance(np.clip(action, -1.0, 1.0))
        self._steps += 1
        info = self._info()
        success = info["success"]
        return self._observe(), float(success), success, self._steps >= self.max_steps, info

    def _require_open(self) -> None:
        if self._closed:
            raise SimError("this environment is closed: build a new one")

    def _info(self) -> dict[str, Any]:
        progress = self.progress()
        return {"success": progress == 1.0, "progress": progress, "steps": self._steps}

    def _observe(self) -> dict[str, np.ndarray]:
        observation = self.proprioception()
        if self._renderer is not None:
            observation |= {name: self.picture(name) for name in ROBOSUITE_CAMERAS}
        return observation

    def proprioception(self) -> dict[str, np.ndarray]:
        """What is observed of the arm now: an observation without images."""
        data = self.data
        return {
            "ee_pos": data.site_xpos[self._robot.eef_site_id].copy(),
            "ee_quat": data.xquat[self._ee_body][[1, 2, 3, 0]],
            "gripper_qpos": data.qpos[self._gripper_qpos],
            "joint_pos": data.qpos[self._joint_qpos],
        }

    def picture(self, camera: str) -> np.ndarray:
        """One camera's image now, uint8 RGB [H, W, 3], upright."""
        self._require_open()
        if self._renderer is None:
            raise SimError("this environment was built with render=False")
        return self._renderer.render(self.data, ROBOSUITE_CAMERAS[camera])

    def render(self) -> np.ndarray:  # type: ignore[override]
        """The agentview image, uint8 RGB [H, W, 3], upright."""
        return self.picture("agentview")

    def focal_length_px(self, camera: str) -> float:
        """The focal length of a camera, in pixels of its images."""
        view = self.model.camera(ROBOSUITE_CAMERAS[camera])
        return float(self.image_size / (2 * np.tan(np.radians(view.fovy.item()) / 2)))

    def success(self) -> bool:
        """Whether the goal holds now."""
        return self.progress() == 1.0

    def progress(self) -> float:
        """The share of the goal's conditions that hold now; the goal is that all do."""
        conditions = self.problem.parsed_problem["goal_state"]
        return sum(bool(self.problem._eval_predicate(state)) for state in conditions) / len(conditions)

    def get_state(self) -> np.ndarray:
        """MuJoCo's state, float64 [d]: time, positions, velocities (the layout of the stored states)."""
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel])

    def set_state(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """Put the simulation into `state`, float64 [d], without settling; returns the observation.

        What follows does not depend on what was before, but for how far the fingers were told to close, which
        a state does not hold.

        Raises:
            SimError: wrong length or not finite.
        """
        self._require_open()
        self._write_state(state, forget=True)
        self._stepper.hold()
        self._placed = True
        return self._observe()

    def _write_state(self, state: np.ndarray, forget: bool = False) -> None:
        state = np.asarray(state, dtype=np.float64)
        size = 1 + self.model.nq + self.model.nv
        if state.shape != (size,):
            raise SimError(f"state has shape {state.shape}, {self.task.name} needs ({size},)")
        if not np.isfinite(state).all():
            raise SimError(f"state is not finite at index {int(np.argmin(np.isfinite(state)))}")
        if forget:
            mujoco.mj_resetData(self.model, self.data)
        self.problem.sim.set_state_from_flattened(state)
        self.problem.sim.forward()
        self.problem._post_process()

    def close(self) -> None:
        """Free the renderer and the model; the environment is of no use afterwards."""
        if self._closed:
            return
        self._closed = True
        if self._renderer is not None:
            self._renderer.close()
        del self.problem, self.model, self.data, self._robot, self._stepper, self._renderer
        gc.collect()  # robosuite's objects refer to each other, and Python does not see how large they are


gymnasium.register("hilam_sim/Libero-v0", entry_point="hilam_sim.env:LiberoEnv")
