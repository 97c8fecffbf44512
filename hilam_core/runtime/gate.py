"""When a control step may act: its observation must be recent, and its skill must have arrived."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from hilam_core.errors import HilamError
from hilam_core.runtime.health import SILENT_S
from hilam_core.runtime.schedule import PlanSchedule
from hilam_core.runtime.stamps import stamp_problem


class StaleError(HilamError):
    """An observation that must not be acted on any more."""


class Numbered(Protocol):
    """An observation, or a skill and the observation it was planned from."""

    episode: int
    seq: int


ObservationT = TypeVar("ObservationT", bound=Numbered)
SkillT = TypeVar("SkillT", bound=Numbered)


class StepGate(Generic[ObservationT, SkillT]):
    """Brings every observation together with its skill, at most once; a newer observation replaces one that
    waits.

    max_skill_age_s: how old a skill's observation may be beside the one to act on, by their stamps; None: a
    skill serves the steps of its own plan period, whatever the stamps say.
    max_observation_age_s: older observations, and those of another clock, are not acted on; None: all are.
    """

    def __init__(
        self, schedule: PlanSchedule, max_skill_age_s: float | None, max_observation_age_s: float | None
    ):
        self.schedule, self.max_skill_age_s = schedule, max_skill_age_s
        self.max_observation_age_s = max_observation_age_s
        self.reset()

    def reset(self) -> None:
        """An episode begins or ends: nothing that came before counts."""
        self._observation: ObservationT | None = None
        self._skill: SkillT | None = None
        self._stamp_ns = self._skill_stamp_ns = self._waits_since_ns = 0
        self.waited = False  # the last observation had to wait for its skill

    def observe(self, observation: ObservationT, stamp_ns: int, now_ns: int) -> None:
        """An observation arrived."""
        if self._observation is None:
            self._waits_since_ns = now_ns
        self._observation, self._stamp_ns, self.waited = observation, stamp_ns, False

    def plan(self, skill: SkillT, stamp_ns: int) -> None:
        """A skill arrived, with the stamp of its observation; an older one of the same episode is ignored.

        Older by number and by stamp: numbers begin anew with camera_ingest, stamps with a clock set back.
        """
        newest = self._skill
        earlier = newest is not None and skill.episode == newest.episode and skill.seq < newest.seq
        if not (earlier and stamp_ns < self._skill_stamp_ns):
            self._skill, self._skill_stamp_ns = skill, stamp_ns

    def take(self, now_ns: int) -> tuple[ObservationT, SkillT] | None:
        """The observation to act on now and its skill; None where there is none yet.

        Raises:
            StaleError: the observation is too old or of another clock; it is dropped.
        """
        observation, skill = self._observation, self._skill
        if observation is None:
            return None
        try:
            self.require_current(observation, self._stamp_ns, now_ns)
        except StaleError:
            self._observation = None
            raise
        if skill is None or not self._serves(skill, observation):
            self.waited = True
            return None
        self._observation = None
        return observation, skill

    def require_current(self, observation: ObservationT, stamp_ns: int, now_ns: int) -> None:
        """Refuse an observation that is not of now, or is no longer: the networks may have been slow.

        Raises:
            StaleError: with the reason.
        """
        if self.max_observation_age_s is not None:
            problem = stamp_problem(stamp_ns, now_ns, self.max_observation_age_s)
            if problem:
                raise StaleError(f"observation {observation.seq} {problem}")

    def explain(self, now_ns: int) -> str:
        """Why observations come but no step acts; empty: steps act."""
        if self._observation is None or now_ns - self._waits_since_ns < SILENT_S * 1e9:
            return ""
        newest = "none came" if self._skill is None else f"the newest is of observation {self._skill.seq}"
        return f"no skill for observation {self._observation.seq}: {newest}"

    def _serves(self, skill: SkillT, observation: ObservationT) -> bool:
        if skill.episode != observation.episode:
            return False
        if self.max_skill_age_s is None:
            return self.schedule.serves(skill.seq, observation.seq)
        # By stamps: numbers do not count the time in which no observation came.
        return 0 <= (self._stamp_ns - self._skill_stamp_ns) * 1e-9 <= self.max_skill_age_s
