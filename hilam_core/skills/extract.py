"""Skills of whole episodes at frame rate."""

from __future__ import annotations

import numpy as np
import torch

from hilam_core.skills.model import SkillModel, to_frame_rate


@torch.no_grad()
def extract_skills(model: SkillModel, z_TZ: np.ndarray, valid: int) -> dict[str, np.ndarray]:
    """The fields of SkillStore, of every stage, for z^l [T, Z]; from `valid` on the last segment goes on."""
    device = next(model.parameters()).device
    _, routes = model(torch.from_numpy(z_TZ[None, :valid]).to(device))
    tail = len(z_TZ) - valid
    out: dict[str, np.ndarray] = {}
    for s, skills in enumerate(to_frame_rate(routes), 1):
        b, p, z, segment = (x[0].cpu().numpy() for x in (skills.b, skills.p, skills.z, skills.segment))
        out[f"b{s}"] = np.concatenate([b, np.zeros(tail, bool)])
        out[f"p{s}"] = np.concatenate([p, np.zeros(tail, np.float32)])
        out[f"z{s}"] = np.concatenate([z, np.repeat(z[-1:], tail, 0)])
        out[f"segment{s}"] = np.concatenate([segment, np.repeat(segment[-1:], tail)]).astype(np.int32)
    return out
