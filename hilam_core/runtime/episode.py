"""An episode: one performance of a task, from its preparation to its outcome.

Times (`now_s`) are seconds of a steady clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SUCCESS, TIMEOUT, CANCELLED, STOPPED, FAILED = "success", "timeout", "cancelled", "stopped", "failed"


@dataclass(frozen=True)
class Outcome:
    """How an episode ended, and why in words and numbers."""

    name: str
    reason: str


@dataclass(frozen=True)
class Patience:
    """How long an episode waits."""

    start_s: float = 60.0  # for everyone to be prepared
    step_s: float = 10.0  # for the next step, in lockstep and of a simulation


class Takeovers:
    """When a person drove during an episode.

    spans: `from_s` and `to_s`, seconds since the episode began, and `source`, joystick or keys.
    """

    def __init__(self) -> None:
        self.spans: list[dict[str, float | str]] = []
        self._began_s = self._since_s = 0.0
        self._source = ""

    def begin(self, source: str, now_s: float) -> None:
        """The episode begins; source: who drives by hand already, empty: nobody."""
        self._began_s = now_s
        self.change(source, now_s)

    def change(self, source: str, now_s: float) -> None:
        """A person has taken over (`source`) or given back (empty)."""
        if self._source:
            span = {"from_s": round(self._since_s, 2), "to_s": round(now_s - self._began_s, 2)}
            self.spans.append({**span, "source": self._source})
        self._source, self._since_s = source, now_s - self._began_s

    def end(self, now_s: float) -> None:
        """The episode is over."""
        self.change("", now_s)


class Episode:
    """Begins when all is prepared, counts steps, and ends with the first outcome that comes.

    It knows no topics and no arm: a node tells it what happened.

    control_hz: steps a second of an episode's time. judged: a judge counts the steps and sees success;
    without one the clock decides about the time limit, and the operator about success.
    """

    def __init__(self, control_hz: float, patience: Patience, now_s: float, judged: bool = True):
        self.control_hz, self.patience, self.judged = control_hz, patience, judged
        self.steps = 0
        self.outcome: Outcome | None = None
        self._limit_s = math.inf
        self._created_s = self._step_s = now_s
        self._began_s: float | None = None
        self._ended_s = 0.0

    @property
    def began(self) -> bool:
        """Whether the first observation was due."""
        return self._began_s is not None

    @property
    def limit_steps(self) -> int:
        """The time limit in control steps; 0: none."""
        return round(self._limit_s * self.control_hz) if math.isfinite(self._limit_s) else 0

    def begin(self, now_s: float, limit_s: float = math.inf) -> None:
        """The first observation is about to come; limit_s: the time limit."""
        self._began_s, self._step_s, self._limit_s = now_s, now_s, limit_s

    def stepped(self, step: int, success: bool, now_s: float) -> None:
        """So many steps were taken; success: the judge says that the goal holds."""
        if self.outcome or not self.began:
            return
        self.steps, self._step_s = step, now_s
        if success:
            self.finish(SUCCESS, f"the goal holds after {self._steps_text()}", now_s)
        elif self.judged and 0 < self.limit_steps <= step:
            self.finish(TIMEOUT, f"no success within {self._steps_text()}", now_s)

    def check(self, now_s: float, lacking: str, last_words: str) -> None:
        """End an episode that waits too long. `lacking`: what it waits for before it can begin; `last_words`:
        what the nodes said last."""
        if self.outcome:
            return
        if not self.began:
            if now_s - self._created_s > self.patience.start_s:
                self.finish(FAILED, f"not ready after {self.patience.start_s:g} s: {lacking}", now_s)
        elif self.judged and now_s - self._step_s > self.patience.step_s:
            waited = f"no step after {self._steps_text()} within {self.patience.step_s:g} s"
            self.finish(FAILED, f"{waited}; last heard: {last_words}", now_s)
        elif not self.judged and self.duration_s(now_s) > self._limit_s:
            self.finish(TIMEOUT, f"no success within {self._limit_s:g} s ({self.steps} steps)", now_s)

    def finish(self, name: str, reason: str, now_s: float) -> None:
        """End the episode, unless it has ended already."""
        if self.outcome is None:
            self.outcome, self._ended_s = Outcome(name, reason), now_s

    def duration_s(self, now_s: float) -> float:
        """From its first observation to its end, or to now."""
        if self._began_s is None:
            return 0.0
        return (self._ended_s if self.outcome else now_s) - self._began_s

    def over_for_s(self, now_s: float) -> float:
        """How long ago the episode ended; 0 before."""
        return now_s - self._ended_s if self.outcome else 0.0

    def _steps_text(self) -> str:
        return f"{self.steps} steps ({self.steps / self.control_hz:g} s)"
