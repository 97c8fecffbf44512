"""Where the objects of an episode start.

- `stored`: LIBERO's published initial states. For evaluation; never used for demonstrations.
- `fresh`: sampled from the regions of the BDDL file (a centimetre or two of variation, as the published).
- `scattered`: the movable objects anywhere on an extended, reachable, collision-free region, so that a policy
  has to see where they are. What the goal names as destination stays in its own region.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hilam_sim.errors import SimError
from hilam_sim.geometry import footprint

PLACEMENTS = ("stored", "fresh", "scattered")

# World x and y ranges [m]: 34 x 40 cm in front of the arm, in reach and in view, beside the destination.
_EXTENDED_REGIONS = {"libero_floor_manipulation": ((-0.19, 0.15), (-0.29, 0.11))}
_GROWTH_M = 0.06
_GAP_M = 0.015
_HAND_M = np.array([[-0.04, -0.105], [0.04, 0.105]])  # of the open hand pointing down, closing along y
_LAYOUT_ATTEMPTS = 200
_OBJECT_ATTEMPTS = 50


def _free_body_qpos(problem: Any, name: str) -> np.ndarray:
    """View of the seven position coordinates of a movable object."""
    address = problem.sim.model.get_joint_qpos_addr(problem.objects_dict[name].joints[-1])
    return problem.sim.data._data.qpos[address[0] : address[1]]


def _goal_objects(problem: Any) -> tuple[set[str], set[str]]:
    """Objects the goal moves, and objects it names as destinations."""
    moved, destinations = set(), set()
    for _, first, *rest in problem.parsed_problem["goal_state"]:
        if rest:
            moved.add(first)
            site = problem.object_sites_dict.get(rest[0])
            destinations.add(getattr(site, "parent_name", rest[0]))
    return moved, destinations


def scatterable(problem: Any) -> list[str]:
    """Movable objects that start on the workspace and are no destination of the goal; targets first."""
    moved, destinations = _goal_objects(problem)
    regions = problem.parsed_problem["regions"]
    names = []
    for relation, name, *place in problem.parsed_problem["initial_state"]:
        on_workspace = (
            relation == "on" and place[0] in regions and _is_workspace(problem, regions[place[0]]["target"])
        )
        if on_workspace and name in problem.objects_dict and name not in destinations:
            names.append(name)
    return sorted(names, key=lambda name: name not in moved)


def _is_workspace(problem: Any, target: str) -> bool:
    return target not in problem.objects_dict and target not in problem.object_states_dict


def _extended_region(problem: Any, names: list[str]) -> np.ndarray:
    """World (low, high) corners [2, 2] of the region to scatter over."""
    known = _EXTENDED_REGIONS.get(problem.parsed_problem["problem_name"])
    if known is not None:
        return np.array(known).T
    positions = np.array([_free_body_qpos(problem, name)[:2] for name in names])
    return np.stack([positions.min(axis=0) - _GROWTH_M, positions.max(axis=0) + _GROWTH_M])


def scatter(problem: Any, rng: np.random.Generator) -> None:
    """Move the scatterable objects of a freshly reset problem; heights and orientations stay.

    Raises:
        SimError: no collision-free layout was found.
    """
    names = scatterable(problem)
    if not names:
        return
    moved, _ = _goal_objects(problem)
    corners = _extended_region(problem, names)
    shapes = {name: footprint(problem, name) for name in (*problem.objects_dict, *problem.fixtures_dict)}
    obstacles = []
    for name, shape in shapes.items():
        if name not in names:
            obstacles.append(shape + problem.sim.data.body_xpos[problem.obj_body_id[name]][:2])
    # A target needs room for the hand around it.
    needs = [
        np.stack([np.minimum(s[0], _HAND_M[0]), np.maximum(s[1], _HAND_M[1])]) if n in moved else s
        for n, s in ((n, shapes[n]) for n in names)
    ]
    for _ in range(_LAYOUT_ATTEMPTS):
        layout = _sample_layout(needs, obstacles, corners, rng)
        if layout is not None:
            for name, position in zip(names, layout, strict=True):
                _free_body_qpos(problem, name)[:2] = position
            return
    raise SimError(
        f"no collision-free scattered placement found for {problem.bddl_file_name}: try another seed"
    )


def _sample_layout(
    shapes: list[np.ndarray], obstacles: list[np.ndarray], corners: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray] | None:
    """One position [2] a shape, so that no two boxes touch; None where the sampling ran into a dead end."""
    taken, layout = list(obstacles), []
    for shape in shapes:
        for _ in range(_OBJECT_ATTEMPTS):
            position = rng.uniform(*corners)
            box = shape + position
            if all(
                (box[0] > other[1] + _GAP_M).any() or (box[1] < other[0] - _GAP_M).any() for other in taken
            ):
                break
        else:
            return None
        taken.append(box)
        layout.append(position)
    return layout
