"""action_executor: pi^l. One proposed command for every observation, with the skill that is due."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import TwistStamped
from hilam_msgs.msg import CycleTiming, LatentSkill, Observation, TeleopState
from rclpy.duration import Duration
from std_msgs.msg import Float64MultiArray

from hilam_core.runtime.control import ActionExecutor, Skill
from hilam_core.runtime.gate import StaleError, StepGate
from hilam_core.runtime.schedule import PlanSchedule
from hilam_core.runtime.stamps import Watchdog, stamp_to_ns
from hilam_ros.messages import twist_message
from hilam_ros.node import LATCHED, command_scale, run_node
from hilam_ros.policy_node import PolicyNode, policy_observation

PERIODS_TO_HOLD = 3  # without a command for so many control periods, the arm is told to hold still
# The same by the steady clock, should the node's stand still (a bag that ended, a simulator that hangs): long
# enough for simulated time that runs slower than real time.
STALLED_S = 1.0
ACKNOWLEDGE_S = 0.2  # how long the last command may take to arrive before the node is gone


class ActionExecutorNode(PolicyNode):
    """Publishes `proposed_twist` and `proposed_gripper`, and `cycle_timing`.

    In lockstep a step waits for the skill of its plan period. In real time it takes the newest, and where
    observation or skill are too old, of another clock or not finite, it proposes zero motion.
    """

    def __init__(self) -> None:
        super().__init__("action_executor")

    def configure(self) -> None:
        super().configure()
        self.low_level = ActionExecutor(self.policy)
        self.low_level.warm_up(self.blank_observation())
        self.scale = command_scale(self)
        self.gate = self.make_gate()
        self.gripper_m = self.scale.gripper_open_m
        self.silence = Watchdog(PERIODS_TO_HOLD / self.scale.control_hz)
        self.stall = Watchdog(STALLED_S)
        self.commanded = False  # since the start of the node
        self.driver = ""  # who drives by hand: nothing is proposed meanwhile

        self.make_publishers()
        self.follow_task()
        qos = self.newest_or_all()
        self.listen(Observation, "observation", self.on_observation, qos)
        self.listen(LatentSkill, "skill", self.on_skill, qos, steady=False)
        self.create_subscription(TeleopState, "teleop/state", self.on_teleop, LATCHED)
        self.require_readers(self.motion, self.gripper)
        if not self.lockstep:
            self.create_steady_timer(1 / self.scale.control_hz, self.hold_if_silent)

    def make_gate(self) -> StepGate[Observation, LatentSkill]:
        """When a step may act, from parameters; in lockstep the clock decides nothing."""
        max_observation_age_s = self.parameter(
            "max_observation_age_s", 0.2, "older observations are not acted on"
        )
        max_skill_age_s = self.parameter(
            "max_skill_age_s", 1.0, "how far a skill may lag behind its plan period"
        )
        schedule = PlanSchedule(self.policy.plan_period)
        if self.lockstep:
            return StepGate(schedule, max_skill_age_s=None, max_observation_age_s=None)
        period_s = self.policy.plan_period / self.scale.control_hz
        return StepGate(schedule, period_s + max_skill_age_s, max_observation_age_s)

    def make_publishers(self) -> None:
        """What safety_monitor reads, which must be this node's alone."""
        self.base_frame = self.parameter("base_frame", "world", "frame of the commands")
        self.claim("proposed_twist", "proposed_gripper", beside="teleop")
        self.claim("cycle_timing")
        self.motion = self.create_publisher(TwistStamped, "proposed_twist", 10)
        self.gripper = self.create_publisher(Float64MultiArray, "proposed_gripper", 10)
        self.timing = self.create_publisher(CycleTiming, "cycle_timing", 10)

    def on_task(self) -> None:
        """Stop the arm, then take in the instruction."""
        self.hold()
        self.gate.reset()
        self.silence.reset()
        self.stall.reset()
        if self.task is not None:
            self.low_level.reset(self.task.instruction)

    def on_observation(self, msg: Observation) -> None:
        """Act on the observation, now or when its skill comes."""
        if self.is_current(msg):
            self.gate.observe(msg, stamp_to_ns(msg.header.stamp), self.now_ns())
            self.try_act()

    def on_skill(self, msg: LatentSkill) -> None:
        """Follow this skill from now on, and act on the observation that waits for it."""
        if self.task is None or msg.episode != self.task.episode:
            return
        self.gate.plan(msg, stamp_to_ns(msg.header.stamp))
        self.try_act()

    def on_teleop(self, msg: TeleopState) -> None:
        """A person has taken over, or given back: what was predicted before does not count after it."""
        self.driver = msg.source if msg.active else ""
        self.low_level.forget()
        self.silence.reset()
        self.stall.reset()

    def try_act(self) -> None:
        """Act on the newest observation, once, as soon as the skill for it is there."""
        if self.driver:
            return
        try:
            pair = self.gate.take(self.now_ns())
        except StaleError as error:
            self.count("stale_observations")
            self.note_problem(str(error))
            return
        if pair is not None:
            with self.refusing(f"observation {pair[0].seq}"):
                self.act(*pair)

    def act(self, obs: Observation, skill: LatentSkill) -> None:
        """Publish the command for an observation, and where the time went."""
        self.require_alone()
        start_s = time.perf_counter()
        vector = np.asarray(skill.vector, np.float32)
        planned = Skill(vector, skill.id, skill.boundary_probability)
        action = self.low_level.act(policy_observation(obs), planned, obs.seq)
        acted_s = time.perf_counter()
        self.gate.require_current(obs, stamp_to_ns(obs.header.stamp), self.now_ns())
        self.command(obs, action)
        self.clear_problem()
        end_s = time.perf_counter()
        self.stats.add(end_s - start_s, self.seconds())
        timing = CycleTiming(
            header=obs.header,
            episode=obs.episode,
            seq=obs.seq,
            skill_seq=skill.seq,
            waited_for_skill=self.gate.waited,
        )
        timing.action = np.asarray(action, np.float32)
        timing.total_s = self.seconds() - stamp_to_ns(obs.header.stamp) * 1e-9
        timing.ingest_s, timing.plan_s = obs.ingest_s, skill.plan_s
        timing.act_s, timing.command_s = acted_s - start_s, end_s - acted_s
        self.timing.publish(timing)

    def command(self, obs: Observation, action: np.ndarray) -> None:
        """Propose what the action means for this arm: gripper first, the motion completes the pair."""
        twist, self.gripper_m = self.scale.to_twist(action), self.scale.to_gripper(action)
        self.gripper.publish(Float64MultiArray(data=[self.gripper_m]))
        self.motion.publish(twist_message(twist, obs.header.stamp, self.base_frame))
        self.commanded = True
        self.silence.feed(self.seconds())
        self.stall.feed(time.monotonic())

    def explain(self) -> str:
        """Why observations flow but no command comes out; empty: commands do."""
        if self.driver:
            return f"a person drives with the {self.driver}"
        return self.gate.explain(self.now_ns())

    def hold_if_silent(self) -> None:
        """Tell the arm to hold still when commands have stopped coming."""
        silent = self.silence.expired(self.seconds()) or self.stall.expired(time.monotonic())
        if self.task is not None and silent:
            self.hold()

    def hold(self) -> None:
        """Propose zero velocity, not the gripper."""
        if self.lockstep or self.driver or not self.commanded:
            return
        self.count("holds")
        self.low_level.forget()
        self.motion.publish(twist_message(np.zeros(6), self.get_clock().now().to_msg(), self.base_frame))

    def end(self) -> None:
        """Stop the arm before this node ends: a velocity controller would continue the last command."""
        if self.task is not None:
            self.hold()
            self.motion.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))


def main() -> None:
    run_node(ActionExecutorNode)
