"""Culling: leaves out of a scene what a camera cannot see. The picture stays the same to the bit.

MuJoCo draws every triangle of every geom, and a software rasteriser spends about as long on one that covers
nothing as on one that shows. Two kinds are left out: geoms whose bounding box lies outside the camera's
frustum, and triangles of meshes that face away or are so small that they lie between the points at which the
rasteriser samples: nine in ten of LIBERO's at 128 pixels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import mujoco
import numba
import numpy as np

VISUAL_GROUP = 1

_MARGIN_M = 1e-3  # about bounding boxes: far more than the rounding of float32 at a few metres
_MARGIN_PX = 1 / 128  # rasterisers snap vertices to 1/256 of a pixel
_DRIFT_PX = 1 / 64  # how far a mesh may move in the picture before its triangles are looked at again
_NEAR_M = 0.02  # from the eye's plane: what comes nearer, or crosses it, is drawn without a closer look


@dataclass
class _View:
    """A camera, or its mirror image: eye, axes in rows (right, up, back), and the pixels that matter."""

    eye: np.ndarray
    axes: np.ndarray
    window: np.ndarray
    mirrored: bool = False


@dataclass
class _Covering:
    """Triangles of a geom that may show in a camera's views in these poses; `lasting`: or about them."""

    poses: np.ndarray
    windows: np.ndarray
    mask: np.ndarray
    lasting: bool


