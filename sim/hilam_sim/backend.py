"""Imports LIBERO and robosuite without their side effects.

Left alone, the two packages ask questions on standard input, write below the home directory, `/tmp` and
site-packages, warn about missing private macros and download assets. `libero_envs()` imports them with all of
that switched off or pointed at HiLAM's own cache folder. Import nothing of LIBERO or robosuite before it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from hilam_core.errors import FileError
from hilam_core.files import cache_folder, replacing
from hilam_sim.errors import SimError

GL_HINT = "install one with: apt-get install libegl1 libgl1-mesa-dri (or libosmesa6)"


@cache
def libero_root() -> Path:
    """Folder of LIBERO's BDDL files and stored states, found without importing LIBERO.

    Raises:
        SimError: LIBERO is not installed.
    """
    spec = importlib.util.find_spec("libero")
    locations = list(spec.submodule_search_locations or []) if spec else []
    for location in locations:
        if (Path(location) / "libero" / "bddl_files").is_dir():
            return Path(location) / "libero"
    raise SimError("LIBERO is not installed: run tools/setup.sh (or pip install --no-deps hf-libero==0.1.4)")


def _has_osmesa() -> bool:
    for library in ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        with suppress(OSError):
            ctypes.CDLL(library)
            return True
    return False


def _has_egl() -> bool:
    """Whether EGL's library is there and finds a device: without a driver package it finds none."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    if not address:
        return False
    signature = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))
    count = ctypes.c_int(0)
    return bool(signature(address)(0, None, ctypes.byref(count))) and count.value > 0


def _gl_variable(name: str) -> str:
    return os.environ.get(name, "").strip().lower()


def gl_conflict() -> str | None:
    """What is wrong with $MUJOCO_GL and $PYOPENGL_PLATFORM, in one line; None where nothing is."""
    name, platform = _gl_variable("MUJOCO_GL"), _gl_variable("PYOPENGL_PLATFORM")
    switches = "enable", "enabled", "on", "true", "1", "disable", "off", "false", "0"
    if name not in ("", "egl", "osmesa", "glfw", "glx", "disabled", *switches):
        return f"MUJOCO_GL={name} is none of egl, osmesa, glfw, disabled: unset it or choose one"
    if name in ("egl", "osmesa") and platform not in ("", name):
        return f"MUJOCO_GL={name} and PYOPENGL_PLATFORM={platform} contradict each other: unset one of them"
    if name == "" and platform not in ("", "egl", "osmesa"):
        return f"PYOPENGL_PLATFORM={platform} cannot render off-screen: unset it, or choose egl or osmesa"
    return None


@contextmanager
def importable_gl() -> Iterator[None]:
    """MuJoCo and robosuite import, even where $MUJOCO_GL or $PYOPENGL_PLATFORM name what cannot render.

    They would end in a traceback at import. Without rendering nothing is wrong; where something is to be
    rendered, `select_gl` and the renderer say in one line what is.
    """
    missing = {"egl": lambda: not _has_egl(), "osmesa": lambda: not _has_osmesa()}
    if gl_conflict() or missing.get(_gl_variable("MUJOCO_GL"), lambda: False)():
        with _variable_set("MUJOCO_GL", "disabled"):
            yield
    else:
        yield


@contextmanager
def _variable_set(name: str, value: str) -> Iterator[None]:
    """An environment variable that has another value for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def select_gl() -> str | None:
    """Choose MuJoCo's off-screen GL; None where there is none.

    What $MUJOCO_GL says, else what $PYOPENGL_PLATFORM says, else EGL where it finds a device, else OSMesa.

    Raises:
        SimError: the two variables contradict each other, or name what cannot render off-screen.
    """
    if conflict := gl_conflict():
        raise SimError(f"{conflict}; or use render=False")
    # Software rendering on the calling thread: helper threads only fight with the other workers for cores.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    # Mesa's cache writes to the home directory, from a thread of such low priority that on a busy machine a
    # process takes a minute to die of it; without it the first image costs 0.3 s more.
    os.environ.setdefault("MESA_SHADER_CACHE_DISABLE", "true")
    chosen = _gl_variable("MUJOCO_GL") or _gl_variable("PYOPENGL_PLATFORM")
    if not chosen:
        chosen = "egl" if _has_egl() else "osmesa" if _has_osmesa() else ""
    if not chosen:
        return None
    os.environ["MUJOCO_GL"] = chosen
    if chosen == "egl":
        os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    return chosen


def _preload_robosuite_macros() -> None:
    """Give robosuite its macros beforehand: no warning about them, no /tmp/robosuite.log, no forced EGL."""
    if "robosuite" in sys.modules:
        return
    spec = importlib.util.find_spec("robosuite")
    if spec is None or not spec.submodule_search_locations:
        raise SimError(
            "robosuite is not installed: run tools/setup.sh (or pip install --no-deps robosuite==1.4.0)"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / "macros.py"
    macros_spec = importlib.util.spec_from_file_location("robosuite.macros", path)
    assert macros_spec is not None and macros_spec.loader is not None
    macros = importlib.util.module_from_spec(macros_spec)
    macros_spec.loader.exec_module(macros)
    macros.FILE_LOGGING_LEVEL = None  # type: ignore[attr-defined]
    macros.MUJOCO_GPU_RENDERING = False  # type: ignore[attr-defined]
    sys.modules["robosuite.macros"] = macros
    sys.modules["robosuite.macros_private"] = types.ModuleType("robosuite.macros_private")


def _import_libero() -> Any:
    """Import `libero.libero` with a ready configuration file, so that it has nothing to ask.

    Raises:
        SimError: the cache folder cannot be written, and has no such file.
    """
    folder = cache_folder("libero")
    root = libero_root()
    paths = {
        "benchmark_root": root,
        "bddl_files": root / "bddl_files",
        "init_states": root / "init_files",
        "datasets": folder / "datasets",
        "assets": folder / "assets",
    }
    text = "".join(f"{key}: {str(value)!r}\n" for key, value in paths.items())
    config = folder / "config.yaml"
    if not config.exists() or config.read_text() != text:
        try:
            with replacing(config) as draft:
                draft.write_text(text)
        except FileError as error:
            raise SimError(f"{error}; set HILAM_CACHE to a folder that you can write") from None
    with _variable_set("LIBERO_CONFIG_PATH", str(folder)):
        return importlib.import_module("libero.libero")


@cache
def _prepare() -> Any:
    for variable, folder in (("NUMBA_CACHE_DIR", "numba"), ("MPLCONFIGDIR", "matplotlib")):
        os.environ.setdefault(variable, str(cache_folder(folder)))
    with suppress(SimError):  # told where something is rendered
        select_gl()
    _preload_robosuite_macros()
    _log_mujoco_warnings()
    with importable_gl():
        return _import_libero()


def _log_mujoco_warnings() -> None:
    """Send MuJoCo's warnings to logging: its own way is a file MUJOCO_LOG.TXT in the current folder."""
    import mujoco

    mujoco.set_mju_user_warning(logging.getLogger("hilam_sim").warning)


def libero_envs(assets_path: Path) -> Any:
    """The module `libero.libero.envs`, reading assets from `assets_path` from now on."""
    libero = _prepare()
    libero._assets_path_cache = str(assets_path)
    with importable_gl():
        return importlib.import_module("libero.libero.envs")
