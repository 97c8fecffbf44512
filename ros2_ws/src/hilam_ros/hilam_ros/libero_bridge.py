"""libero_bridge: LIBERO on MuJoCo behind the topics of a real arm, for one episode."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_msgs.msg import CycleTiming, Task
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, Header

from hilam_core.runtime.episode import EpisodeRecorder, summary_lines
from hilam_core.runtime.mailbox import LockstepMailbox, RealtimeMailbox
from hilam_core.runtime.units import NonFiniteError
from hilam_ros.messages import image_message, stamp_to_ns
from hilam_ros.node import LATCHED, READY, NodeError, StackNode, camera_topics, command_scale, run_node
from hilam_ros.profile import ProfileError, read_card
from hilam_sim import LiberoEnv, SimError

CAMERAS = ("agentview", "eye_in_hand")
ARM_JOINTS = [f"panda_joint{number}" for number in range(1, 8)]
EPISODE = 1
POLICY_NODES = ("camera_ingest", "skill_planner", "action_executor")
LAST_MESSAGES_S = 0.2  # for the timing of the last step to arrive


class LiberoBridge(StackNode):
    """Publishes cameras, joint states and end-effector pose; applies twist and gripper commands.

    Lockstep: one simulation step for each observation's command pair. Real time: one step every control
    period, with the newest command, or no motion where that is too old.
    """

    def __init__(self) -> None:
        super().__init__("libero_bridge")
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
        wait = self.parameter(
            "wait_for_policy", True, "begin only when the policy's nodes say they are ready"
        )
        self.peers = POLICY_NODES if wait else ()
        self.peer_timeout_s = self.parameter("peer_timeout_s", 60.0, "how long they may take")
        self.step_timeout_s = self.parameter("step_timeout_s", 10.0, "lockstep: how long a command may take")
        max_age_s = self.parameter("max_command_age_s", 0.2, "real time: older commands are not applied")
        self.lockstep_mailbox = LockstepMailbox(self.scale)
        self.realtime_mailbox = RealtimeMailbox(self.scale, max_age_s)
        self.make_env()
        output = Path(self.parameter("output", "runs", "folder for the episode's folder"))
        self.recorder = EpisodeRecorder(output, self.env.task.name, self.cameras, self.scale.control_hz)
        self.make_topics()

        self.peer_messages: dict[str, str] = {}
        self.created_s = time.perf_counter()
        self.started_s = self.ended_s = 0.0
        self.step_number = -1  # of the last observation published
        self.success = False
        self.late_ticks = 0
        self.last_tick_s = 0.0
        self.totals_s: dict[int, float] = {}  # by stamp: observation to command
        self.timings: list[CycleTiming] = []
        self.simulate_s: list[float] = []
        self.announce_task(active=True)
        self.supervisor = self.create_timer(0.1, self.supervise)
        self.watch([self.twist, self.gripper], [*self.camera_publishers, self.joints, self.pose])

    def make_env(self) -> None:
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
        try:
            self.env = LiberoEnv(suite, task, size, assets, max_steps=max_steps or None)
            self.obs, _ = self.env.reset(
                seed=self.seed, options={"placement": "stored", "init_state": self.init_state}
            )
            if unknown := sorted(set(self.cameras) - set(self.obs)):
                raise NodeError(f"LIBERO has no camera '{unknown[0]}': choose from {', '.join(CAMERAS)}")
            self.policy_hash = (
                read_card(Path(self.policy_path))["weights_sha256"] if self.policy_path else None
            )
        except (SimError, ProfileError) as error:
            raise NodeError(str(error)) from None

    def make_topics(self) -> None:
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.camera_publishers = [
            self.create_publisher(Image, topic, reliable) for topic in self.camera_topics.values()
        ]
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        self.joints = self.create_publisher(JointState, joints_topic, reliable)
        pose_topic = self.parameter("ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped")
        self.pose = self.create_publisher(PoseStamped, pose_topic, reliable)
        self.task_publisher = self.create_publisher(Task, "task", LATCHED)

        twist_topic = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        self.twist = self.create_subscription(TwistStamped, twist_topic, self.on_twist, reliable)
        gripper_topic = self.parameter(
            "gripper_topic", "gripper_controller/commands", "std_msgs/Float64MultiArray"
        )
        self.gripper = self.create_subscription(Float64MultiArray, gripper_topic, self.on_gripper, reliable)
        self.create_subscription(CycleTiming, "cycle_timing", self.on_timing, reliable)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)

    # Start and end

    def announce_task(self, active: bool) -> None:
        msg = Task(episode=EPISODE, instruction=self.env.instruction, active=active)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.task_publisher.publish(msg)
        self.task = msg if active else None

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name in self.peers:
                self.peer_messages[status.name] = status.message
        self.start_when_ready()

    def start_when_ready(self) -> None:
        """Publish the first observation once every peer says it is ready."""
        if self.started_s or (self.peers and self.unready()):
            return
        self.started_s = self.last_tick_s = time.perf_counter()
        self.get_logger().info(f"episode begins: {self.env.instruction}")
        self.publish_observation()
        if not self.lockstep:
            self.create_timer(1 / self.scale.control_hz, self.tick)

    def supervise(self) -> None:
        """Nothing that this node waits for may take for ever."""
        now_s = time.perf_counter()
        if not self.started_s:
            self.refuse_rivals()
            self.start_when_ready()
            if not self.started_s and now_s - self.created_s > self.peer_timeout_s:
                raise NodeError(f"not ready after {self.peer_timeout_s:g} s: {self.unready()}")
        elif self.ended_s:
            if now_s - self.ended_s > LAST_MESSAGES_S:
                self.write_episode()
        elif self.lockstep and now_s - self.published_s > self.step_timeout_s:
            missing = " and no ".join(self.lockstep_mailbox.missing())
            raise NodeError(
                f"no {missing} command for observation {self.step_number} within {self.step_timeout_s:g} s; "
                f"last heard: {self.heard()}"
            )

    def refuse_rivals(self) -> None:
        """Two arms, or two policies, on the same topics would mix."""
        for topic in (self.pose.topic_name, self.twist.topic_name):
            if self.count_publishers(topic) > 1:
                raise NodeError(f"another node publishes {topic} too: stop it, or set another ROS_DOMAIN_ID")

    def unready(self) -> str:
        reasons = [f"{p}: {self.peer_messages.get(p, 'not heard of')}" for p in self.peers]
        reasons = [reason for reason in reasons if not reason.endswith(f": {READY}")]
        return "; ".join(reasons + [f"libero_bridge: waiting for {what}" for what in self.waiting_for()])

    def heard(self) -> str:
        return "; ".join(f"{peer}: {self.peer_messages.get(peer, 'nothing')}" for peer in self.peers)

    # The loop

    def publish_observation(self) -> None:
        """Publish the simulation's state under one stamp, and expect the command that answers it."""
        self.recorder.add_frame(self.obs)
        self.step_number += 1
        self.published_s = time.perf_counter()
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

    def on_twist(self, msg: TwistStamped) -> None:
        linear, angular = msg.twist.linear, msg.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self.totals_s[stamp_ns] = self.seconds() - stamp_ns * 1e-9
        self.lockstep_mailbox.add_twist(stamp_ns, twist)
        self.realtime_mailbox.add_twist(stamp_ns, twist)
        self.step_when_answered()

    def on_gripper(self, msg: Float64MultiArray) -> None:
        gripper_m = float(msg.data[0]) if len(msg.data) else float("nan")
        self.lockstep_mailbox.add_gripper(gripper_m)
        self.realtime_mailbox.add_gripper(gripper_m)
        self.step_when_answered()

    def on_timing(self, msg: CycleTiming) -> None:
        self.timings.append(msg)

    def step_when_answered(self) -> None:
        if not self.lockstep or not self.started_s or self.ended_s:
            return
        try:
            action = self.lockstep_mailbox.action()
        except NonFiniteError as error:
            raise NodeError(f"refused the command for observation {self.step_number}: {error}") from None
        if action is not None:
            self.step(action)

    def tick(self) -> None:
        """One control period in real time."""
        if self.ended_s:
            return
        now_s = time.perf_counter()
        self.late_ticks += now_s - self.last_tick_s > 1.5 / self.scale.control_hz
        self.last_tick_s = now_s
        self.step(self.realtime_mailbox.action(self.get_clock().now().nanoseconds))

    def step(self, action: np.ndarray) -> None:
        start_s = time.perf_counter()
        self.obs, _, terminated, truncated, info = self.env.step(action)
        now_s = time.perf_counter()
        self.stats.add(now_s - start_s, self.seconds())
        self.simulate_s.append(now_s - start_s)
        self.recorder.actions.append(action)
        self.success = bool(info["success"])
        if terminated or truncated:
            self.recorder.add_frame(self.obs)
            self.ended_s = now_s
            self.announce_task(active=False)
        else:
            self.publish_observation()

    def account_for_time(self) -> None:
        """Where the time of each cycle went; what no stage accounts for is the topics' share."""
        durations = self.recorder.durations_s
        durations["simulate"] = self.simulate_s
        durations["plan"] = list({msg.skill_seq: msg.plan_s for msg in self.timings}.values())
        for msg in self.timings:
            for stage in ("ingest", "act", "command"):
                durations[stage].append(getattr(msg, f"{stage}_s"))
            total_s = self.totals_s.get(stamp_to_ns(msg.header.stamp))
            if total_s is not None:
                computing_s = msg.ingest_s + msg.act_s + msg.command_s
                computing_s += msg.plan_s if msg.waited_for_skill else 0.0
                durations["observation_to_command"].append(total_s)
                durations["topics"].append(max(0.0, total_s - computing_s))

    def write_episode(self) -> None:
        steps = len(self.recorder.actions)
        self.account_for_time()
        facts = {
            "success": self.success,
            "steps": steps,
            "max_steps": self.env.max_steps,
            "rate_hz": round(steps / (self.ended_s - self.started_s), 2),
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
            "held_steps": self.realtime_mailbox.held,
            "refused_commands": self.realtime_mailbox.refused,
            "late_ticks": self.late_ticks,
        }
        content = self.recorder.write(facts)
        print("\n".join([*summary_lines(content), f"written to {self.recorder.folder}"]), flush=True)
        self.supervisor.cancel()
        self.done.set_result(None)

    def destroy_node(self) -> None:
        self.env.close()
        super().destroy_node()


def main() -> None:
    run_node(LiberoBridge)
