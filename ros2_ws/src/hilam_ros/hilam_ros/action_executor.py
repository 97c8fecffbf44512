"""action_executor: pi^l. For every observation, with the skill that is due, one command to the arm."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_msgs.msg import CycleTiming, LatentSkill, Observation
from rclpy.duration import Duration
from std_msgs.msg import Float64MultiArray

from hilam_core.runtime.control import ActionExecutor, Skill
from hilam_core.runtime.limits import SpeedLimits
from hilam_core.runtime.schedule import PlanSchedule
from hilam_core.runtime.units import NonFiniteError, PoseTarget
from hilam_ros.messages import stamp_to_ns
from hilam_ros.node import NodeError, command_scale, run_node
from hilam_ros.policy_node import PolicyNode, policy_observation

COMMAND_MODES = ("twist", "pose")
ACKNOWLEDGE_S = 0.2  # how long the last command may take to arrive before the node is gone
PERIODS_TO_HOLD = 3  # without a command for so many control periods, the arm is told to hold still


class ActionExecutorNode(PolicyNode):
    """Publishes twist (or target pose) and gripper commands, and `cycle_timing`.

    In lockstep a step waits for the skill of its plan period. In real time it takes the newest, and where
    observation or skill are too old or anything is not finite, it commands zero motion.
    """

    def __init__(self) -> None:
        super().__init__("action_executor")
        self.low_level = ActionExecutor(self.policy)
        self.schedule = PlanSchedule(self.policy.plan_period)
        self.scale = command_scale(self)
        default = SpeedLimits()
        self.limits = SpeedLimits(
            self.parameter("max_linear_m_s", default.max_linear_m_s, "limit of the commanded linear speed"),
            self.parameter(
                "max_angular_rad_s", default.max_angular_rad_s, "limit of the commanded angular speed"
            ),
        )
        self.pose_target = PoseTarget(self.scale.control_hz)
        self.max_observation_age_s = self.parameter(
            "max_observation_age_s", 0.2, "older observations are not acted on"
        )
        max_skill_age_s = self.parameter(
            "max_skill_age_s", 1.0, "how far a skill may lag behind its plan period"
        )
        self.max_skill_age_steps = 0 if self.lockstep else round(max_skill_age_s * self.scale.control_hz)
        self.pending: Observation | None = None
        self.waited = False
        self.skill: LatentSkill | None = None
        self.gripper_m = self.scale.gripper_open_m
        self.last_command_s = 0.0

        self.make_publishers()
        self.follow_task()
        qos = self.newest_or_all()
        inputs = [
            self.create_subscription(Observation, "observation", self.on_observation, qos),
            self.create_subscription(LatentSkill, "skill", self.on_skill, qos),
        ]
        self.watch(inputs, [self.motion, self.gripper])
        if not self.lockstep:
            self.create_timer(1 / self.scale.control_hz, self.hold_if_silent)

    def make_publishers(self) -> None:
        mode = self.parameter(
            "command_mode", "twist", "twist, or pose for impedance controllers that take goals"
        )
        twist_topic = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        pose_topic = self.parameter("pose_topic", "target_pose", "geometry_msgs/PoseStamped")
        gripper_topic = self.parameter(
            "gripper_topic", "gripper_controller/commands", "std_msgs/Float64MultiArray"
        )
        if mode not in COMMAND_MODES:
            raise NodeError(f"command_mode '{mode}' is not one of {', '.join(COMMAND_MODES)}")
        self.poses = mode == "pose"
        self.base_frame = self.parameter("base_frame", "world", "frame of the commands")
        self.motion = self.create_publisher(
            *(PoseStamped, pose_topic) if self.poses else (TwistStamped, twist_topic), 10
        )
        self.gripper = self.create_publisher(Float64MultiArray, gripper_topic, 10)
        self.timing = self.create_publisher(CycleTiming, "cycle_timing", 10)

    def on_task(self) -> None:
        self.pending = self.skill = None
        self.pose_target.reset()
        if self.task is None:
            if not self.lockstep and self.last_command_s:
                self.hold()  # a velocity controller would carry on with the last command
            return
        self.low_level.reset(self.task.instruction)
        self.warm_up()
        self.low_level.reset(self.task.instruction)

    def warm_up(self) -> None:
        no_skill = Skill(np.zeros(self.policy.skill_dim, np.float32), 0, 0.0)
        self.low_level.act(self.blank_observation(), no_skill, step=0)

    def on_observation(self, msg: Observation) -> None:
        if self.is_current(msg):
            self.pending, self.waited = msg, False
            self.try_act()
            self.waited = self.pending is not None

    def on_skill(self, msg: LatentSkill) -> None:
        if self.skill is None or msg.episode != self.skill.episode or msg.seq >= self.skill.seq:
            self.skill = msg
        self.try_act()

    def try_act(self) -> None:
        """Act on the pending observation, once, as soon as the skill for it is there."""
        obs, skill = self.pending, self.skill
        if obs is None or skill is None or skill.episode != obs.episode:
            return
        if not self.schedule.serves(skill.seq, obs.seq, self.max_skill_age_steps):
            return
        self.pending = None
        if (
            not self.lockstep
            and self.seconds() - stamp_to_ns(obs.header.stamp) * 1e-9 > self.max_observation_age_s
        ):
            self.count("stale_observations")
            return
        self.act(obs, skill)

    def act(self, obs: Observation, skill: LatentSkill) -> None:
        start_s = time.perf_counter()
        vector = np.asarray(skill.vector, np.float32)
        try:
            action = self.low_level.act(
                policy_observation(obs), Skill(vector, skill.id, skill.boundary_probability), obs.seq
            )
            acted_s = time.perf_counter()
            self.command(obs, action)
        except NonFiniteError as error:
            self.refuse(f"observation {obs.seq}: {error}")
            return
        self.problem = ""
        end_s = time.perf_counter()
        self.stats.add(end_s - start_s, self.seconds())
        timing = CycleTiming(
            header=obs.header, seq=obs.seq, skill_seq=skill.seq, waited_for_skill=self.waited
        )
        timing.ingest_s, timing.plan_s = obs.ingest_s, skill.plan_s
        timing.act_s, timing.command_s = acted_s - start_s, end_s - acted_s
        self.timing.publish(timing)

    def command(self, obs: Observation, action: np.ndarray) -> None:
        """Publish what the action means for this arm: gripper first, the motion completes the pair."""
        twist, self.gripper_m = self.limits.apply(self.scale.to_twist(action)), self.scale.to_gripper(action)
        self.gripper.publish(Float64MultiArray(data=[self.gripper_m]))
        self.motion.publish(
            self.pose_message(obs, twist) if self.poses else self.twist_message(obs.header.stamp, twist)
        )
        self.last_command_s = self.seconds()

    def twist_message(self, stamp: object, twist: np.ndarray) -> TwistStamped:
        msg = TwistStamped()
        msg.header.stamp, msg.header.frame_id = stamp, self.base_frame
        msg.twist.linear.x, msg.twist.linear.y, msg.twist.linear.z = map(float, twist[:3])
        msg.twist.angular.x, msg.twist.angular.y, msg.twist.angular.z = map(float, twist[3:])
        return msg

    def pose_message(self, obs: Observation, twist: np.ndarray) -> PoseStamped:
        at, turned = obs.ee_pose.position, obs.ee_pose.orientation
        position, quat = self.pose_target.target(
            np.array([at.x, at.y, at.z]), np.array([turned.x, turned.y, turned.z, turned.w]), twist
        )
        msg = PoseStamped()
        msg.header.stamp, msg.header.frame_id = obs.header.stamp, self.base_frame
        msg.pose.position.x, msg.pose.position.y, msg.pose.position.z = map(float, position)
        goal = msg.pose.orientation
        goal.x, goal.y, goal.z, goal.w = map(float, quat)
        return msg

    def refuse(self, reason: str) -> None:
        """Something not finite: the end in lockstep, a hold in real time."""
        if self.lockstep:
            raise NodeError(reason)
        self.count("refused")
        self.problem = reason
        self.get_logger().error(reason, throttle_duration_sec=1.0)
        self.hold()

    def end(self) -> None:
        """Whatever ends this node: the arm does not carry on with the last command."""
        if self.last_command_s:
            self.hold()
            self.motion.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))

    def hold_if_silent(self) -> None:
        """Tell the arm to hold still when commands have stopped coming."""
        silent = self.seconds() - self.last_command_s > PERIODS_TO_HOLD / self.scale.control_hz
        if self.task is not None and self.stats.count and silent:
            self.hold()

    def hold(self) -> None:
        """Zero motion, the gripper as it is. A pose goal needs no telling: it stays."""
        self.count("holds")
        if not self.poses:
            self.motion.publish(self.twist_message(self.get_clock().now().to_msg(), np.zeros(6)))


def main() -> None:
    run_node(ActionExecutorNode)
