"""Small closed meshes with texture coordinates: lofts (cans, bowls), tubes (handles), slabs and boxes."""

from dataclasses import dataclass, replace

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

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> "Mesh":
        """The mesh shifted [m]."""
        return replace(self, points=self.points + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> "Mesh":
        """The mesh rotated about "x", "y" or "z" through the origin, counter-clockwise."""
        first, second = (("xyz".index(axis) + step) % 3 for step in (1, 2))
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        rotation = np.eye(3)
        rotation[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
        return replace(self, points=self.points @ rotation.T, normals=self.normals @ rotation.T)

    def patched(self, u0: float, v0: float, u1: float, v1: float) -> "Mesh":
        """The mesh with its whole texture squeezed into a rectangle, to share a picture with others."""
        return replace(self, uv=self.uv * (u1 - u0, v1 - v0) + (u0, v0))

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


def polygon(count: int) -> Floats:
    """A polygon with `count` sharp corners as rows (x, z, u); side k spans u = k/count to (k + 1)/count."""
    corners = circle(count)
    rows = [(*corners[k + end, :2], (k + end) / count) for k in range(count) for end in (0, 1)]
    return np.array(rows)


def loft(profile: ArrayLike, section: Floats, up: str = "z") -> Mesh:
    """Sweeps `section` along `profile`: rows (height, half width x, half width y, v).

    Rows given twice make a sharp edge. Rows with zero width close the ends. `up` is the axis of the height.
    """
    height, half_x, half_z, v = (column[:, None] for column in np.asarray(profile, float).T)
    x, z, u = section.T
    grid = np.stack(np.broadcast_arrays(half_x * x, height, half_z * z), -1)
    uv = np.stack(np.broadcast_arrays(u, v), -1).reshape(-1, 2)
    mesh = _skin(grid, uv, smooth=not np.array_equal(section[1, :2], section[2, :2]))
    if up == "y":
        return mesh
    points, normals = (np.stack([w[:, 0], -w[:, 2], w[:, 1]], 1) for w in (mesh.points, mesh.normals))
    return replace(mesh, points=points, normals=normals)


def tube(path: ArrayLike, count: int = 8) -> Mesh:
    """A closed tube along `path`: rows (x, z, half width across y, half depth in the plane), at least two.

    u runs around it, v along it from 0 to 1.
    """
    rows = np.asarray(path, float)
    rows = np.concatenate([rows[:1] * (1, 1, 0, 0), rows[:1], rows, rows[-1:], rows[-1:] * (1, 1, 0, 0)])
    along = np.gradient(np.asarray(path, float)[:, :2], axis=0)
    along = np.pad(along / np.linalg.norm(along, axis=1, keepdims=True), ((2, 2), (0, 0)), mode="edge")
    step = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    v = np.concatenate([[0], step.cumsum() / step.sum()])
    across, deep, u = circle(count).T
    depth = rows[:, 3, None] * deep
    x, z = rows[:, :1] + depth * along[:, 1:], rows[:, 1:2] - depth * along[:, :1]
    grid = np.stack([x, rows[:, 2, None] * across, z], -1)
    return _skin(grid, np.stack(np.broadcast_arrays(u, v[:, None]), -1).reshape(-1, 2), smooth=True)


def slab(outline: ArrayLike, half_thickness: float, tile_m: float = 0.3) -> Mesh:
    """A board of convex `outline` (rows x, z; counter-clockwise seen from -y), with thickness along y.

    The texture lies on every face at `tile_m` per repeat, u along x (on the edges along the edge), so that
    boards of one texture show the same grain; v is 0.5 at z = 0 on the sides and 0 along the middle of edges.
    """
    corners = np.asarray(outline, float)
    count = len(corners)
    fan = np.array([(0, k, k + 1) for k in range(1, count - 1)])
    faces = []
    for sign in (-1, 1):
        points = np.insert(corners, 1, sign * half_thickness, axis=1)
        normals = np.tile([0.0, sign, 0.0], (count, 1))
        faces.append(Mesh(points, normals, corners / tile_m + (0, 0.5), fan[:, ::-sign]))
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        edge = end - start
        length = np.linalg.norm(edge)
        points = np.array([(*p, y) for p, y in ((start, -1), (end, -1), (end, 1), (start, 1))])[:, [0, 2, 1]]
        points[:, 1] *= half_thickness
        normals = np.tile([edge[1] / length, 0.0, -edge[0] / length], (4, 1))
        uv = np.array([(0, -1), (1, -1), (1, 1), (0, 1)]) * (length, half_thickness) / tile_m
        faces.append(Mesh(points, normals, uv, np.array([(0, 2, 1), (0, 3, 2)])))
    return merge(*faces)


def board(half_x: float, half_y: float, half_z: float, tile_m: float = 0.3) -> Mesh:
    """A box as a slab that is thick along y."""
    rectangle = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float) * (half_x, half_z)
    return slab(rectangle, half_y, tile_m)


def _skin(grid: Floats, uv: Floats, smooth: bool) -> Mesh:
    """The mesh over a grid of points [rings, columns, 3]; `smooth` hides the seam of a round section."""
    rings, columns = grid.shape[:2]
    corner = np.arange(rings * columns).reshape(rings, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, c, d), (a, b, c))])
    points = grid.reshape(-1, 3)
    normal = _normals(points, triangles)
    triangles = triangles[np.linalg.norm(normal, axis=1) > 1e-12]
    normals = _vertex_normals(points, triangles)
    if smooth:
        seam = corner[:, [0, -1]]
        normals[seam] = normals[seam].sum(1, keepdims=True)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
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
