"""When to plan a skill and which skill a control step uses. No ROS here."""

from __future__ import annotations

from typing import Protocol, TypeVar


class Planned(Protocol):
    """What is read of a skill: the episode and the observation it was planned from."""

    episode: int
    seq: int


SkillT = TypeVar("SkillT", bound=Planned)


class PlanSchedule:
    """Plans once per period of `plan_period` observations, from its first one where that arrives."""

    def __init__(self, plan_period: int):
        self.plan_period = plan_period
        self._planned: tuple[int, int] | None = None

    def due(self, episode: int, seq: int) -> bool:
        """Whether to plan from this observation; each period is due once."""
        period = (episode, seq // self.plan_period)
        if period == self._planned:
            return False
        self._planned = period
        return True


def skill_for_step(
    skill: SkillT | None, episode: int, seq: int, plan_period: int, max_age_steps: int
) -> SkillT | None:
    """The skill for control step `seq`, or None where the step must wait (lockstep) or hold (real time).

    max_age_steps 0: exactly the skill planned from observation floor(seq / plan_period) * plan_period, the
    rule of the in-process loop. Otherwise also an earlier one, no more than that many steps behind it.
    """
    if skill is None or skill.episode != episode:
        return None
    wanted = seq // plan_period * plan_period
    return skill if wanted - max_age_steps <= skill.seq <= seq else None
