"""Where the objects of an episode start.

- `stored`: LIBERO's published initial states. For evaluation; never used for demonstrations.
- `fresh`: sampled from the regions of the BDDL file (a centimetre or two of variation, as the published).
- `swapped`: a stored state in which a target and another object have exchanged places. What the instruction
  says stays true; only one of two things that the policy may have learned, the place or the object, leads on.
- `scattered`: the movable objects anywhere on an extended, reachable, visible, collision-free region, so that
  a policy has to see where they are. What the instruction says of them stays true.

A scattered placement leaves some objects where `fresh` put them: fixtures, what stands on or in them, what
the goal names as destination, and objects described by their place ("from table center", "to the right of
the plate"). What stands on another object moves with it. A target described by a neighbour ("next to the
ramekin") moves with the neighbour, or turns around it where the neighbour stays. Objects of a kind that are
told apart as left and right, or front and back, keep that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from hilam_sim.errors import SimError
from hilam_sim.geometry import bodies_below, footprint, geom_points, object_points

PLACEMENTS = ("stored", "swapped", "fresh", "scattered")
STORED = ("stored", "swapped")  # those that begin with a stored state

# World x and y ranges [m], in view and in easy reach: 34 x 40 cm beside the basket, 30 x 52 cm on tables.
_REGIONS = {
    "libero_floor_manipulation": ((-0.19, 0.15), (-0.29, 0.11)),
    "libero_tabletop_manipulation": ((-0.24, 0.06), (-0.26, 0.26)),
    "libero_kitchen_tabletop_manipulation": ((-0.24, 0.06), (-0.26, 0.26)),
    "libero_living_room_tabletop_manipulation": ((-0.17, 0.13), (-0.26, 0.26)),
    "libero_study_tabletop_manipulation": ((-0.33, -0.03), (-0.26, 0.26)),
}
# Objects of these scenes start a little inside the table, and tall ones topple when it pushes them out.
_LIFT_M = {"libero_living_room_tabletop_manipulation": 0.03}
# By which what moves with another may leave the region: less, and groups of three find no place; more, and
# they leave the arm's easy reach.
_MARGIN_M = 0.07
_GAP_M = 0.015  # between boxes: objects rock by some millimetres while they settle
_ORDER_GAP_M = 0.06  # between objects told apart by their order: half a bowl's width, to be seen at a glance
# Of another object of a target's kind from what the target is found by: two bowls' widths, so that "next to"
# can mean only one of them.
_APART_M = 0.20
_HAND_M = np.array([[-0.04, -0.105], [0.04, 0.105]])  # of the open hand pointing down, closing along y
_STRETCH = 1.4  # of distances in a group: the published ones are too close for any other angle
_LONG_M = 0.25  # longer objects are bounded part by part: one box would keep half a table free
_HIDDEN_SHARE = 0.4  # of a target's points that fixtures may hide: most of it must show
_SWEEP_POSES = 7  # of a drawer or door over its range: the boxes of neighbouring poses overlap
# Places tried for an object, about 2 ms each, before the whole layout starts anew: in a dead end more tries
# do not help, another beginning does. Most layouts take 10 to 60 tries, crowded scenes up to 4 beginnings.
_OBJECT_ATTEMPTS, _LAYOUT_ATTEMPTS = 50, 200
_ALSO_CALLED = {"cookies": "box"}

Positions = dict[str, np.ndarray]


@dataclass(frozen=True)
class _Group:
    """Objects that stay together: moved to another place, or turned around a `pivot` that stays."""

    members: tuple[str, ...]
    pivot: str | None = None


def _kind(name: str) -> str:
    """What an instruction calls an object: its last word, without the number."""
    word = name.split("_")[-2]
    return _ALSO_CALLED.get(word, word)


def _free_body_qpos(problem: Any, name: str) -> np.ndarray:
    """View of the seven position coordinates of a movable object."""
    address = problem.sim.model.get_joint_qpos_addr(problem.objects_dict[name].joints[-1])
    return problem.sim.data._data.qpos[address[0] : address[1]]


def _position(problem: Any, name: str) -> np.ndarray:
    """World x and y of an object or fixture."""
    return problem.sim.data.body_xpos[problem.obj_body_id[name]][:2].copy()


# What the BDDL file says.


def _parent(problem: Any, place: str) -> str:
    """The object or fixture a region belongs to, or `place` itself."""
    return getattr(problem.object_sites_dict.get(place), "parent_name", place)


def _targets(problem: Any) -> set[str]:
    """Objects the goal moves."""
    return {first for _, first, *rest in problem.parsed_problem["goal_state"] if rest}


def _table_goals(problem: Any) -> list[str]:
    """Regions of the workspace itself that the goal names."""
    regions = problem.parsed_problem["regions"]
    places = [rest[0] for _, _, *rest in problem.parsed_problem["goal_state"] if rest]
    return [
        place for place in places if place in regions and _is_workspace(problem, regions[place]["target"])
    ]


def _is_workspace(problem: Any, target: str) -> bool:
    return target not in problem.objects_dict and target not in problem.object_states_dict


def _start_regions(problem: Any) -> dict[str, str]:
    """Region of every movable object that starts on the workspace, without the workspace's name."""
    regions = problem.parsed_problem["regions"]
    return {
        name: place[0].removeprefix(regions[place[0]]["target"] + "_")
        for relation, name, *place in problem.parsed_problem["initial_state"]
        if relation == "on" and name in problem.objects_dict and place[0] in regions
        if _is_workspace(problem, regions[place[0]]["target"])
    }


