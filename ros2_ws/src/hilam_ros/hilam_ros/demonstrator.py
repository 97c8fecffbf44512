"""A scripted expert in the place of a policy or a person: what it would do is proposed to safety_monitor."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TwistStamped
from std_msgs.msg import Float64MultiArray, String

from hilam_core.runtime.units import CommandScale
from hilam_ros.messages import twist_message
from hilam_ros.node import StackNode
from hilam_sim.experts import Expert, make_expert


class Demonstrator:
    """Publishes `proposed_twist`, `proposed_gripper` and `phase`, of the node whose simulation it sees."""

    def __init__(self, node: StackNode, scale: CommandScale, base_frame: str):
        self.scale, self.base_frame = scale, base_frame
        self.expert: Expert | None = None
        node.claim("proposed_twist", "proposed_gripper", "phase")
        self.motion = node.create_publisher(TwistStamped, "proposed_twist", 10)
        self.gripper = node.create_publisher(Float64MultiArray, "proposed_gripper", 10)
        self.phase = node.create_publisher(String, "phase", 10)
        node.require_readers(self.motion, self.gripper)

    def begin(self, env: Any, seed: int) -> None:
        """An episode begins in an environment that was reset; SimError where its task has no expert."""
        self.expert = make_expert(env, seed)

    def propose(self, stamp: Any) -> None:
        """Propose the action for what the simulation shows now; stamp: of that observation."""
        if self.expert is None:
            return
        action, phase = self.expert.act()
        self.phase.publish(String(data=phase))
        self.gripper.publish(Float64MultiArray(data=[self.scale.to_gripper(action)]))
        self.motion.publish(twist_message(self.scale.to_twist(action), stamp, self.base_frame))
