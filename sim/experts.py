"""Scripted experts with privileged state.

A task is a recipe over a small vocabulary of skills: each skill is a generator that yields one (action,
phase) a control step and looks at the simulation before the next. Recipes are found by the task's goal
predicates: a new predicate needs one new recipe, not one script a task.

Every expert draws its own style from its seed (speed, path, grasp and release offsets, noise): no two
demonstrations are the same. A missed grasp is tried again, and the recovery is part of the demonstration.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from hilam_sim.env import LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.geometry import object_points

PHASES = ("reach", "descend", "grasp", "lift", "carry", "place", "release", "retreat", "settle")

Step = tuple[np.ndarray, str]
Skill = Generator[Step, None, None]
SkillWithOutcome = Generator[Step, None, bool]

OPEN, CLOSE = -1.0, 1.0
_POSITION_SCALE_M, _ROTATION_SCALE_RAD = 0.05, 0.5  # of OSC_POSE's unit action
_GAIN = 1.5  # on the position error: the arm covers about a third of an action's reach in a step
_PALM_M = 0.010  # how far an object may stand out above the grip site: seams lower down catch on the pads
_FINGERTIP_M = 0.010  # the grip site's least height above what the object stands on
_MAX_WIDTH_M = 0.072
_ATTEMPTS = 4
_DOWN = np.array(
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]
)  # grip site pointing down, closing along y


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
    """The robot and the objects as the skills see them: privileged state, and actions towards a pose."""

    def __init__(self, env: LiberoEnv, rng: np.random.Generator) -> None:
        self.env = env
        self.rng = rng
        self.style = Style.sample(rng)
        self.gripper = OPEN
        self._site = env.problem.robots[0].eef_site_id
        self._drift = np.zeros(3)

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

    def bounds(self, name: str) -> np.ndarray:
        """Low and high corner [2, 3] of an object's shape, m, world frame."""
        points = object_points(self.env.problem, name)
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def speed_of(self, name: str) -> float:
        """Linear speed of an object, m/s."""
        body = self.env.model.body(self.env.problem.obj_body_id[name])
        return float(np.linalg.norm(self.env.data.qvel[body.dofadr[0] : body.dofadr[0] + 3]))

    def action_towards(self, target: np.ndarray, yaw_rad: float, speed: float, noise: float) -> np.ndarray:
        """The action that moves the grip site towards `target` [m] and a yaw, at most `speed` of full."""
        move = _GAIN * (target - self.position) / _POSITION_SCALE_M
        move *= min(1.0, speed / max(float(np.linalg.norm(move)), 1e-9))
        self._drift = 0.8 * self._drift + self.rng.normal(0.0, 0.6 * noise, 3)
        turn = self._rotation_error(yaw_rad) / _ROTATION_SCALE_RAD
        turn += self.rng.normal(0.0, 0.2 * noise, 3)
        action = np.concatenate([move + self._drift * (noise > 0), turn, [self.gripper]])
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def _rotation_error(self, yaw_rad: float) -> np.ndarray:
        """Half the rotation vector from the present to the wanted orientation, world frame (small angles)."""
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        wanted = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ _DOWN
        present = self.env.data.site_xmat[self._site].reshape(3, 3)
        return 0.5 * np.cross(present.T, wanted.T).sum(axis=0)


# The vocabulary.


def move(
    arm: Arm,
    target: np.ndarray | Callable[[], np.ndarray],
    yaw_rad: float,
    phase: str,
    speed: float = 1.0,
    tolerance_m: float = 0.01,
    bow: float = 0.0,
    steps: int = 80,
) -> Skill:
    """Move the grip site to `target`, on a path bowed by the style's `bow_m` times `bow`."""
    aim = target if callable(target) else lambda: target
    length = max(float(np.linalg.norm(aim() - arm.position)), 1e-6)
    for _ in range(steps):
        goal = aim()
        distance = float(np.linalg.norm(goal - arm.position))
        if distance < tolerance_m:
            return
        ahead = goal + bow * arm.style.bow_m * min(1.0, distance / length)
        yield arm.action_towards(ahead, yaw_rad, speed * arm.style.speed, arm.style.noise), phase