def _carried(problem: Any) -> dict[str, str]:
    """Objects that start on another movable object: name -> the object below."""
    initial = problem.parsed_problem["initial_state"]
    return {name: place[0] for _, name, *place in initial if place and place[0] in problem.objects_dict}


def _neighbours(problem: Any) -> dict[str, list[str]]:
    """Targets described by neighbours ("next to", "between"): name -> the neighbours."""
    found = {}
    for name in _targets(problem) & _start_regions(problem).keys():
        words = set(_start_regions(problem)[name].split("_"))
        if {"next", "between"} & words:
            found[name] = [other for other in problem.objects_dict if _kind(other) in words]
    return found


def _landmarks(problem: Any) -> dict[str, list[str]]:
    """Targets described by a relation: name -> what others of the target's kind keep away from."""
    found = {}
    for name in _targets(problem) & _start_regions(problem).keys():
        words = set(_start_regions(problem)[name].split("_"))
        if "next" in words:
            found[name] = _neighbours(problem)[name]
        elif {"between", "center"} & words:
            found[name] = [name]
    return found


def _told_apart(problem: Any) -> dict[str, int]:
    """Kinds of objects that are told apart along x (0: front and back) or y (1: left and right)."""
    axes = {}
    for name, region in _start_regions(problem).items():
        words = set(region.split("_"))
        if sum(_kind(other) == _kind(name) for other in problem.objects_dict) > 1:
            if words & {"left", "right"}:
                axes[_kind(name)] = 1
            elif words & {"front", "back"}:
                axes[_kind(name)] = 0
    return axes


def _located(problem: Any) -> set[str]:
    """Objects that start on the workspace and stay, because the goal or their region says where they are."""
    goals = problem.parsed_problem["goal_state"]
    destinations = {_parent(problem, rest[0]) for _, _, *rest in goals if rest} - _targets(problem)
    return {
        name
        for name, region in _start_regions(problem).items()
        if name in destinations
        or region.split("_")[-1] == "center"
        or any(name.rsplit("_", 1)[0] in place for place in _table_goals(problem))
    }


