"""Which task an arm follows."""

from __future__ import annotations

from dataclasses import dataclass

from hilam_core.errors import HilamError
from hilam_core.runtime.stamps import stamp_problem

# LIBERO's have at most 90 characters. What is far beyond is no instruction, and goes into logs and files.
MAX_INSTRUCTION = 500


class TaskError(HilamError):
    """A task that cannot be followed. The message is one line."""


def check_instruction(text: str) -> None:
    """Refuse a text that is no instruction; it comes from topics and from people.

    Raises:
        TaskError: it is empty, too long, or has characters that do not print.
    """
    if not text.strip():
        raise TaskError("the task has no instruction")
    if len(text) > MAX_INSTRUCTION:
        raise TaskError(f"the instruction has {len(text)} characters, more than {MAX_INSTRUCTION}")
    if not text.isprintable():
        raise TaskError(f"the instruction has characters that do not print: {text!a}")


@dataclass(frozen=True)
class Task:
    """What the robot is asked to do."""

    episode: int
    instruction: str
    active: bool
    stamp_ns: int = 0  # start of the episode; 0: not said


class TaskFollower:
    """Keeps the task at hand: the same one published again is the same, a bad one leaves none."""

    def __init__(self) -> None:
        self.current: Task | None = None
        self.newest = 0
        """The highest number of an episode so far."""

    def take(self, task: Task, now_ns: int) -> bool:
        """Take in a published task; whether the task at hand changed. One of an earlier episode is ignored.

        Raises:
            TaskError: it cannot be followed; there is no task at hand then.
        """
        if task.episode < self.newest:
            return False
        self.newest = task.episode
        before, self.current = self.current, None
        if not task.active:
            return before is not None
        if before and (before.episode, before.instruction) == (task.episode, task.instruction):
            self.current = before
            return False
        check_instruction(task.instruction)
        # An old task is fine: it is latched, and nodes may start late.
        if task.stamp_ns and (problem := stamp_problem(task.stamp_ns, now_ns)):
            raise TaskError(f"the task '{task.instruction}' {problem}")
        self.current = task
        return True

    def drop(self) -> None:
        """Nobody can follow the task at hand."""
        self.current = None
