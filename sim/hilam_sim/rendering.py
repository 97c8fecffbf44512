"""Off-screen rendering of a MuJoCo model: one GL context, any number of cameras of one size."""

from __future__ import annotations

import atexit
import importlib
import weakref
from contextlib import suppress
from typing import Any

import mujoco
import numpy as np

from hilam_sim.backend import GL_HINT, select_gl
from hilam_sim.culling import VISUAL_GROUP, Culler
from hilam_sim.errors import SimError

_HIDDEN_GROUP = 0  # that of the collision geoms


def _gl_context(size: int) -> Any:
    name = select_gl()
    if name is None:
        raise SimError(f"no OpenGL library for off-screen rendering: {GL_HINT}; or use render=False")
    if name not in ("egl", "osmesa", "glfw", "glx"):
        raise SimError(f"MUJOCO_GL={name} cannot render: unset it or use egl or osmesa; or use render=False")
    try:
        module = importlib.import_module(f"mujoco.{'glfw' if name == 'glx' else name}")
        context = module.GLContext(size, size)
        context.make_current()
    except Exception as error:  # PyOpenGL raises anything from AttributeError to its own GLError
        raise SimError(_gl_trouble(name, error)) from error
    return context


def _gl_trouble(name: str | None, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"OpenGL through MUJOCO_GL={name} does not work ({reason}): {GL_HINT}; or use render=False"


_OPEN: weakref.WeakSet[Renderer] = weakref.WeakSet()


def _close_all() -> None:
    for renderer in list(_OPEN):
        with suppress(Exception):  # another library may have ended EGL already
            renderer.close()


class Renderer:
    """Draws the visual geoms of a model, size x size pixels.

    The GL context belongs to the creating process: never inherit it over a fork.
    """

    def __init__(self, model: mujoco.MjModel, size: int) -> None:
        self._gl: Any = _gl_context(size)
        self._model = model
        self._size = size
        model.vis.global_.offwidth = size
        model.vis.global_.offheight = size
        self._scene = mujoco.MjvScene(model, maxgeom=2000)  # LIBERO's largest scenes have under 300
        if not model.light_castshadow.any():
            model.vis.quality.shadowsize = 0  # a map of 64 MB that nothing would be drawn into
        self._context = self._new_context()
        self._contexts: dict[int, mujoco.MjrContext] = {}
        self._options = mujoco.MjvOption()
        self._options.geomgroup[_HIDDEN_GROUP] = 0
        self._options.geomgroup[VISUAL_GROUP] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._perturb = mujoco.MjvPerturb()
        self._viewport = mujoco.MjrRect(0, 0, size, size)
        # A GPU draws a small triangle faster than the CPU finds out that it covers nothing.
        self._shrinks_meshes = self._context.offSamples > 1 and self._is_software()
        self._culler = Culler(model, size, self._sample_positions())
        self._groups = model.geom_group.copy()
        # mujoco ends EGL at exit, in an order that makes contexts still open complain: close them before.
        if not _OPEN:
            atexit.register(_close_all)
        _OPEN.add(self)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """The view of `camera`, uint8 RGB [size, size, 3], upright."""
        self._gl.make_current()
        self._camera.fixedcamid = camera_id = self._model.camera(camera).id
        views, seen = self._culler.views(data, camera_id)
        context = self._context
        # Without multisampling a small triangle is cheap to draw, and a mesh dear to upload.
        if self._shrinks_meshes:
            context = self._context_of(camera_id)
            self._culler.shrink_meshes(data, camera_id, views, seen, context)
        self._model.geom_group[:] = np.where(seen, self._groups, _HIDDEN_GROUP)
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._options,
            self._perturb,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        self._model.geom_group[:] = self._groups
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        mujoco.mjr_render(self._viewport, self._scene, context)
        image = np.empty((self._size, self._size, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, self._viewport, context)
        return np.ascontiguousarray(image[::-1])  # OpenGL's first row is the bottom one

    def _new_context(self) -> mujoco.MjrContext:
        try:
            context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except mujoco.FatalError as error:
            raise SimError(_gl_trouble(select_gl(), error)) from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        return context

    def _context_of(self, camera: int) -> mujoco.MjrContext:
        """A camera's own copy of the meshes, shrunk to what it sees; the first takes the one there is."""
        if camera not in self._contexts:
            self._contexts[camera] = self._new_context() if self._contexts else self._context
        return self._contexts[camera]

    def _is_software(self) -> bool:
        from OpenGL import GL

        name = GL.glGetString(GL.GL_RENDERER).decode().lower()
        return any(word in name for word in ("llvmpipe", "softpipe", "software"))

    def _sample_positions(self) -> np.ndarray:
        """Where the pixels of the off-screen buffer are sampled, float64 [n, 2] in [0, 1]."""
        from OpenGL import GL

        count = max(self._context.offSamples, 1)
        if count == 1:
            return np.array([[0.5, 0.5]])
        return np.array([GL.glGetMultisamplefv(GL.GL_SAMPLE_POSITION, i) for i in range(count)])

    def close(self) -> None:
        """Free the GL context; the renderer is of no use afterwards."""
        _OPEN.discard(self)
        if self._gl is not None:
            self._gl.make_current()
            for context in {id(c): c for c in (self._context, *self._contexts.values())}.values():
                context.free()
            self._gl.free()
            self._gl = None
