"""Shapes of objects, from the collision primitives that both asset packs share."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

_RING = np.linspace(0.0, 2.0 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_RING), np.sin(_RING)], axis=1)
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


def _primitive_points(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Points [n, 3] in the geom's frame whose hull is the geom (round ones to within 2%)."""
    kind, size = model.geom_type[geom], model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return _CORNERS * size
    if kind in (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE):
        half = size[1] + (size[0] if kind == mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0)
        ring = _CIRCLE * size[0]
        return np.concatenate([np.c_[ring, np.full(len(ring), h)] for h in (-half, half)])
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        start, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
        return model.mesh_vert[start : start + count].astype(np.float64)
    radii = np.full(3, size[0]) if kind == mujoco.mjtGeom.mjGEOM_SPHERE else size
    return _CORNERS * radii


def geom_points(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> np.ndarray:
    """Points [n, 3] in m, world frame, whose hull is the geom."""
    rotation = data.geom_xmat[geom].reshape(3, 3)
    return _primitive_points(model, geom) @ rotation.T + data.geom_xpos[geom]


def object_points(problem: Any, name: str) -> np.ndarray:
    """Points [n, 3] in m, world frame, whose hull is the collision shape of an object or fixture."""
    model, data = problem.sim.model._model, problem.sim.data._data
    root = problem.obj_body_id[name]
    points = []
    for geom in np.flatnonzero(np.isin(model.geom_bodyid, bodies_below(model, root))).tolist():
        if model.geom_contype[geom] or model.geom_conaffinity[geom]:
            rotation = data.geom_xmat[geom].reshape(3, 3)
            points.append(_primitive_points(model, geom) @ rotation.T + data.geom_xpos[geom])
    return np.concatenate(points) if points else data.xpos[root][None].copy()


def _filled_points(model: mujoco.MjModel, geom: int, spacing_m: float) -> np.ndarray:
    """A lattice [n, 3] through the geom, in its frame, its faces included."""
    corners = _primitive_points(model, geom)
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        return corners
    low, high = corners.min(axis=0), corners.max(axis=0)
    counts = np.ceil((high - low) / spacing_m).astype(int) + 1
    axes = [np.linspace(a, b, n) for a, b, n in zip(low, high, counts, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    if model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_BOX:
        inside = np.linalg.norm(points[:, :2], axis=1) <= model.geom_size[geom, 0] + 1e-9
        points = np.concatenate([points[inside], corners])
    return points


def filled_points(problem: Any, name: str, spacing_m: float = 0.006) -> np.ndarray:
    """Points [n, 3] in m, world frame, all through the collision shape of an object."""
    model, data = problem.sim.model._model, problem.sim.data._data
    body = problem.obj_body_id[name]
    points = []
    for geom in np.flatnonzero(np.isin(model.geom_bodyid, bodies_below(model, body))).tolist():
        if model.geom_contype[geom]:
            rotation = data.geom_xmat[geom].reshape(3, 3)
            points.append(_filled_points(model, geom, spacing_m) @ rotation.T + data.geom_xpos[geom])
    return np.concatenate(points)


def footprint(problem: Any, name: str) -> np.ndarray:
    """Low and high corner [2, 2] in m of the object's shape on the ground, relative to its own origin."""
    points = object_points(problem, name)[:, :2] - problem.sim.data.body_xpos[problem.obj_body_id[name]][:2]
    return np.stack([points.min(axis=0), points.max(axis=0)])


def bodies_below(model: mujoco.MjModel, root: int) -> np.ndarray:
    """Indices of a body and all its descendants (MuJoCo numbers them depth first)."""
    last = root + 1
    while last < model.nbody and model.body_parentid[last] >= root:
        last += 1
    return np.arange(root, last)


def narrow_direction(points: np.ndarray) -> float:
    """Angle in rad, in [0, pi), of the horizontal direction in which points [n, 3] extend least."""
    angles = np.linspace(0.0, np.pi, 90, endpoint=False)
    return float(min(angles, key=lambda angle: np.ptp(points[:, :2] @ (np.cos(angle), np.sin(angle)))))
