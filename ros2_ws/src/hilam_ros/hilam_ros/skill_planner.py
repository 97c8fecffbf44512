"""skill_planner: pi^h. From one observation in every plan period, a latent skill z^h."""

from __future__ import annotations

import time
from array import array

import numpy as np
from hilam_msgs.msg import LatentSkill, Observation

from hilam_core.runtime.control import SkillPlanner
from hilam_core.runtime.schedule import PlanSchedule
from hilam_core.runtime.units import NonFiniteError
from hilam_ros.node import NodeError, run_node
from hilam_ros.policy_node import PolicyNode, policy_observation


class SkillPlannerNode(PolicyNode):
    """Publishes `skill`."""

    def __init__(self) -> None:
        super().__init__("skill_planner")
        self.high_level = SkillPlanner(self.policy)
        self.schedule = PlanSchedule(self.policy.plan_period)
        self.publisher = self.create_publisher(LatentSkill, "skill", self.newest_or_all())
        self.follow_task()
        observations = self.create_subscription(
            Observation, "observation", self.on_observation, self.newest_or_all()
        )
        self.watch([observations], [self.publisher])

    def on_task(self) -> None:
        self.schedule.reset()
        if self.task is None:
            return
        self.high_level.reset(self.task.instruction)
        self.high_level.plan(self.blank_observation())
        self.high_level.reset(self.task.instruction)

    def on_observation(self, msg: Observation) -> None:
        if not self.is_current(msg) or not self.schedule.due(msg.seq):
            return
        start_s = time.perf_counter()
        try:
            skill = self.high_level.plan(policy_observation(msg))
        except NonFiniteError as error:
            self.refuse(f"observation {msg.seq}: {error}")
            return
        self.problem = ""
        out = LatentSkill(header=msg.header, episode=msg.episode, seq=msg.seq, id=int(skill.id))
        out.vector = array("f", np.asarray(skill.vector, np.float32).tobytes())
        out.boundary_probability = float(skill.boundary_probability)
        out.plan_s = time.perf_counter() - start_s
        self.publisher.publish(out)
        self.stats.add(out.plan_s, self.seconds())

    def refuse(self, reason: str) -> None:
        """Not finite, not published: the end in lockstep; in real time the last skill gets too old."""
        if self.lockstep:
            raise NodeError(reason)
        self.count("refused")
        self.problem = reason
        self.get_logger().error(reason, throttle_duration_sec=1.0)


def main() -> None:
    run_node(SkillPlannerNode)
