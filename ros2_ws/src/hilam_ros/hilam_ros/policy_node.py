"""What the two nodes that run a policy share."""

from __future__ import annotations

import numpy as np
import torch
from hilam_msgs.msg import Observation

from hilam_core.conventions import ACTION_DIM
from hilam_core.device import choose_device
from hilam_core.observation import Observation as PolicyObservation
from hilam_core.policy import load_policy
from hilam_core.runtime.images import image_array
from hilam_ros.node import NodeError, StackNode


class PolicyNode(StackNode):
    """Loads the checkpoint: `self.policy`."""

    def configure(self) -> None:
        path = self.parameter("policy", "", "folder of the policy checkpoint")
        device = self.parameter("device", "auto", "auto, cpu, cuda or cuda:N")
        torch.set_num_threads(1)  # the layers are too small to gain from more
        self.policy = load_policy(path, str(choose_device(device))).prepare()
        self.require_actions(path)

    def require_actions(self, path: str) -> None:
        """Refuse a policy whose outputs are not what an arm under OSC_POSE is commanded with."""
        outputs = self.policy.low.config.output_dim
        if self.policy.card.get("stage") == "pretrained":
            raise NodeError(
                f"policy '{path}' gives latent actions of length {outputs}, not {ACTION_DIM} numbers: "
                "fine-tune it with training/finetune_policy.py"
            )
        if outputs != ACTION_DIM or not self.policy.config.unit_actions:
            unit = "in [-1, 1]" if self.policy.config.unit_actions else "in the units of its data"
            raise NodeError(
                f"policy '{path}' gives actions of {outputs} numbers {unit}; the nodes command {ACTION_DIM} "
                "in [-1, 1]: position, rotation, gripper"
            )

    def blank_observation(self) -> PolicyObservation:
        """Black images, to warm up the networks."""
        size = self.policy.spec.image_size
        images = {camera: np.zeros((size, size, 3), np.uint8) for camera in self.policy.spec.cameras}
        return PolicyObservation(images, np.zeros(self.policy.spec.proprio_dim, np.float32))

    def is_current(self, msg: Observation) -> bool:
        """Whether an observation belongs to the task at hand."""
        return self.task is not None and msg.episode == self.task.episode


def policy_observation(msg: Observation) -> PolicyObservation:
    """hilam_msgs/Observation -> what planner and executor read; ValueError where it contradicts itself."""
    images = {camera: image_array(image) for camera, image in zip(msg.cameras, msg.images, strict=True)}
    return PolicyObservation(images, np.asarray(msg.proprio, np.float32))
