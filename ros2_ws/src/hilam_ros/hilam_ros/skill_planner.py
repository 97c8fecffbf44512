"""skill_planner: pi^h. One latent skill z^h in every plan period, from one observation."""

from __future__ import annotations

import time
from array import array

import numpy as np
from hilam_msgs.msg import KnownInstructions, LatentSkill, Observation

from hilam_core.policy.language import known_instructions
from hilam_core.runtime.control import SkillPlanner
from hilam_core.runtime.schedule import PlanSchedule
from hilam_ros.node import LATCHED, run_node
from hilam_ros.policy_node import PolicyNode, policy_observation


class SkillPlannerNode(PolicyNode):
    """Publishes `skill`, and which instructions the policy knows.

    A refused observation gives no skill; in real time the last one then becomes too old.
    """

    def __init__(self) -> None:
        super().__init__("skill_planner")

    def configure(self) -> None:
        super().configure()
        self.high_level = SkillPlanner(self.policy)
        self.high_level.warm_up(self.blank_observation())
        self.schedule = PlanSchedule(self.policy.plan_period)
        self.claim("skill")
        self.publisher = self.create_publisher(LatentSkill, "skill", self.newest_or_all())
        self.follow_task()
        self.listen(Observation, "observation", self.on_observation, self.newest_or_all())
        self.require_readers(self.publisher)
        known, others = known_instructions(self.policy.card, self.policy.language_model)
        self.known = self.create_publisher(KnownInstructions, "known_instructions", LATCHED)
        self.known.publish(KnownInstructions(instructions=known, others=others))

    def on_task(self) -> None:
        """Learn the instruction."""
        self.schedule.reset()
        if self.task is not None:
            self.high_level.reset(self.task.instruction)

    def on_observation(self, msg: Observation) -> None:
        """Plan where a plan is due."""
        if self.is_current(msg) and self.schedule.due(msg.seq):
            with self.refusing(f"observation {msg.seq}"):
                self.plan(msg)

    def plan(self, msg: Observation) -> None:
        """Publish the skill to follow from this observation on."""
        start_s = time.perf_counter()
        skill = self.high_level.plan(policy_observation(msg))
        self.clear_problem()
        out = LatentSkill(header=msg.header, episode=msg.episode, seq=msg.seq, id=int(skill.id))
        out.vector = array("f", np.asarray(skill.vector, np.float32).tobytes())
        out.boundary_probability = float(skill.boundary_probability)
        out.plan_s = time.perf_counter() - start_s
        self.publisher.publish(out)
        self.stats.add(out.plan_s, self.seconds())


def main() -> None:
    run_node(SkillPlannerNode)
