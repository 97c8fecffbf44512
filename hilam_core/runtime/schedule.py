"""When a skill is planned, and which skill a control step follows."""

from __future__ import annotations


class PlanSchedule:
    """Step n follows the skill planned from the observation of step floor(n / plan_period) * plan_period.

    Where observations are lost, a period is planned from the first of its observations that arrives.
    """

    def __init__(self, plan_period: int):
        self.plan_period = plan_period
        self.reset()

    def reset(self) -> None:
        """Begin an episode: nothing is planned yet."""
        self._planned_from = -1

    def planned_from(self, step: int) -> int:
        """The first step of this step's plan period."""
        return step // self.plan_period * self.plan_period

    def due(self, step: int) -> bool:
        """Whether to plan from the observation of this step; each period is due once."""
        first = self.planned_from(step)
        if first == self._planned_from:
            return False
        self._planned_from = first
        return True

    def serves(self, skill_step: int, step: int) -> bool:
        """Whether the skill planned from the observation of `skill_step` is that of the step's own period."""
        return self.planned_from(step) <= skill_step <= step
