"""Skills of whole episodes at frame rate."""

from __future__ import annotations

import numpy as np
import torch

from hilam_core.skills.model import SkillModel, to_frame_rate


@torch.no_grad()
def extract_skills(
    model: SkillModel, z_TZ: np.ndarray, valid: int, language: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The fields of SkillStore, of every stage, for z^l [T, Z]; from `valid` on the last segment goes on.

    language: the instruction's embedding [L], for a model that reads it.

    Segments begin where the change was: the boundaries of `step`, moved back by the model's delay. The last
    latent action is repeated that long, so that changes near the end are reported.
    """
    device = next(model.parameters()).device
    late, tail = model.delay, len(z_TZ) - valid
    z_1TZ = torch.from_numpy(z_TZ[None, :valid]).to(device)
    told = None if language is None else torch.from_numpy(language[None]).to(device)
    _, routes = model(torch.cat([z_1TZ, z_1TZ[:, -1:].expand(-1, late, -1)], 1), language_BL=told)
    out: dict[str, np.ndarray] = {}
    for s, skills in enumerate(to_frame_rate(routes), 1):
        b, p, z, segment = (x[0, late:].cpu().numpy() for x in (skills.b, skills.p, skills.z, skills.segment))
        segment, b[0], p[0] = segment - segment[0] + 1, True, 1.0
        out[f"b{s}"] = np.concatenate([b, np.zeros(tail, bool)])
        out[f"p{s}"] = np.concatenate([p, np.zeros(tail, np.float32)])
        out[f"z{s}"] = np.concatenate([z, np.repeat(z[-1:], tail, 0)])
        out[f"segment{s}"] = np.concatenate([segment, np.repeat(segment[-1:], tail)]).astype(np.int32)
    return out
