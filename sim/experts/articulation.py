"""Drawers, doors and knobs."""

from __future__ import annotations

from collections.abc import Callable

from hilam_sim.experts.skills import Skill

RECIPES: dict[str, Callable[..., Skill]] = {}
