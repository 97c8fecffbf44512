"""Scripted experts with privileged state.

A task is a recipe of moves: each move is a generator that yields one (action, phase) a control step and reads
the simulation before the next. Recipes are found by the task's goal predicates: a new predicate needs one new
recipe, not one script a task.

Every expert draws its own style from its seed (speed, path, grasp and release offsets, noise): no two
demonstrations are the same. A missed grasp is tried again, and the recovery is part of the demonstration.
"""

from __future__ import annotations

import numpy as np

from hilam_sim.env import LiberoEnv
from hilam_sim.errors import SimError
from hilam_sim.experts.arm import CLOSE, OPEN, Arm
from hilam_sim.experts.moves import PHASES, Move, Step, go_to, idle
from hilam_sim.experts.pose import Pose, turned
from hilam_sim.experts.recipes import RECIPES, in_order

__all__ = ["PHASES", "RECIPES", "Expert", "make_expert"]

_ROUNDS = 2  # through the goals: one that a later goal has undone is done again
_FIRST_STEPS, _STEPS_A_GOAL = 400, 200  # with 300, objects grasped only at the third try ran out of steps


def disturb(arm: Arm) -> Move:
    """Bring the arm close above what it is to pick, usually with the hand closed: a start to recover from.

    It is where a policy stands that has just missed a grasp: up to 7 cm aside, 3 to 12 cm above.
    """
    problem = arm.env.problem
    name = problem.parsed_problem["goal_state"][0][1]
    name = getattr(problem.object_sites_dict.get(name), "parent_name", name)  # of a drawer
    low, high = arm.bounds(name)
    aside = arm.rng.uniform(-0.07, 0.07, 2)
    target = np.append((low + high)[:2] / 2 + aside, high[2] + arm.rng.uniform(0.03, 0.12))
    arm.gripper = CLOSE if arm.rng.random() < 0.7 else OPEN
    yield from idle(arm, "reach", 1)
    yield from go_to(arm, Pose(target, turned(arm.style.yaw_rad)), "reach", tolerance_m=0.02, steps=40)


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
        self.max_steps = _FIRST_STEPS + _STEPS_A_GOAL * len(goals)
        self._steps = self._perform(goals)

    def disturb(self) -> dict[str, np.ndarray]:
        """Step the environment into a bad start, before the first `act`; returns the observation."""
        observation: dict[str, np.ndarray] = {}
        for action, _ in disturb(self.arm):
            observation, *_ = self.arm.env.step(action)
        return observation

    def _perform(self, goals: list[list[str]]) -> Move:
        for _ in range(_ROUNDS):
            for predicate, *arguments in in_order(goals):
                if not self.arm.holds(predicate, *arguments):
                    yield from RECIPES[predicate](self.arm, *arguments)
            if self.arm.env.success():
                return

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
