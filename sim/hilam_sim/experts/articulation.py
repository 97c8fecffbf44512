"""What to do for goals about moving parts, and about what is inside of them."""

from __future__ import annotations

from collections.abc import Callable

from hilam_sim.experts.arm import Arm
from hilam_sim.experts.containers import put_in_drawer, put_through_door
from hilam_sim.experts.fixtures import Part, open_door, open_drawer, push_closed, turn_knob, unwind
from hilam_sim.experts.skills import Skill

_ATTEMPTS = 3


def recipe_open(arm: Arm, name: str) -> Skill:
    """Open(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.holds("open"):
            break
        yield from (open_drawer if part.slides else open_door)(arm, part)
    yield from unwind(arm)


def recipe_close(arm: Arm, name: str) -> Skill:
    """Close(drawer region or fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.holds("close"):
            break
        yield from push_closed(arm, part)
    yield from unwind(arm)


def recipe_turn(arm: Arm, name: str, state: str) -> Skill:
    """Turnon(fixture), Turnoff(fixture)."""
    part = Part.named(arm, name)
    for _ in range(_ATTEMPTS):
        if part.holds(state):
            return
        yield from turn_knob(arm, part, state)


def inside(bring: Callable[..., Skill]) -> Callable[..., Skill]:
    """In(object, region), once what covers the region is open; by `bring` where nothing does."""

    def recipe(arm: Arm, name: str, region: str) -> Skill:
        part = Part.before(arm, region)
        if part is None:
            yield from bring(arm, name, region)
            return
        if not part.holds("open"):
            yield from recipe_open(arm, part.name)
        for _ in range(_ATTEMPTS):
            if arm.holds("in", name, region):
                return
            if not part.slides:
                yield from put_through_door(arm, name, region)
            elif not (yield from put_in_drawer(arm, name, region)):
                yield from bring(arm, name, region)
                return

    return recipe


RECIPES: dict[str, Callable[..., Skill]] = {
    "open": recipe_open,
    "close": recipe_close,
    "turnon": lambda arm, name: recipe_turn(arm, name, "turnon"),
    "turnoff": lambda arm, name: recipe_turn(arm, name, "turnoff"),
}
"""What to do for each goal predicate about a moving part."""
