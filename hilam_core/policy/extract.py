"""pi^h's skills of whole episodes: what fine-tuning shows pi^l."""

from __future__ import annotations

import numpy as np
import torch

from hilam_core.device import to_device
from hilam_core.policy.batches import PolicyFrames
from hilam_core.policy.model import Policy


@torch.no_grad()
def predict_skills(policy: Policy, frames: PolicyFrames, batch_size: int = 256) -> np.ndarray:
    """pi^h's skill for every frame, float32 [N, D]: what fine-tuning shows pi^l, as the robot will."""
    policy.eval()
    device = policy.low.positions.device
    skills = []
    for start in range(0, len(frames), batch_size):
        batch = to_device(frames.inputs(np.arange(start, min(start + batch_size, len(frames)))), device)
        skills.append(policy.plan(batch["images"], batch["proprio"], batch["language"])[0].cpu().numpy())
    return np.concatenate(skills)
