"""Off-screen rendering of a MuJoCo model: one GL context, any number of cameras of one size."""

from __future__ import annotations

import atexit
import importlib
import weakref
from typing import Any

import mujoco
import numpy as np
from hilam_sim.backend import GL_HINT, select_gl
from hilam_sim.errors import SimError

_COLLISION_GROUP, _VISUAL_GROUP = 0, 1


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
        raise SimError(
            f"OpenGL through MUJOCO_GL={name} does not work ({error}): {GL_HINT}; or use render=False"
        ) from error
    return context


_OPEN: weakref.WeakSet[Renderer] = weakref.WeakSet()


def _close_all() -> None:
    for renderer in list(_OPEN):
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
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[_COLLISION_GROUP] = 0
        self._options.geomgroup[_VISUAL_GROUP] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._perturb = mujoco.MjvPerturb()
        self._viewport = mujoco.MjrRect(0, 0, size, size)
        # mujoco ends EGL at exit, in an order that makes contexts still open complain: close them before.
        if not _OPEN:
            atexit.register(_close_all)
        _OPEN.add(self)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """The view of `camera`, uint8 RGB [size, size, 3], upright."""
        self._gl.make_current()
        self._camera.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._options,
            self._perturb,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        image = np.empty((self._size, self._size, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(image, None, self._viewport, self._context)
        return np.ascontiguousarray(image[::-1])  # OpenGL's first row is the bottom one

    def close(self) -> None:
        """Free the GL context; the renderer is of no use afterwards."""
        _OPEN.discard(self)
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None