class Culler:
    """Finds what a model's cameras may see, directly or in a reflective surface.

    Args:
        size: Pixels of both sides of the picture.
        samples: Where the rasteriser samples within a pixel, float64 [n, 2] in [0, 1], y upwards.
    """

    def __init__(self, model: mujoco.MjModel, size: int, samples: np.ndarray) -> None:
        self._model, self._size = model, size
        self._samples = samples.astype(np.float32)
        self._centre, self._half = model.geom_aabb[:, :3].copy(), model.geom_aabb[:, 3:].copy()
        planes = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        self._centre[planes] = 0.0  # MuJoCo bounds the half space below; what it draws is a rectangle
        self._half[planes] = np.where(model.geom_size[planes] > 0, model.geom_size[planes], 1e3) * [1, 1, 0]
        reflectance = np.append(model.mat_reflectance, 0.0)[model.geom_matid]
        flat = planes | (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX)
        self._mirrors = np.flatnonzero(flat & (reflectance > 0) & (model.geom_group == VISUAL_GROUP))
        meshes = (model.geom_type == mujoco.mjtGeom.mjGEOM_MESH) & (model.geom_group == VISUAL_GROUP)
        self._mesh_geoms = np.flatnonzero(meshes)
        self._points = np.empty((3, max(model.mesh_vertnum, default=0)), dtype=np.float32)
        self._faces = [model.mesh_face.copy(), model.mesh_facenormal.copy(), model.mesh_facetexcoord.copy()]
        self._shapes: dict[int, tuple[np.ndarray, np.ndarray, float]] = {}
        self._coverings: dict[tuple[int, int], _Covering] = {}
        self._uploaded: dict[tuple[int, int], np.ndarray] = {}

    def views(self, data: mujoco.MjData, camera: int) -> tuple[list[_View], np.ndarray]:
        """The camera's views of the scene, and the geoms that may show in them, bool [ngeom]."""
        axes = data.cam_xmat[camera].reshape(3, 3).T
        views = [_View(data.cam_xpos[camera], axes, np.array([0.0, 0.0, self._size, self._size]))]
        seen = self._inside(data, camera, views[0])
        for mirror in self._mirrors[seen[self._mirrors]]:
            normal = data.geom_xmat[mirror].reshape(3, 3)[:, 2]
            surface = data.geom_xpos[mirror] + normal * self._half[mirror, 2]  # of a box, its upper side
            reflection = np.eye(3) - 2 * np.outer(normal, normal)
            eye = surface + reflection @ (views[0].eye - surface)
            window = self._window(data, camera, mirror, views[0])
            views.append(_View(eye, axes @ reflection, window, mirrored=True))
            seen |= self._inside(data, camera, views[-1])
        return views, seen

    def _inside(self, data: mujoco.MjData, camera: int, view: _View) -> np.ndarray:
        """Geoms whose bounding box is not wholly outside one side of the view."""
        slope = self._slope(camera)
        sides = np.array([[1, 0, -slope], [-1, 0, -slope], [0, 1, -slope], [0, -1, -slope]])
        sides = sides / np.hypot(1, slope) @ view.axes  # inward normals
        frames = data.geom_xmat.reshape(-1, 3, 3)
        centre = data.geom_xpos + np.einsum("gij,gj->gi", frames, self._centre)
        reach = np.einsum("gpi,gi->gp", np.abs(sides @ frames), self._half)
        return ((centre - view.eye) @ sides.T + reach > -_MARGIN_M).all(axis=1)

    def _window(self, data: mujoco.MjData, camera: int, geom: int, view: _View) -> np.ndarray:
        """Pixels that a geom's bounding box spans: left, low, right, high."""
        corners = np.array(list(itertools.product((-1, 1), repeat=3))) * self._half[geom] + self._centre[geom]
        x, y, z = view.axes @ (
            data.geom_xmat[geom].reshape(3, 3) @ corners.T + data.geom_xpos[geom, :, None] - view.eye[:, None]
        )
        if z.max() > -_NEAR_M:
            return view.window
        scale = self._size / 2 / self._slope(camera) / -z
        x, y = self._size / 2 + scale * x, self._size / 2 + scale * y
        return np.array([x.min() - 1, y.min() - 1, x.max() + 1, y.max() + 1])

    def _slope(self, camera: int) -> float:
        return float(np.tan(np.deg2rad(self._model.cam_fovy[camera]) / 2))

    def shrink_meshes(
        self,
        data: mujoco.MjData,
        camera: int,
        views: list[_View],
        seen: np.ndarray,
        context: mujoco.MjrContext,
    ) -> None:
        """Upload the meshes of the geoms seen without the triangles that leave no trace.

        Geoms without any other are taken out of `seen`. The model is left as it was.

        Args:
            context: The camera's own: a mesh that has hardly moved in its picture is not uploaded again.
        """
        masks: dict[int, np.ndarray] = {}
        for geom in self._mesh_geoms[seen[self._mesh_geoms]]:
            mask = self._covering(data, camera, views, geom)
            mesh = self._model.geom_dataid[geom]
            if not mask.any():
                seen[geom] = False
            elif mesh in masks:
                masks[mesh] = masks[mesh] | mask
            else:
                masks[mesh] = mask
        for mesh, mask in masks.items():
            before = self._uploaded.get((camera, mesh))
            if before is None or (before is not mask and not np.array_equal(before, mask)):
                self._upload(mesh, np.flatnonzero(mask), context)
                self._uploaded[camera, mesh] = mask

    def _covering(self, data: mujoco.MjData, camera: int, views: list[_View], geom: int) -> np.ndarray:
        """Triangles of a mesh geom that may cover a sample in one of the views, bool [F]."""
        frame = np.column_stack([data.geom_xmat[geom].reshape(3, 3), data.geom_xpos[geom]])
        poses = np.array([view.axes @ (frame - np.outer(view.eye, (0, 0, 0, 1))) for view in views])
        windows = np.array([view.window for view in views])
        vertices, faces, radius = self._shape(self._model.geom_dataid[geom])
        focal = self._size / 2 / self._slope(camera)
        known = self._coverings.get((camera, geom))
        still = False
        if known is not None and len(known.poses) == len(poses):
            moved = np.abs(poses - known.poses).sum(axis=(1, 2)) * max(radius, 1.0)
            nearest = np.maximum(-known.poses[:, 2, 3] - radius, _NEAR_M)
            still = bool((4 * focal * moved < _DRIFT_PX * nearest).all())
            still &= bool(np.abs(windows - known.windows).max() < 0.5)
            if still and known.lasting:
                return known.mask
        mask = np.zeros(len(faces), dtype=np.bool_)
        margin = np.float32(_MARGIN_PX + _DRIFT_PX if still else _MARGIN_PX)
        for view, pose in zip(views, poses.astype(np.float32), strict=True):
            _mark_covering(
                vertices,
                faces,
                np.ascontiguousarray(pose[:, :3]),
                np.ascontiguousarray(pose[:, 3]),
                np.float32(focal),
                np.float32(self._size / 2),
                view.window.astype(np.float32),
                view.mirrored,
                margin,
                self._samples,
                self._points,
                mask,
            )
        self._coverings[camera, geom] = _Covering(poses, windows, mask, still)
        return mask

    def _shape(self, mesh: int) -> tuple[np.ndarray, np.ndarray, float]:
        """A mesh's vertices, float32 [V, 3], coinciding ones merged, faces, int [F, 3], and radius."""
        if mesh not in self._shapes:
            model = self._model
            vertex, face = model.mesh_vertadr[mesh], model.mesh_faceadr[mesh]
            vertices = model.mesh_vert[vertex : vertex + model.mesh_vertnum[mesh]]
            rows = np.ascontiguousarray(vertices).view("V12").ravel()
            _, first, place = np.unique(rows, return_index=True, return_inverse=True)
            faces = self._faces[0][face : face + model.mesh_facenum[mesh]]
            radius = float(np.linalg.norm(vertices, axis=1).max())
            self._shapes[mesh] = vertices[first], place.astype(np.int32)[faces], radius
        return self._shapes[mesh]

    def _upload(self, mesh: int, faces: np.ndarray, context: mujoco.MjrContext) -> None:
        model = self._model
        first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
        part = slice(first, first + len(faces))
        arrays = model.mesh_face, model.mesh_facenormal, model.mesh_facetexcoord
        for array, whole in zip(arrays, self._faces, strict=True):
            if len(array):
                np.take(whole, first + faces, axis=0, out=array[part], mode="clip")
        model.mesh_facenum[mesh] = len(faces)
        mujoco.mjr_uploadMesh(model, context, mesh)
        model.mesh_facenum[mesh] = count
        for array, whole in zip(arrays, self._faces, strict=True):
            if len(array):
                array[part] = whole[part]


