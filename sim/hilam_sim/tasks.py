"""LIBERO's tasks and stored initial states, read without importing LIBERO or torch."""

from __future__ import annotations

import io
import pickle
import re
import runpy
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from hilam_sim.backend import libero_root
from hilam_sim.errors import SimError

# The limits that published evaluations on LIBERO use, so that success rates can be compared.
MAX_STEPS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}
SUITES = tuple(MAX_STEPS)


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes:
        suite: One of `SUITES`.
        index: Position in the suite's published order.
        name: File name stem of the BDDL file.
        instruction: The language instruction.
        bddl_path: LIBERO's problem definition.
    """

    suite: str
    index: int
    name: str
    instruction: str
    bddl_path: Path


@cache
def _task_names(suite: str) -> tuple[str, ...]:
    if suite not in SUITES:
        raise SimError(f"unknown suite {suite!r}: choose from {', '.join(SUITES)}")
    table = runpy.run_path(str(libero_root() / "benchmark" / "libero_suite_task_map.py"))["libero_task_map"]
    return tuple(table[suite])


def _instruction(name: str) -> str:
    """The published instruction: the file name without its scene prefix, as in LIBERO's benchmark."""
    return re.sub(r"^[A-Z_]+SCENE\d+_", "", name).replace("_", " ")


def list_tasks(suite: str) -> list[Task]:
    """All tasks of `suite` in published order.

    Raises:
        SimError: unknown suite.
    """
    folder = libero_root() / "bddl_files" / suite
    return [
        Task(suite, index, name, _instruction(name), folder / f"{name}.bddl")
        for index, name in enumerate(_task_names(suite))
    ]


def get_task(suite: str, task: int | str) -> Task:
    """A task by index, name, or instruction.

    Raises:
        SimError: unknown suite or task (the message lists the choices), or an unreadable problem file.
    """
    tasks = list_tasks(suite)
    if isinstance(task, str) and re.fullmatch(r"-?\d+", task):
        task = int(task)
    if isinstance(task, str):
        for candidate in tasks:
            if task in (candidate.name, candidate.instruction):
                return _checked(candidate)
    elif 0 <= task < len(tasks):
        return _checked(tasks[task])
    choices = "; ".join(f"{t.index} {t.name}" for t in tasks[:10]) + ("; ..." if len(tasks) > 10 else "")
    raise SimError(f"unknown task {task!r} in {suite}: choose 0 to {len(tasks) - 1} or a name: {choices}")


def parse_task(text: str) -> Task:
    """A task written as suite:number or suite:name. Raises SimError as `get_task` does."""
    suite, _, task = text.partition(":")
    return get_task(suite, task)


def _checked(task: Task) -> Task:
    """The task, if its problem file is whole: LIBERO's parser does not say which file is not."""
    try:
        text = task.bddl_path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SimError(f"cannot read {task.bddl_path}: {error}; reinstall hf-libero") from None
    if not re.match(r"\s*\(define\s*\(problem\s+\w+\)", text) or text.count("(") != text.count(")"):
        raise SimError(f"{task.bddl_path} is no whole BDDL problem; reinstall hf-libero")
    return task


def choose_tasks(suites: Sequence[str], tasks: Sequence[int | str] = ()) -> list[Task]:
    """All tasks of `suites`, or some `tasks` of a single one.

    Raises:
        SimError: unknown suite or task, no suite, or tasks of several suites.
    """
    if not suites:
        raise SimError(f"no suite: choose from {', '.join(SUITES)}")
    if not tasks:
        return [task for suite in dict.fromkeys(suites) for task in list_tasks(suite)]
    if len(suites) > 1:
        raise SimError(f"tasks {', '.join(map(str, tasks))} of {len(suites)} suites: choose one suite")
    return [get_task(suites[0], task) for task in tasks]


def require_same_scene(task: Task, other: Task) -> None:
    """SimError unless two tasks have the same objects and fixtures: then they share their states."""
    if task != other and _scene(task) != _scene(other):
        raise SimError(f"{task.name} and {other.name} have other objects: choose tasks of one scene")


def _scene(task: Task) -> list[list[str]]:
    """The words of a problem's fixtures and objects."""
    text = task.bddl_path.read_text()
    return [re.findall(r"[\w-]+", part) for part in re.findall(r"\(:(?:fixtures|objects)([^()]*)\)", text)]


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays and nothing else: a state file cannot run code."""

    _ALLOWED = frozenset({("ndarray",), ("dtype",), ("_reconstruct",), ("scalar",)})

    def find_class(self, module: str, name: str) -> object:
        if module.split(".")[0] == "numpy" and (name,) in self._ALLOWED:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a state file")


@cache
def _load_states(path: Path) -> np.ndarray:
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            states = np.asarray(_ArrayUnpickler(io.BytesIO(archive.read(member))).load(), dtype=np.float64)
    except (OSError, StopIteration, zipfile.BadZipFile, pickle.UnpicklingError, ValueError) as error:
        raise SimError(
            f"cannot read stored initial states from {path}: {error}; reinstall hf-libero"
        ) from error
    if states.ndim != 2:
        raise SimError(
            f"stored initial states in {path} have shape {states.shape}, expected [n, d]; reinstall hf-libero"
        )
    states.setflags(write=False)
    return states


def initial_states(task: Task) -> np.ndarray:
    """The published evaluation states, float64 [n, d]: time, positions and velocities of MuJoCo.

    Raises:
        SimError: missing or unreadable file.
    """
    return _load_states(libero_root() / "init_files" / task.suite / f"{task.name}.pruned_init")
