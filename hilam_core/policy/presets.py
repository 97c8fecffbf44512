"""The eleven rows of the paper's Table 1 (ablation on LIBERO-Long) as settings of the training programs.

A row says which segments are skills, and what pi^l regresses in pretraining: z^l, or a stage's segment
vectors. Human is video of people (Something-Something V2), robot that of DROID and BridgeV2: the data are
given to the programs, and the name keeps them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hilam_core.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class Row:
    """One policy of the table."""

    pretraining: Literal["none", "robot", "human"]
    skill: int | None
    """Stage s whose zbar^s pi^h predicts; None: a flat policy, or one whose skills no stage gives."""
    latent: int | None
    """Stage of what pi^l regresses in pretraining: 0 is zbar^0 = z^l."""
    success: float
    """Published success rate."""


TABLE1 = {
    "table1/flat_robot_z0": Row("robot", None, 0, 0.87),
    "table1/flat_robot_z2": Row("robot", None, 2, 0.81),
    "table1/flat_human_z0": Row("human", None, 0, 0.91),
    "table1/flat_human_z2": Row("human", None, 2, 0.87),
    "table1/no_pretraining": Row("none", None, None, 0.67),
    "table1/robot_z1_z0": Row("robot", 1, 0, 0.90),
    "table1/robot_z2_z0": Row("robot", 2, 0, 0.90),
    "table1/robot_z2_z1": Row("robot", 2, 1, 0.87),
    "table1/human_z1_z0": Row("human", 1, 0, 0.89),
    "table1/human_z2_z0": Row("human", 2, 0, 0.94),
    "table1/human_z2_z1": Row("human", 2, 1, 0.89),
}
"""`human_z2_z0`: pretrained on human video, skills zbar^2, latent actions zbar^0; the paper's default."""

PRETRAINING: dict[str, dict[str, Any]] = {
    name: {"hierarchical": row.skill is not None, "stage": row.skill, "latent_stage": row.latent}
    for name, row in TABLE1.items()
    if row.pretraining != "none"
}
"""Settings of pretrain_policy."""

FINETUNING: dict[str, dict[str, Any]] = {
    name: {"hierarchical": row.pretraining == "none"} for name, row in TABLE1.items()
}
"""Settings of finetune_policy; `require_row` checks what it starts from."""


def require_row(name: str, card: Mapping[str, Any] | None, source: Path | str | None) -> None:
    """Refuse to fine-tune `source`, the policy with this card, as a row that it was not pretrained for.

    Raises:
        ConfigError: no policy where the row is pretrained, or one where it is not.
        CheckpointError: a policy of another row.
    """
    row = TABLE1[name]
    if (card is None) != (row.pretraining == "none"):
        wanted = "is pretrained: give" if card is None else "starts from scratch: leave out"
        raise ConfigError(f"{name} {wanted} --pretrained")
    if card is None:
        return
    named = card.get("program", {}).get("preset")
    found = (card.get("skill_stage"), card.get("latent_stage"))
    if found != (row.skill, row.latent) or named not in (None, name):
        raise CheckpointError(
            f"'{source}' is not {name}: it was pretrained with skills of stage {found[0]} and latent actions "
            f"of stage {found[1]}" + (f", as {named}" if named else "")
        )