@numba.njit(cache=True, error_model="numpy")
def _mark_covering(
    vertices, faces, rotation, offset, focal, half, window, mirrored, margin, samples, points, mask
):  # type: ignore[no-untyped-def]
    """Set `mask` [F] where a triangle may cover a sample; leave it where it certainly covers none."""
    xs, ys, depths = points[0], points[1], points[2]
    facing = np.float32(-1 if mirrored else 1)
    for i in range(len(vertices)):
        a, b, c = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        depth = -(rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2] * c + offset[2])
        scale = focal / depth
        xs[i] = half + scale * (rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2] * c + offset[0])
        ys[i] = half + scale * (rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2] * c + offset[1])
        depths[i] = depth
    for i in range(len(faces)):
        p, q, r = faces[i, 0], faces[i, 1], faces[i, 2]
        if min(depths[p], depths[q], depths[r]) < _NEAR_M:
            mask[i] |= max(depths[p], depths[q], depths[r]) > -_MARGIN_M
            continue
        left, right = min(xs[p], xs[q], xs[r]), max(xs[p], xs[q], xs[r])
        low, high = min(ys[p], ys[q], ys[r]), max(ys[p], ys[q], ys[r])
        area = facing * ((xs[q] - xs[p]) * (ys[r] - ys[p]) - (ys[q] - ys[p]) * (xs[r] - xs[p]))
        if area < -margin * (right - left + high - low + margin):
            continue  # faces away, whatever the rounding
        left, right, low, high = left - margin, right + margin, low - margin, high + margin
        if right < window[0] or high < window[1] or left > window[2] or low > window[3]:
            continue
        if (
            right - left > 2 or high - low > 2
        ):  # pixels: nearly always covers a sample, and has many to look at
            mask[i] = True
            continue
        for k in range(len(samples)):
            x = np.ceil(left - samples[k, 0]) + samples[k, 0]
            while x <= right and not mask[i]:
                y = np.ceil(low - samples[k, 1]) + samples[k, 1]
                while y <= high and not mask[i]:
                    inside = (
                        _inside_edge(xs[p], ys[p], xs[q], ys[q], x, y, facing, margin)
                        and _inside_edge(xs[q], ys[q], xs[r], ys[r], x, y, facing, margin)
                        and _inside_edge(xs[r], ys[r], xs[p], ys[p], x, y, facing, margin)
                    )
                    mask[i] = inside
                    y += 1
                x += 1


@numba.njit(cache=True)
def _inside_edge(ax, ay, bx, by, x, y, facing, margin):  # type: ignore[no-untyped-def]
    """Whether a point lies on the inner side of the edge a to b, or within a margin of it."""
    dx, dy = bx - ax, by - ay
    return facing * (dx * (y - ay) - dy * (x - ax)) >= -margin * (abs(dx) + abs(dy) + margin)
