"""libero_bridge: LIBERO on MuJoCo behind the topics of a real arm."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, TwistStamped
from hilam_msgs.msg import SimulationStep
from hilam_msgs.srv import ResetSimulation
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64MultiArray, Header
from std_srvs.srv import Trigger

from hilam_core.conventions import CAMERAS
from hilam_core.errors import HilamError
from hilam_core.runtime.mailbox import LockstepMailbox, RealtimeMailbox
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_core.runtime.units import NonFiniteError
from hilam_ros.demonstrator import Demonstrator
from hilam_ros.messages import camera_info, image_message, ns_to_stamp
from hilam_ros.node import NodeError, StackNode, camera_topics, command_scale, run_node
from hilam_sim.rollout import OneEnvironment
from hilam_sim.tasks import get_task

ARM_JOINTS = [f"panda_joint{number}" for number in range(1, 8)]


@dataclass
class Run:
    """The steps since begin_simulation."""

    limit: int = 0  # in lockstep the simulation stops after so many; 0: never
    steps: int = 0
    late_ticks: int = 0


class LiberoBridge(StackNode):
    """Publishes cameras, joint states and end-effector pose; applies twist and gripper commands.

    Lockstep: one simulation step for each observation's command pair, from begin_simulation on until success
    or the limit. Real time: one step every control period, always, with the newest command, or no motion
    where that is too old. `simulation_step` has the judge's verdict on every step since begin_simulation.
    """

    def __init__(self) -> None:
        super().__init__("libero_bridge")
        self.environment: OneEnvironment | None = None

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
        self.episode, self.run, self.last_tick_s = 0, None, 0.0
        self.arrivals_s: dict[int, float] = {}  # latency of the commands for recent observations, by stamp
        self.make_environment()
        self.make_topics()
        demonstrates = self.parameter("demonstrate", False, "the scripted expert proposes what the arm does")
        self.demonstrator = Demonstrator(self, self.scale, self.base_frame) if demonstrates else None
        self.create_service(ResetSimulation, "reset_simulation", self.on_reset)
        self.create_service(Trigger, "begin_simulation", self.on_begin)
        if not self.lockstep:
            self.create_timer(1 / self.scale.control_hz, self.tick)

    def make_environment(self) -> None:
        """The scene that the arm stands in until the first reset."""
        suite = self.parameter("suite", "libero_object", "LIBERO suite of the scene at the start")
        task = self.parameter("task", "0", "its task: index, name or instruction")
        size = self.parameter("image_size", 128, "side of the camera images [px]")
        assets = self.parameter("assets", "auto", "auto, builtin or official")
        self.environment = OneEnvironment(image_size=size, assets=assets)
        chosen = get_task(suite, task)
        self.env = self.environment(chosen.suite, chosen.index)
        self.obs, _ = self.env.reset()
        if unknown := sorted(set(self.cameras) - set(self.obs)):
            raise NodeError(f"LIBERO has no camera '{unknown[0]}': choose from {', '.join(CAMERAS)}")

    def make_topics(self) -> None:
        """The topics of an arm, which must be this node's alone."""
        reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        joints_topic = self.parameter("joint_states_topic", "joint_states", "sensor_msgs/JointState")
        pose_topic = self.parameter("ee_pose_topic", "ee_pose", "geometry_msgs/PoseStamped")
        self.claim(*self.camera_topics.values(), joints_topic, pose_topic, "simulation_step")
        self.images = {
            name: self.create_publisher(Image, topic, reliable) for name, topic in self.camera_topics.items()
        }
        self.infos = {
            name: self.create_publisher(CameraInfo, f"{topic.rpartition('/')[0]}/camera_info", reliable)
            for name, topic in self.camera_topics.items()
        }
        self.joints = self.create_publisher(JointState, joints_topic, reliable)
        self.pose = self.create_publisher(PoseStamped, pose_topic, reliable)
        self.verdict = self.create_publisher(SimulationStep, "simulation_step", reliable)
        self.require_readers(*self.images.values(), self.joints, self.pose)

        twist_topic = self.parameter("twist_topic", "delta_twist_cmds", "geometry_msgs/TwistStamped")
        self.listen(TwistStamped, twist_topic, self.on_twist, reliable, steady=False)
        gripper_topic = self.parameter(
            "gripper_topic", "gripper_controller/commands", "std_msgs/Float64MultiArray"
        )
        self.listen(Float64MultiArray, gripper_topic, self.on_gripper, reliable, steady=False)

    def newest_episode(self) -> int:
        return self.episode

    # Episodes

    def on_reset(
        self, request: ResetSimulation.Request, response: ResetSimulation.Response
    ) -> ResetSimulation.Response:
        """reset_simulation"""
        try:
            self.reset(request)
        except HilamError as error:
            response.message = str(error)
            return response
        response.success = True
        response.instruction, response.task = self.env.instruction, self.env.task.name
        response.max_steps, response.assets = self.limit, self.env.assets
        return response

    def reset(self, request: ResetSimulation.Request) -> None:
        """Place the objects and the arm; commands from before do not count any more.

        Raises:
            HilamError: an unknown name or state, no valid placement, or the number of an earlier episode.
        """
        if not self.active:
            raise NodeError("the simulation is not active")
        if request.episode <= self.episode:
            raise NodeError(f"episode {request.episode} does not come after episode {self.episode}")
        assert self.environment is not None
        start, self.run = request.start, None
        self.lockstep_mailbox.expect(-1)
        task = get_task(start.suite, start.task)  # a wrong name leaves the scene as it is
        self.env = self.environment(task.suite, task.index)
        options = {"placement": start.placement or "stored", "init_state": int(start.index)}
        self.obs, _ = self.env.reset(seed=int(start.seed), options=options)
        if self.demonstrator is not None:
            self.demonstrator.begin(self.env, int(start.seed))
        self.episode, self.limit = request.episode, int(request.max_steps) or self.env.max_steps
        self.realtime_mailbox.reset(self.now_ns())

    def on_begin(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """begin_simulation"""
        if not (self.active and self.episode):
            response.message = "there was no reset yet"
            return response
        self.run, self.last_tick_s = Run(self.limit), time.perf_counter()
        self.realtime_mailbox.reset(self.now_ns())
        if self.lockstep:
            self.publish_observation(self.get_clock().now().to_msg())
        response.success = True
        return response

    # The loop

    def publish_observation(self, stamp: Time) -> None:
        """Publish the simulation's state under one stamp, and expect the command that answers it."""
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

        for camera, publisher in self.images.items():
            header = Header(stamp=stamp, frame_id=f"{camera}_optical_frame")
            publisher.publish(image_message(self.obs[camera], header))
            focal_px = self.env.focal_length_px(camera)
            self.infos[camera].publish(camera_info(self.env.image_size, focal_px, header))
        if self.demonstrator is not None and self.run is not None:
            self.demonstrator.propose(stamp)

    def explain(self) -> str:
        """Why the arm holds during an episode; empty: it does not, or the clock decides nothing."""
        return "" if self.lockstep or self.run is None else self.realtime_mailbox.holding(self.now_ns())

    def on_twist(self, msg: TwistStamped) -> None:
        """Take in a motion command, and step where it completes the pair."""
        linear, angular = msg.twist.linear, msg.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self.arrivals_s[stamp_ns] = self.seconds() - stamp_ns * 1e-9
        if len(self.arrivals_s) > 20:  # a second's worth; applied ones are younger
            del self.arrivals_s[next(iter(self.arrivals_s))]
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
        if not self.lockstep or self.run is None:
            return
        try:
            action = self.lockstep_mailbox.action()
        except NonFiniteError as error:
            raise NodeError(f"refused the command for observation {self.run.steps}: {error}") from None
        if action is not None:
            self.step(action, self.lockstep_mailbox.stamp_ns)

    def tick(self) -> None:
        """One control period in real time."""
        if not self.active:
            return
        now_s, now_ns = time.perf_counter(), self.now_ns()
        if self.run is not None:
            self.run.late_ticks += now_s - self.last_tick_s > 1.5 / self.scale.control_hz
        self.last_tick_s = now_s
        self.step(self.realtime_mailbox.action(now_ns), self.realtime_mailbox.applied_ns(now_ns))

    def step(self, action: np.ndarray, command_ns: int) -> None:
        """Apply an action float32[7] that came with the command of this stamp (0: none), and publish what the
        arm sees then, and the verdict."""
        start_s = time.perf_counter()
        self.obs, _, success, _, _ = self.env.step(action)
        step_s = time.perf_counter() - start_s
        self.stats.add(step_s, self.seconds())
        stamp = self.get_clock().now().to_msg()
        if self.run is not None:
            self.run.steps += 1
            msg = self.verdict_message(self.run, success, action, command_ns)
            msg.header.stamp, msg.step_s = stamp, step_s
            self.verdict.publish(msg)
        if not self.lockstep:
            self.publish_observation(stamp)
        elif success or self.run.steps >= self.run.limit:
            self.run = None
        else:
            self.publish_observation(stamp)

    def verdict_message(self, run: Run, success: bool, action: np.ndarray, command_ns: int) -> SimulationStep:
        """What this step did, and what the judge says of it."""
        msg = SimulationStep(episode=self.episode, step=run.steps, success=bool(success), action=action)
        msg.command_stamp = ns_to_stamp(command_ns)
        msg.command_latency_s = self.arrivals_s.get(command_ns, 0.0)
        msg.held_steps, msg.refused_commands = self.realtime_mailbox.held, self.realtime_mailbox.refused
        msg.late_ticks = run.late_ticks
        return msg

    def destroy_node(self) -> None:
        """Close the simulation with the node."""
        if self.environment is not None:
            self.environment.close()
        super().destroy_node()


def main() -> None:
    run_node(LiberoBridge)
