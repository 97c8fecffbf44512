"""The physical bodies of the objects and fixtures: LIBERO's collision primitives as numbers.

Bodies, joints, masses and contacts are those of LIBERO's assets (MIT licence: `bodies/LICENSE`), so that
states, demonstrations and success rates carry over exactly. Each object is one file of the folder `bodies`,
in metres, kilograms and radians; `tools/import_body.py` writes such a file from an object's MJCF. Its rows:

    folder F                  subfolder of the assets
    extent B T R              heights of the bottom and top sites; x and y of the horizontal radius site
    body NAME [pose]          what follows, two spaces further in, belongs to it
    box [pose] size           also capsule, cylinder: a collision geom
    contact key=...           contact of the geoms that follow, from here on; without keys `CONTACT` again
    site NAME box [pose] size a region that goal predicates look at
    joint NAME slide|hinge    how the body moves in its parent
    inertial                  where geoms do not say the mass

A pose is a position (3 numbers), or a position and an orientation quaternion wxyz (7); a size is MuJoCo's.
`key=1,2` is the MJCF attribute key="1 2".
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hilam_sim.assets.mjcf import add

# LIBERO's for nearly all of its objects.
CONTACT = {"solimp": "0.998 0.998 0.001", "solref": "0.001 1", "density": "100", "friction": "0.95 0.3 0.1"}
_SIZES = {"box": 3, "capsule": 2, "cylinder": 2}
_FOLDER = Path(__file__).with_name("bodies")


@dataclass(frozen=True)
class Body:
    """`root` is the MJCF element of the body, without anything that is only drawn."""

    folder: str
    bottom_m: float
    top_m: float
    radius_m: float
    root: ET.Element

    def xml(self, name: str) -> Path:
        """Where LIBERO looks for the MJCF of an object called `name`, relative to the assets."""
        articulated = self.folder == "articulated_objects"
        return Path(self.folder, f"{name}.xml") if articulated else Path(self.folder, name, f"{name}.xml")


def body_names() -> list[str]:
    """Every object and fixture there is, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


@cache
def read_body(name: str) -> Body:
    """The body of the object or fixture `name`."""
    folder, extent, *rows = (_FOLDER / f"{name}.txt").read_text().splitlines()
    bottom, top, radius = (float(number) for number in extent.split()[1:])
    return Body(folder.split()[1], bottom, top, radius, parse_rows(rows))


def parse_rows(rows: list[str]) -> ET.Element:
    """The MJCF body that `rows` tell of; the first is a `body` row without indentation."""
    path, contact = [ET.Element("worldbody")], CONTACT
    for row in rows:
        del path[1 + (len(row) - len(row.lstrip())) // 2 :]
        kind, *words = row.split()
        keys = dict(word.replace(",", " ").split("=") for word in words if "=" in word)
        words = [word for word in words if "=" not in word]
        if kind == "contact":
            contact = keys or CONTACT
        elif kind == "body":
            path.append(add(path[-1], "body", name=words[0], **_pose(words[1:])))
        else:
            _add_row(path[-1], kind, words, keys, contact)
    return path[0][0]


def _add_row(
    body: ET.Element, kind: str, words: list[str], keys: dict[str, str], contact: dict[str, str]
) -> None:
    if kind == "joint":
        add(body, "joint", keys, name=words[0], type=words[1], limited="true")
    elif kind == "inertial":
        add(body, "inertial", keys)
    elif kind == "site":
        name, shape, *numbers = words
        orientation = {"quat": "1 0 0 0"}  # LIBERO asks for it
        add(body, "site", orientation, _shape(shape, numbers), {"rgba": "0 0 0 0", **keys}, name=name)
    else:
        seen = {"rgba": "0 0 0 0"} if keys.get("group") == "1" else {"group": "0"}
        add(body, "geom", contact, seen, keys, **_shape(kind, words))


def _shape(kind: str, numbers: list[str]) -> dict[str, str]:
    pose, size = numbers[: -_SIZES[kind]], numbers[-_SIZES[kind] :]
    return {"type": kind, **_pose(pose), "size": " ".join(size)}


def _pose(numbers: list[str]) -> dict[str, str]:
    parts = {"pos": " ".join(numbers[:3]), "quat": " ".join(numbers[3:])}
    return {key: part for key, part in parts.items() if part}
