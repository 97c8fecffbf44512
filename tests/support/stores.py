"""Stored latents and skills of synthetic demonstrations, without the models that would make them."""

import numpy as np

from hilam_core.data import LatentStore, SkillStore, read_demonstrations

GAP = 4


def write_stores(demonstrations, folder, skills_of=None):
    """Latents and skills of two stages that are a simple function of the actions; skills_of: what the skills'
    lineage differs in."""
    episodes = read_demonstrations(demonstrations)
    latents, skills, contents = {}, {}, {}
    for episode in episodes:
        action, count = episode.actions, len(episode)
        segment = np.cumsum(np.any(np.diff(action, axis=0, prepend=action[:1]) != 0, axis=1))
        boundary = np.diff(segment, prepend=-1) > 0
        latents[episode.key] = {"z": action[:, :5] + 0.5, "valid": np.int64(count - GAP)}
        skills[episode.key] = {
            **{f"b{s}": boundary for s in (1, 2)},
            **{f"p{s}": boundary.astype(np.float32) for s in (1, 2)},
            **{f"z{s}": 3 * action[:, :4] for s in (1, 2)},
            **{f"segment{s}": segment for s in (1, 2)},
        }
        contents[episode.key] = episode.content_hash(("agentview",))
    lineage = {"lam": "", "lam_hash": "abc", "cameras": ["agentview"], "gap": GAP}
    of_skills = {**lineage, "skills": "", "skills_hash": "def", "stages": 2}
    LatentStore(latents, lineage, contents).write(folder / "latents.h5")
    (folder / "skills.h5").unlink(missing_ok=True)
    SkillStore(skills, {**of_skills, **(skills_of or {})}, contents).write(folder / "skills.h5")