def _groups(problem: Any) -> list[_Group]:
    """What moves as one, targets first."""
    targets, stays = _targets(problem), _located(problem)
    parts = [{name} for name in _start_regions(problem)]
    for name, others in _neighbours(problem).items():
        joined = set().union(*(part for part in parts if part & {name, *others}))
        parts = [part for part in parts if not part & joined] + [joined]
    groups = []
    for part in parts:
        # The neighbour leads: what is found by it follows.
        members = [name for name in _start_regions(problem) if name in part - stays]
        members.sort(key=lambda name: name in _neighbours(problem))
        if members and len(part & stays) <= 1:
            groups.append(_Group(tuple(members), next(iter(part & stays), None)))

    def has_target(group: _Group) -> bool:
        return any({name, *_riders(problem, name)} & targets for name in group.members)

    return sorted(groups, key=lambda group: not has_target(group))


def _riders(problem: Any, name: str) -> list[str]:
    """Objects that start on another one."""
    return [rider for rider, base in _carried(problem).items() if base == name]


def scatterable(problem: Any) -> list[str]:
    """Movable objects that a scattered placement moves; targets first."""
    return [name for group in _groups(problem) for name in group.members]


# The layout.


def scatter(problem: Any, rng: np.random.Generator) -> None:
    """Move the scatterable objects of a freshly reset problem; heights and orientations stay.

    Raises:
        SimError: no collision-free layout was found.
    """
    groups = _groups(problem)
    if not groups:
        return
    scene = _Scene(problem, groups)
    lift = _LIFT_M.get(problem.parsed_problem["problem_name"], 0.0)
    for _ in range(_LAYOUT_ATTEMPTS):
        places = scene.sample(rng)
        if places is not None:
            for name in scene.moving:
                qpos = _free_body_qpos(problem, name)
                qpos[:2], qpos[2] = places[name], qpos[2] + lift
            return
    raise SimError(
        f"no collision-free scattered placement found for {problem.bddl_file_name}: try another seed"
    )


def swap(problem: Any, rng: np.random.Generator) -> None:
    """Let a target and another movable object exchange their places on the ground; heights and orientations
    stay, and what stands on them moves along.

    Raises:
        SimError: no other object fits, or the instruction would no longer be true.
    """
    groups = _groups(problem)
    scene = _Scene(problem, groups)
    free = [group.members[0] for group in groups if len(group.members) == 1 and group.pivot is None]
    targets = [name for name in free if {name, *scene.riders[name]} & scene.targets]
    pairs = [(target, other) for target in targets for other in free if other not in targets]
    for number in rng.permutation(len(pairs)):
        target, other = pairs[number]
        if places := scene.exchanged(target, other):
            for name, place in places.items():
                _free_body_qpos(problem, name)[:2] = place
            return
    raise SimError(f"no object can exchange places with the target of {problem.bddl_file_name}")