def hold(arm: Arm, target: np.ndarray, yaw_rad: float, phase: str, steps: int) -> Skill:
    """Stay at `target` while the fingers move."""
    for _ in range(steps):
        yield arm.action_towards(target, yaw_rad, 0.3, 0.0), phase


def idle(arm: Arm, phase: str, steps: int) -> Skill:
    """Command no motion."""
    for _ in range(steps):
        yield np.array([0, 0, 0, 0, 0, 0, arm.gripper], dtype=np.float32), phase


def grasp_pose(arm: Arm, name: str) -> tuple[np.ndarray, float]:
    """Grip site position [m] and yaw [rad] of a grasp from above: the least turn at which the object fits."""
    points = object_points(arm.env.problem, name)
    low, high = points.min(axis=0), points.max(axis=0)
    yaw = 0.0
    for yaw in sorted(np.linspace(-np.pi / 2, np.pi / 2, 25)[1:], key=abs):
        across = points[:, :2] @ np.array([-np.sin(yaw), np.cos(yaw)])
        if np.ptp(across) < _MAX_WIDTH_M:
            break
    height = max(low[2] + _FINGERTIP_M, high[2] - _PALM_M)
    centre = np.append((low[:2] + high[:2]) / 2, height)
    offset = arm.style.grasp_offset_m * (1.0, 1.0, float(high[2] - low[2] > 0.05))
    return centre + offset, float(yaw) + arm.style.yaw_rad


def pick(arm: Arm, name: str) -> SkillWithOutcome:
    """Grasp an object from above and lift it; returns whether it is in the hand. Tries again after a miss."""
    for _ in range(_ATTEMPTS):
        target, yaw = grasp_pose(arm, name)
        above = np.array([target[0], target[1], arm.bounds(name)[1, 2] + arm.style.hover_m])
        arm.gripper = OPEN
        yield from move(arm, above, yaw, "reach", tolerance_m=0.025, bow=1.0)
        yield from descend(arm, target, yaw)
        rest = arm.object_position(name)[2]
        arm.gripper = CLOSE
        yield from hold(arm, target, yaw, "grasp", steps=_steps_to_close(arm))
        yield from move(arm, target + np.array([0.0, 0.0, 0.06]), yaw, "lift", tolerance_m=0.02, steps=20)
        if arm.object_position(name)[2] > rest + 0.02:
            return True
        arm.gripper = OPEN
        yield from move(arm, above, yaw, "retreat", tolerance_m=0.03, steps=25)
        yield from idle(arm, "settle", 4)
    return False


def descend(arm: Arm, target: np.ndarray, yaw_rad: float) -> Skill:
    """Go down to a grasp, sideways errors first: the fingers must not land on the object."""

    def aim() -> np.ndarray:
        aside = float(np.linalg.norm((target - arm.position)[:2]))
        return target + np.array([0.0, 0.0, 3.0 * max(0.0, aside - 0.015)])

    yield from move(arm, aim, yaw_rad, "descend", tolerance_m=0.006, steps=40)


def _steps_to_close(arm: Arm) -> int:
    return int(arm.rng.integers(7, 10))


