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


def object_points(problem: Any, name: str) -> np.ndarray:
    """Points [n, 3] in m, world frame, whose hull is the collision shape of an object or fixture."""
    model, data = problem.sim.model._model, problem.sim.data._data
    root = problem.obj_body_id[name]
    points = []
    for geom in range(model.ngeom):
        body = model.geom_bodyid[geom]
        while body > root:
            body = model.body_parentid[body]
        if body == root and model.geom_contype[geom]:
            rotation = data.geom_xmat[geom].reshape(3, 3)
            points.append(_primitive_points(model, geom) @ rotation.T + data.geom_xpos[geom])
    return np.concatenate(points) if points else data.xpos[root][None].copy()


def footprint(problem: Any, name: str) -> np.ndarray:
    """Low and high corner [2, 2] in m of the object's shape on the ground, relative to its own origin."""
    points = object_points(problem, name)[:, :2] - problem.sim.data.body_xpos[problem.obj_body_id[name]][:2]
    return np.stack([points.min(axis=0), points.max(axis=0)])