class _Scene:
    """What sampling a layout needs of a reset problem: boxes on the ground, their corners [n, 2, 2]."""

    def __init__(self, problem: Any, groups: list[_Group]) -> None:
        self.problem = problem
        self.groups = groups
        self.start = {name: _position(problem, name) for name in problem.objects_dict}
        self.riders = {name: _riders(problem, name) for group in groups for name in group.members}
        self.moving = {*self.riders, *(rider for riders in self.riders.values() for rider in riders)}
        self.targets = _targets(problem) & self.moving
        self.corners = np.array(_REGIONS[problem.parsed_problem["problem_name"]]).T
        self.shapes = {name: self._shape(name) for name in self.riders}
        self.obstacles = {**_fixture_boxes(problem), **_goal_boxes(problem)}
        for name in self.start.keys() - self.moving:
            self.obstacles[name] = _boxes(problem, name)
        self.screens = [object_points(problem, name) for name in problem.fixtures_dict]
        self.landmarks, self.told_apart = _landmarks(problem), _told_apart(problem)
        self.between = {name: ends for name, ends in _neighbours(problem).items() if len(ends) == 2}

    def _shape(self, name: str) -> np.ndarray:
        """Boxes of an object with its riders, relative to it."""
        stack = [name, *self.riders[name]]
        return np.concatenate([_boxes(self.problem, part) for part in stack]) - self.start[name]

    def _with_room(self, name: str, shape: np.ndarray) -> np.ndarray:
        """A shape and, around a target, the open hand."""
        if not self.targets & {name, *self.riders[name]}:
            return shape
        return np.stack([np.minimum(shape[:, 0], _HAND_M[0]), np.maximum(shape[:, 1], _HAND_M[1])], axis=1)

    def sample(self, rng: np.random.Generator) -> Positions | None:
        """Places of all that moves, no two boxes touching; None where an object finds no place."""
        taken = dict(self.obstacles)
        places = {name: place for name, place in self.start.items() if name not in self.moving}
        for group in self.groups:
            for _ in range(_OBJECT_ATTEMPTS):
                moved = self._sample_group(group, rng)
                if self._fits(group, moved, taken) and self._instruction_holds({**places, **moved}):
                    break
            else:
                return None
            places |= moved
            for name in group.members:
                taken[name] = self._with_room(name, self.shapes[name]) + moved[name]
        return places

    def exchanged(self, one: str, other: str) -> Positions | None:
        """Places of two objects and their riders after an exchange; None where it does not fit."""
        moved = {}
        for name, goal in ((one, self.start[other]), (other, self.start[one])):
            for part in (name, *self.riders[name]):
                moved[part] = goal + self.start[part] - self.start[name]
        still = [shape + self.start[name] for name, shape in self.shapes.items() if name not in moved]
        taken = [*self.obstacles.values(), *still]
        for name in (one, other):
            boxes = self.shapes[name] + moved[name]
            if not all(_apart(boxes, boxes_there, gap_m=0.0) for boxes_there in taken):
                return None
            taken.append(boxes)
        return moved if self._instruction_holds({**self.start, **moved}) else None

    def _sample_group(self, group: _Group, rng: np.random.Generator) -> Positions:
        """The group and its riders at another place, or turned around its pivot."""
        leader = group.pivot or group.members[0]
        place = self.start[leader] if group.pivot else rng.uniform(*self.corners)
        turn, stretch = 0.0, 1.0
        if group.pivot or len(group.members) > 1:
            turn, stretch = rng.uniform(-np.pi, np.pi), rng.uniform(1.0, _STRETCH)
        turned = stretch * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        moved = {}
        for name in group.members:
            moved[name] = place + turned @ (self.start[name] - self.start[leader])
            if name in self.between:
                moved[name] = np.mean([moved.get(end, self.start[end]) for end in self.between[name]], axis=0)
            for rider in self.riders[name]:
                moved[rider] = moved[name] + (self.start[rider] - self.start[name])
        return moved

    def _fits(self, group: _Group, moved: Positions, taken: dict[str, np.ndarray]) -> bool:
        """Whether a group is in the region, visible and apart from all that is placed already."""
        low, high = self.corners + np.array([[-_MARGIN_M], [_MARGIN_M]])
        inside = all((moved[name] > low).all() and (moved[name] < high).all() for name in group.members)
        if not inside or not self._targets_visible(moved):
            return False
        near = [taken[group.pivot]] if group.pivot else []
        far = [boxes for name, boxes in taken.items() if name != group.pivot]
        for name in group.members:
            boxes = self.shapes[name] + moved[name]
            roomy = self._with_room(name, self.shapes[name]) + moved[name]
            # What belongs together stands closer than a hand is wide.
            if not all(_apart(roomy, other) for other in far):
                return False
            if not all(_apart(boxes, other, gap_m=0.0) for other in near):
                return False
            near.append(boxes)
        return True

    def _instruction_holds(self, places: Positions) -> bool:
        """Whether objects of a kind keep their order, and away from what the target is found by."""
        for kind, axis in self.told_apart.items():
            alike = [name for name in places if _kind(name) == kind]
            alike.sort(key=lambda name: self.start[name][axis])
            if (np.diff([places[name][axis] for name in alike]) < _ORDER_GAP_M).any():
                return False
        for name, landmarks in self.landmarks.items():
            rivals = [other for other in places if _kind(other) == _kind(name) and other != name]
            for landmark in places.keys() & set(landmarks):
                if any(np.linalg.norm(places[r] - places[landmark]) < _APART_M for r in rivals):
                    return False
        return True

    def _targets_visible(self, places: Positions) -> bool:
        """Whether no fixture hides much of a target from the camera that looks at the scene."""
        eye = self.problem.sim.data.get_camera_xpos("agentview")
        for name in self.targets & places.keys():
            points = object_points(self.problem, name)
            points[:, :2] += places[name] - self.start[name]
            hidden = np.zeros(len(points), dtype=bool)
            for screen in self.screens:
                hidden |= _crosses(eye, points, screen.min(axis=0), screen.max(axis=0))
            if hidden.mean() > _HIDDEN_SHARE:
                return False
        return True


