"""Small closed meshes with texture coordinates: lofts (cans, bottles, cartons, baskets) and boxes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """points[N, 3] in metres, normals[N, 3], uv[N, 2] in 0..1 with v up, triangles[M, 3]."""

    points: Floats
    normals: Floats
    uv: Floats
    triangles: Integers

    def obj(self) -> str:
        """The mesh as a Wavefront OBJ file."""
        lines = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in self.points]
        lines += [f"vt {u:.4f} {v:.4f}" for u, v in self.uv]
        lines += [f"vn {x:.3f} {y:.3f} {z:.3f}" for x, y, z in self.normals]
        lines += [f"f {a}/{a}/{a} {b}/{b}/{b} {c}/{c}/{c}" for a, b, c in self.triangles + 1]
        return "\n".join(lines) + "\n"


def circle(count: int = 20) -> Floats:
    """A unit circle as rows (x, z, u), closed."""
    turn = np.linspace(0, 1, count + 1)
    return np.stack([np.cos(2 * np.pi * turn), -np.sin(2 * np.pi * turn), turn], 1)


def rounded_square(count: int = 28, power: float = 7.0) -> Floats:
    """A square with half side 1 and round corners (a superellipse) as rows (x, z, u), closed."""
    x, z, _ = circle(count).T
    x, z = (np.sign(c) * np.abs(c) ** (2 / power) for c in (x, z))
    step = np.hypot(np.diff(x), np.diff(z)).cumsum()
    return np.stack([x, z, np.concatenate([[0], step / step[-1]])], 1)


def square() -> Floats:
    """A square with half side 1 and sharp corners as rows (x, z, u); side k spans u = k/4 to (k + 1)/4."""
    corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1), (1, 1)], float)
    rows = [(*corners[k + end], (k + end) / 4) for k in range(4) for end in (0, 1)]
    return np.array(rows)


def loft(profile: ArrayLike, section: Floats, up: str = "z") -> Mesh:
    """Sweeps `section` along `profile`: rows (height, half width x, half width y, v).

    Rows given twice make a sharp edge. Rows with zero width close the ends. `up` is the axis of the height.
    """
    height, half_x, half_z, v = (column[:, None] for column in np.asarray(profile, float).T)
    x, z, u = section.T
    grid = np.stack(np.broadcast_arrays(half_x * x, height, half_z * z), -1)
    uv = np.stack(np.broadcast_arrays(u, v), -1).reshape(-1, 2)
    rings, columns = grid.shape[:2]
    corner = np.arange(rings * columns).reshape(rings, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, d), (a, b, c))])
    points = grid.reshape(-1, 3)
    normal = _normals(points, triangles)
    triangles = triangles[np.linalg.norm(normal, axis=1) > 1e-12]
    normals = _vertex_normals(points, triangles)
    if not np.array_equal(section[1, :2], section[2, :2]):  # round: the seam must not show
        seam = corner[:, [0, -1]]
        normals[seam] = normals[seam].sum(1, keepdims=True)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    if up == "z":
        points, normals = (np.stack([w[:, 0], -w[:, 2], w[:, 1]], 1) for w in (points, normals))
    return Mesh(points, normals, uv, triangles)


def box(half_x: float, half_y: float, half_z: float) -> Mesh:
    """A box. Its top and bottom show v = 0.3 to 1 of the texture, its sides share v = 0 to 0.3."""
    sides = loft([(-half_z, half_x, half_y, 0), (half_z, half_x, half_y, 0.3)], square())
    plane = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    meshes = [sides]
    for sign in (1, -1):
        points = np.column_stack([plane * (half_x, half_y), np.full(4, sign * half_z)])
        uv = (plane * (sign, 1) + 1) / 2 * (1, 0.7) + (0, 0.3)
        triangles = np.array([(0, 1, 2), (0, 2, 3)])[:, ::sign]
        meshes.append(Mesh(points, np.tile([0.0, 0.0, sign], (4, 1)), uv, triangles))
    return merge(*meshes)


def merge(*meshes: Mesh) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(mesh.points) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.points for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]),
    )


def _normals(points: Floats, triangles: Integers) -> Floats:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _vertex_normals(points: Floats, triangles: Integers) -> Floats:
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], _normals(points, triangles))
    return normals
