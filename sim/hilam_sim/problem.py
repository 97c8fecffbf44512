"""LIBERO's problem object as the environment uses it: without cameras, with cheap resets and contacts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from hilam_sim.assets import lighten_rendering, lighten_robot
from hilam_sim.backend import libero_envs
from hilam_sim.errors import SimError

RESET_ATTEMPTS = 50  # LIBERO's sampler often fails in crowded regions; 50 failures in a row mean it cannot


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """LIBERO draws from numpy's global generator: seed it, and give the caller's back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def build_problem(bddl_path: Path, assets_path: Path, light: bool, control_hz: int) -> Any:
    """The problem of a BDDL file with the standard controller, without cameras.

    Args:
        bddl_path: LIBERO's problem definition.
        assets_path: Folder in the layout of LIBERO's assets.
        light: Draw the robot from simplified meshes, without multisampling, shadow maps and reflections.
        control_hz: Control steps a second.

    Raises:
        SimError: an unreadable problem definition; no valid placement of the objects found.
    """
    libero = libero_envs(assets_path)
    import robosuite
    from libero.libero.envs import bddl_utils
    from robosuite.utils.errors import RandomizationError

    try:
        name = bddl_utils.robosuite_parse_problem(str(bddl_path))["problem_name"]
    except Exception as error:  # the parser raises anything, bare Exception included
        raise SimError(f"cannot read the problem {bddl_path} ({error}): reinstall hf-libero==0.1.4") from None
    if name not in libero.TASK_MAPPING:
        raise SimError(f"{bddl_path} is a {name!r}: choose from {', '.join(libero.TASK_MAPPING)}")
    original = libero.TASK_MAPPING[name]

    def initialize_sim(self: Any, xml_string: str | None = None) -> None:
        if light:
            self._xml_processor = lambda xml: lighten_rendering(lighten_robot(xml))
        super(problem_class, self)._initialize_sim(xml_string)

        model = self.sim.model._model
        self.sim.reset = partial(_reset_as_if_new, self.sim, model.body_pos.copy(), model.body_quat.copy())
        self._masks = {}

    # LIBERO compares the class name with the problem's: a subclass must keep it.
    overrides = {"_initialize_sim": initialize_sim, "check_contact": _check_contact}
    problem_class: Any = type(original.__name__, (original,), overrides)
    with global_seed(0):
        for _ in range(RESET_ATTEMPTS):
            try:
                return problem_class(
                    str(bddl_path),
                    robots=["Panda"],
                    controller_configs=robosuite.load_controller_config(default_controller="OSC_POSE"),
                    initialization_noise=None,
                    use_camera_obs=False,
                    has_offscreen_renderer=False,
                    control_freq=control_hz,
                    ignore_done=True,
                    hard_reset=False,
                )
            except RandomizationError:
                continue
            except KeyError as error:
                raise SimError(f"{bddl_path} needs {error}, which LIBERO does not have") from error
    raise SimError(f"no valid placement for {bddl_path}")


def _reset_as_if_new(sim: Any, body_pos: np.ndarray, body_quat: np.ndarray) -> None:
    """Leave MuJoCo as right after loading: fixtures in place, data and the solver's warm start untouched."""
    sim.model.body_pos[:], sim.model.body_quat[:] = body_pos, body_quat
    mujoco.mj_resetData(sim.model._model, sim.data._data)
    sim.forward()


def _check_contact(self: Any, geoms_1: Any, geoms_2: Any = None) -> bool:
    """robosuite's method, without asking for two names a contact: they cost more than a simulation step."""
    first, second = self.sim.data._data.contact.geom.T
    mask_1, mask_2 = _geom_mask(self, geoms_1), _geom_mask(self, geoms_2)
    return bool(np.any(mask_1[first] & mask_2[second] | mask_2[first] & mask_1[second]))


def _geom_mask(problem: Any, geoms: Any) -> np.ndarray:
    """Which geoms are meant by names, by a robosuite model or, with None, all of them; bool [ngeom]."""
    key = tuple(geoms) if isinstance(geoms, list) else geoms
    if key not in problem._masks:
        model = problem.sim.model._model
        mask = np.full(model.ngeom, geoms is None)
        names = [geoms] if isinstance(geoms, str) else getattr(geoms, "contact_geoms", geoms) or []
        mask[[model.geom(name).id for name in names]] = True
        problem._masks[key] = mask
    return problem._masks[key]