def _apart(some: np.ndarray, others: np.ndarray, gap_m: float = _GAP_M) -> bool:
    """Whether there is room between any two boxes of [n, 2, 2] and [m, 2, 2]."""
    low, high = some[:, None, 0], some[:, None, 1]
    return bool(((low > others[:, 1] + gap_m) | (high < others[:, 0] - gap_m)).any(axis=2).all())


def _crosses(eye: np.ndarray, points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which of the lines from `eye` to `points` [n, 3] pass through a box; bool [n]."""
    with np.errstate(divide="ignore"):
        ends = np.stack([(low - eye) / (points - eye), (high - eye) / (points - eye)])
    enter, leave = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
    return np.maximum(enter, 0.0) < np.minimum(leave, 1.0)


def _boxes(problem: Any, name: str) -> np.ndarray:
    """World boxes [n, 2, 2] on the ground: one an object, but one a part of fixtures and long objects."""
    box = footprint(problem, name)[None] + _position(problem, name)
    if name in problem.objects_dict and np.ptp(box[0], axis=0).max() < _LONG_M:
        return box
    model, data = problem.sim.model._model, problem.sim.data._data
    solid = (model.geom_contype | model.geom_conaffinity) > 0
    below = np.isin(model.geom_bodyid, bodies_below(model, problem.obj_body_id[name]))
    parts = [geom_points(model, data, geom)[:, :2] for geom in map(int, np.flatnonzero(solid & below))]
    return np.array([[part.min(axis=0), part.max(axis=0)] for part in parts])


def _goal_boxes(problem: Any) -> dict[str, np.ndarray]:
    """World boxes [1, 2, 2] of the places on the workspace where the goal wants something."""
    boxes = {}
    for place in _table_goals(problem):
        site = problem.sim.model._model.site(place)
        centre = problem.sim.data._data.site_xpos[site.id][:2]
        boxes[place] = np.stack([centre - site.size[:2], centre + site.size[:2]])[None]
    return boxes


def _fixture_boxes(problem: Any) -> dict[str, np.ndarray]:
    """World boxes [n, 2, 2] of the fixtures, and of all they sweep where the goal moves or fills them."""
    model, data = problem.sim.model._model, problem.sim.data._data
    goals = problem.parsed_problem["goal_state"]
    swept = {_parent(problem, places[-1]) for relation, *places in goals if relation != "on"}
    before, boxes = data.qpos.copy(), {}
    for name, fixture in problem.fixtures_dict.items():
        poses = [_boxes(problem, name)]
        for joint in fixture.joints if name in swept else ():
            low, high = model.joint(joint).range
            for share in np.linspace(0.0, 1.0, _SWEEP_POSES):
                data.joint(joint).qpos = low + share * (high - low)
                mujoco.mj_kinematics(model, data)
                poses.append(_boxes(problem, name))
            data.qpos[:] = before
            mujoco.mj_kinematics(model, data)
        boxes[name] = np.unique(np.concatenate(poses), axis=0)
    return boxes
