"""Other words for LIBERO's instructions: the same objects and places, other verbs and connectives."""

from __future__ import annotations

import re

from hilam_sim.errors import SimError

# What LIBERO's instructions say, longest first, with three other ways to say it. Names of objects stay.
_PHRASES = {
    "pick up": ("grab", "take", "lift"),
    "turn on": ("switch on", "activate", "start"),
    "turn off": ("switch off", "deactivate", "stop"),
    "place it": ("put it", "set it down", "drop it off"),
    "put": ("place", "set", "move"),
    "place": ("put", "set", "move"),
    "open": ("pull open", "slide open", "get open"),
    "close": ("shut", "push shut", "get closed"),
    "push": ("shove", "slide", "move"),
    "stack": ("pile", "put", "place"),
    "and": ("then", "and then", "and afterwards"),
    "in": ("into", "inside", "within"),
}
WORDINGS = 3


def reword(instruction: str, wording: int) -> str:
    """An instruction in other words: wording 1 to `WORDINGS`, each another one.

    Raises:
        SimError: another wording, or an instruction without any word that it knows.
    """
    if not 1 <= wording <= WORDINGS:
        raise SimError(f"unknown wording {wording}: choose 1 to {WORDINGS}, or 0 for the task's own words")
    pattern = "|".join(map(re.escape, _PHRASES))
    said = re.sub(rf"\b({pattern})\b", lambda found: _PHRASES[found[1]][wording - 1], instruction)
    if said == instruction:
        raise SimError(f"no other words known for '{instruction}': give them with --instruction")
    return said
