"""The visual meshes of the Panda and its mount made small: the same parts and colours, few triangles.

Vertex clustering: vertices that fall into one cell of a grid become one, placed where it is nearest to the
planes of all the triangles that met there (the minimum of their quadric error), so that edges stay.
"""

import importlib.util
from pathlib import Path

import numpy as np

from hilam_sim.assets.shapes import Floats, Integers, Mesh
from hilam_sim.errors import SimError

_CELLS, _FINEST_M = 16, 0.005  # cells along the longest side of a part, but none smaller
_MOUNT_CELLS = 36  # its rail is thin and seen against the wall


def simplified_meshes() -> dict[str, Mesh]:
    """Visual meshes by file stem ("link0_vis_0", "hand_vis", "pedestal"), from the installed robosuite."""
    spec = importlib.util.find_spec("robosuite")
    if spec is None or not spec.submodule_search_locations:
        raise SimError(
            "robosuite is not installed: run tools/setup.sh (or pip install --no-deps robosuite==1.4.0)"
        )
    models = Path(next(iter(spec.submodule_search_locations))) / "models" / "assets"
    parts = sorted((models / "robots/panda/obj_meshes").glob("*/*.obj"))
    parts += [models / "grippers/meshes/panda_gripper/hand_vis.stl"]
    meshes = {part.stem: simplify(*_read(part)) for part in parts}
    mount = models / "mounts/meshes/rethink_mount/pedestal.stl"
    return {**meshes, mount.stem: simplify(*_read(mount), cells=_MOUNT_CELLS)}


def simplify(points: Floats, triangles: Integers, cells: int = _CELLS, finest_m: float = _FINEST_M) -> Mesh:
    """points[N, 3] and triangles[M, 3] with about `cells` vertices along the longest side.

    Vertices are `finest_m` apart or more, except in parts so small that little would be left.
    """
    lowest, extent = points.min(0), np.ptp(points, axis=0).max()
    cell = max(extent / cells, min(finest_m, extent / 3))
    _, cluster = np.unique(((points - lowest) / cell).astype(int), axis=0, return_inverse=True)
    cluster = cluster.reshape(-1)
    best, normals = _representatives(points, triangles, cluster, cell)
    return Mesh(best, normals, np.zeros((len(best), 2)), _collapsed(cluster[triangles]))


def _collapsed(triangles: Integers) -> Integers:
    """The triangles that still have three corners, each once."""
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    first = triangles.argmin(1)
    turned = [triangles[np.arange(len(triangles)), (first + k) % 3] for k in range(3)]
    return np.unique(np.stack(turned, 1), axis=0)


def _representatives(
    points: Floats, triangles: Integers, cluster: Integers, cell_m: float
) -> tuple[Floats, Floats]:
    """Where each cluster's one vertex goes, and its normal."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    area = np.maximum(np.linalg.norm(normal, axis=1), 1e-15)
    unit = normal / area[:, None]
    matrix = area[:, None, None] * unit[:, :, None] * unit[:, None, :]
    vector = (area * np.einsum("ij,ij->i", unit, a))[:, None] * unit

    count = int(cluster.max()) + 1
    quadric, target, normals = np.zeros((count, 3, 3)), np.zeros((count, 3)), np.zeros((count, 3))
    for k in range(3):
        owner = cluster[triangles[:, k]]
        for total, part in ((quadric, matrix), (target, vector), (normals, normal)):
            np.add.at(total, owner, part)
    members = np.bincount(cluster)[:, None]
    centre = np.stack([np.bincount(cluster, column) for column in points.T], 1) / members
    # flat and straight places have no one best point: a little pull towards the centre
    pull = 0.02 * np.trace(quadric, axis1=1, axis2=2)[:, None] + 1e-15
    best = np.linalg.solve(quadric + pull[..., None] * np.eye(3), (target + pull * centre)[..., None])[..., 0]
    best = np.where(np.linalg.norm(best - centre, axis=1, keepdims=True) > cell_m, centre, best)
    return best, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)


def _read(path: Path) -> tuple[Floats, Integers]:
    if path.suffix == ".stl":  # binary: a header, then normal, corners and two bytes for each triangle
        record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
        corners = np.frombuffer(path.read_bytes(), record, offset=84)["corners"].astype(float)
        return corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)
    rows = [line.split()[:4] for line in path.read_text().splitlines()]
    points = [row[1:] for row in rows if row and row[0] == "v"]
    faces = [[corner.split("/")[0] for corner in row[1:]] for row in rows if row and row[0] == "f"]
    return np.array(points, float), np.array(faces, int) - 1