def place_in(arm: Arm, name: str, container: str) -> Skill:
    """Carry a held object over a container, lower it inside, let go and move away."""
    yaw = arm.style.yaw_rad
    box = arm.bounds(container)
    hanging = arm.position[2] - arm.bounds(name)[0, 2]
    carry_height = max(box[1, 2], 0.15) + arm.style.clearance_m + hanging
    centre = (box[0, :2] + box[1, :2]) / 2 + arm.style.release_offset_m
    yield from move(arm, np.append(arm.position[:2], carry_height), yaw, "lift", tolerance_m=0.03, steps=40)
    yield from move(arm, np.append(centre, carry_height), yaw, "carry", tolerance_m=0.02, bow=0.7)
    inside = np.append(centre, max(box[0, 2] + arm.style.release_height_m + hanging, box[1, 2] - _PALM_M))
    yield from move(arm, inside, yaw, "place", tolerance_m=0.012, steps=30)
    yield from release(arm, inside, yaw)
    yield from move(arm, np.append(centre, carry_height), yaw, "retreat", tolerance_m=0.03, steps=30)


def release(arm: Arm, target: np.ndarray, yaw_rad: float) -> Skill:
    """Open the fingers until they have let go: the gripper takes some steps before it moves at all."""
    arm.gripper = OPEN
    wide_enough = min(arm.opening_m + 0.015, 0.07)
    for _ in range(15):
        yield from hold(arm, target, yaw_rad, "release", steps=1)
        if arm.opening_m > wide_enough:
            return


def settle(arm: Arm, name: str) -> Skill:
    """Wait until an object lies still."""
    yield from idle(arm, "settle", 4)
    for _ in range(20):
        if arm.speed_of(name) < 0.02:
            return
        yield from idle(arm, "settle", 1)


# The recipes, by goal predicate.


def recipe_in(arm: Arm, name: str, region: str) -> Skill:
    """In(object, region of a container)."""
    container = arm.env.problem.object_sites_dict[region].parent_name
    for _ in range(_ATTEMPTS):
        if (yield from pick(arm, name)):
            yield from place_in(arm, name, container)
            yield from settle(arm, name)
        if arm.env.success():
            return


RECIPES: dict[str, Callable[..., Skill]] = {"in": recipe_in}


def disturb(arm: Arm) -> Skill:
    """Bring the arm close above what it is to pick and close the empty hand: a start to recover from."""
    name = arm.env.problem.parsed_problem["goal_state"][0][1]
    low, high = arm.bounds(name)
    aside = arm.rng.uniform(-0.07, 0.07, 2)
    target = np.append((low + high)[:2] / 2 + aside, high[2] + arm.rng.uniform(0.03, 0.12))
    arm.gripper = CLOSE if arm.rng.random() < 0.7 else OPEN
    yield from move(arm, target, arm.style.yaw_rad, "reach", tolerance_m=0.02, steps=40)


class Expert:
    """Performs the task of an environment just reset: call `act`, step the environment, until `done`."""

    def __init__(self, env: LiberoEnv, seed: int) -> None:
        goals = env.problem.parsed_problem["goal_state"]
        for predicate, *_ in goals:
            if predicate not in RECIPES:
                known = ", ".join(RECIPES)
                raise SimError(
                    f"no expert for {env.task.name}: no recipe for {predicate!r}, only for {known}"
                )
        self.arm = Arm(env, np.random.default_rng(seed))
        self.done = False
        self._steps = self._perform(goals)

    def disturb(self) -> dict[str, np.ndarray]:
        """Step the environment into a bad start, before the first `act`; returns the observation."""
        for action, _ in disturb(self.arm):
            observation, *_ = self.arm.env.step(action)
        return observation

    def _perform(self, goals: list[list[str]]) -> Skill:
        for predicate, *arguments in goals:
            yield from RECIPES[predicate](self.arm, *arguments)

    def act(self) -> Step:
        """Action float32 [7] and phase (one of `PHASES`) for the present state of the environment."""
        try:
            return next(self._steps)
        except StopIteration:
            self.done = True
            return next(idle(self.arm, "settle", 1))


def make_expert(env: LiberoEnv, seed: int) -> Expert:
    """An expert for the environment's task, its style drawn from `seed`; make one after each reset.

    Raises:
        SimError: no recipe for the task's goal.
    """
    return Expert(env, seed)
