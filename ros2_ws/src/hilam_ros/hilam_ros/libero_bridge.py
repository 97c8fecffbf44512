"""libero_bridge: LIBERO on MuJoCo behind the topics of a real arm; it takes one episode."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, Header

from hilam_core.cards import load_card
from hilam_core.conventions import CAMERAS
from hilam_core.runtime.episode import Episode, EpisodeRecorder
from hilam_core.runtime.mailbox import LockstepMailbox, RealtimeMailbox
from hilam_core.runtime.units import NonFiniteError
from hilam_ros import POLICY_NODES
from hilam_ros.messages import image_message, stamp_to_ns
from hilam_ros.node import NodeError, StackNode, camera_topics, command_scale, run_node
from hilam_ros.task_owner import TaskOwner
from hilam_sim import LiberoEnv

ARM_JOINTS = [f"panda_joint{number}" for number in range(1, 8)]


class LiberoBridge(StackNode):
    """Publishes cameras, joint states and end-effector pose; applies twist and gripper commands.

    Lockstep: one simulation step for each observation's command pair. Real time: one step every control
    period, with the newest command, or no motion where that is too old.
    """

    def __init__(self) -> None:
        super().__init__("libero_bridge")
        self.env: LiberoEnv | None = None

    def configure(self) -> None:
        self.camera_topics = camera_topics(self)
        self.cameras = list(self.camera_topics)
        self.scale = command_scale(self)
        self.finger_signs = np.array(
            self.parameter("finger_signs", [1.0, -1.0], "the simulation's finger positions over the arm's")
        )
        self.joint_names = self.parameter("arm_joints", ARM_JOINTS, "joint names") + self.parameter(
            "finger_joints", ["panda_finger_joint1", "panda_finger_joint2"], "joint names"
        )
        self.base_frame = self.parameter("base_frame", "world", "frame of the end-effector pose")
        max_age_s = self.parameter("max_command_age_s", 0.2, "real time: older commands are not applied")
        self.lockstep_mailbox = LockstepMailbox(self.scale)
        self.realtime_mailbox = RealtimeMailbox(self.scale, max_age_s)
        self.make_env()
        self.make_topics()
        self.running = False
        self.late_ticks = 0
        self.last_tick_s = 0.0
        self.require_readers(*self.camera_publishers, self.joints, self.pose)

    def activate(self) -> None:
        self.owner = self.make_owner()

    def make_env(self) -> None:
        """The simulation at the chosen initial state."""
        suite = self.parameter("suite", "libero_object", "LIBERO suite")
        task = self.parameter("task", "0", "index or name of the task")
        self.init_state = self.parameter("init_state", 0, "index of the stored initial state")
        self.seed = self.parameter("seed", 0, "seed of the environment")
        max_steps = self.parameter(
            "max_steps", 0, "steps until the episode is given up; 0: the suite's own limit"
        )
        size = self.parameter("image_size", 128, "side of the camera images [px]")
        assets = self.parameter("assets", "auto", "auto, builtin or official")
        self.policy_path = self.parameter("policy", "", "checkpoint folder that episode.json names")
        card = load_card(self.policy_path, "policy") if self.policy_path else {}
        self.policy_hash = card.get("weights_sha256")
        start = {"placement": "stored", "init_state": self.init_state}
        self.env = LiberoEnv(suite, task, size, assets, max_steps=max_steps or None)
        self.obs, _ = self.env.reset(seed=self.seed, options=start)
        if unknown := sorted(set(self.cameras) - set(self.obs)):
            raise NodeError(f"LIBERO has no camera '{unknown[0]}': choose from {', '.join(CAMERAS)}")

    def make_topics(self) -> None:
        """The topics of an arm, which must be this node's alone."""
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        pose_topic = self.parameter("ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped")
        self.claim(*self.camera_topics.values(), joints_topic, pose_topic, "task")
        self.camera_publishers = [
            self.create_publisher(Image, topic, reliable) for topic in self.camera_topics.values()
        ]
        self.joints = self.create_publisher(JointState, joints_topic, reliable)
        self.pose = self.create_publisher(PoseStamped, pose_topic, reliable)

        self.twist_topic = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        self.listen(TwistStamped, self.twist_topic, self.on_twist, reliable, steady=False)
        gripper_topic = self.parameter(
            "gripper_topic", "gripper_controller/commands", "std_msgs/Float64MultiArray"
        )
        self.listen(Float64MultiArray, gripper_topic, self.on_gripper, reliable, steady=False)

    def make_owner(self) -> TaskOwner:
        """The owner of this arm's episode, from parameters."""
        wait = self.parameter(
            "wait_for_policy", True, "begin only when the policy's nodes say they are ready"
        )
        start_timeout_s = self.parameter("peer_timeout_s", 60.0, "how long they may take")
        step_timeout_s = self.parameter("step_timeout_s", 10.0, "lockstep: how long a command may take")
        output = Path(self.parameter("output", "runs", "folder for the episode's folder"))
        recorder = EpisodeRecorder(output, self.env.task.name, self.cameras, self.scale.control_hz)
        peers = POLICY_NODES if wait else ()
        now_s = time.perf_counter()
        episode = Episode(recorder, self.setting(), peers, now_s, start_timeout_s, step_timeout_s)
        return TaskOwner(self, episode, self.env.instruction)

    def setting(self) -> dict[str, Any]:
        """What is known of the episode before it begins, for episode.json."""
        return {
            "max_steps": self.env.max_steps,
            "control_hz": self.scale.control_hz,
            "mode": self.mode,
            "suite": self.env.task.suite,
            "task": self.env.task.name,
            "instruction": self.env.instruction,
            "init_state": self.init_state,
            "seed": self.seed,
            "assets": self.env.assets,
            "policy": self.policy_path,
            "policy_sha256": self.policy_hash,
        }

    # What the owner of the episode asks

    def check_alone(self) -> None:
        """Refuse a second arm, or a second policy, on these topics: they would mix."""
        for topic in (self.pose.topic_name, self.twist_topic):
            if self.count_publishers(topic) > 1:
                name = self.resolve_topic_name(topic)
                raise NodeError(f"two nodes publish {name}: stop one, or set another ROS_DOMAIN_ID")

    def start(self) -> None:
        """Publish the first observation; in real time the clock of the steps begins."""
        self.running, self.last_tick_s = True, time.perf_counter()
        self.publish_observation()
        if not self.lockstep:
            self.create_timer(1 / self.scale.control_hz, self.tick)

    def missing(self) -> list[str]:
        """The parts of the command for the last observation that have not come; none in real time."""
        return self.lockstep_mailbox.missing() if self.lockstep else []

    def facts(self) -> dict[str, Any]:
        """What the arm has to say about the episode, for episode.json."""
        return {
            "held_steps": self.realtime_mailbox.held,
            "refused_commands": self.realtime_mailbox.refused,
            "late_ticks": self.late_ticks,
        }

    # The loop

    def publish_observation(self) -> None:
        """Publish the simulation's state under one stamp, and expect the command that answers it."""
        self.owner.episode.observed(self.obs, time.perf_counter())
        stamp = self.get_clock().now().to_msg()
        self.lockstep_mailbox.expect(stamp_to_ns(stamp))

        joints = JointState(name=self.joint_names)
        joints.header.stamp = stamp
        fingers = self.obs["gripper_qpos"] * self.finger_signs
        joints.position = [*map(float, self.obs["joint_pos"]), *map(float, fingers)]
        self.joints.publish(joints)

        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = stamp, self.base_frame
        at, turned = pose.pose.position, pose.pose.orientation
        at.x, at.y, at.z = map(float, self.obs["ee_pos"])
        turned.x, turned.y, turned.z, turned.w = map(float, self.obs["ee_quat"])
        self.pose.publish(pose)

        for camera, publisher in zip(self.cameras, self.camera_publishers, strict=True):
            header = Header(stamp=stamp, frame_id=f"{camera}_optical_frame")
            publisher.publish(image_message(self.obs[camera], header))

    def explain(self) -> str:
        """Why the arm holds during the episode; empty: it does not, or the clock decides nothing."""
        if self.lockstep or not self.running:
            return ""
        return self.realtime_mailbox.holding(self.now_ns())

    def on_twist(self, msg: TwistStamped) -> None:
        """Take in a motion command, and step where it completes the pair."""
        linear, angular = msg.twist.linear, msg.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self.owner.commanded(stamp_ns)
        self.lockstep_mailbox.add_twist(stamp_ns, twist)
        self.realtime_mailbox.add_twist(stamp_ns, twist, self.now_ns())
        self.step_when_answered()

    def on_gripper(self, msg: Float64MultiArray) -> None:
        """Take in a gripper command, and step where it completes the pair."""
        gripper_m = float(msg.data[0]) if len(msg.data) else float("nan")
        self.lockstep_mailbox.add_gripper(gripper_m)
        self.realtime_mailbox.add_gripper(gripper_m)
        self.step_when_answered()

    def step_when_answered(self) -> None:
        """Lockstep: one step once both commands for the last observation are there."""
        if not (self.lockstep and self.running):
            return
        try:
            action = self.lockstep_mailbox.action()
        except NonFiniteError as error:
            raise NodeError(
                f"refused the command for observation {self.owner.episode.steps}: {error}"
            ) from None
        if action is not None:
            self.step(action)

    def tick(self) -> None:
        """One control period in real time."""
        if not self.running:
            return
        now_s = time.perf_counter()
        self.late_ticks += now_s - self.last_tick_s > 1.5 / self.scale.control_hz
        self.last_tick_s = now_s
        self.step(self.realtime_mailbox.action(self.now_ns()))

    def step(self, action: np.ndarray) -> None:
        """Apply an action float32[7], and publish what the arm sees then, or the end."""
        start_s = time.perf_counter()
        self.obs, _, terminated, truncated, info = self.env.step(action)
        now_s = time.perf_counter()
        self.stats.add(now_s - start_s, self.seconds())
        self.owner.episode.stepped(action, now_s - start_s)
        if terminated or truncated:
            self.running = False
            self.owner.end(self.obs, bool(info["success"]))
        else:
            self.publish_observation()

    def destroy_node(self) -> None:
        """Close the simulation with the node."""
        if self.env is not None:
            self.env.close()
        super().destroy_node()


def main() -> None:
    run_node(LiberoBridge)
