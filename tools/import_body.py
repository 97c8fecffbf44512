"""Write what collides of an object's MJCF in the compact form that `sim/hilam_sim/assets/bodies` holds.

    python tools/import_body.py $LIBERO_ASSETS/turbosquid_objects/mug/mug.xml --out mug.txt

What is only drawn is left out: the built-in pack has its own looks.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from hilam_core.errors import DataError
from hilam_core.files import replacing
from hilam_core.program import run_program
from hilam_sim.assets.collision import CONTACT

_MUJOCO = {"solimp": "0.9 0.95 0.001", "solref": "0.02 1", "density": "1000", "friction": "1 0.005 0.0001"}
_CONTACT = (*_MUJOCO, "contype", "conaffinity", "condim", "margin")
_OWN = ("name", "euler", "mass")


@dataclass(frozen=True)
class Config:
    mjcf: tyro.conf.Positional[Path]
    """MJCF file of an object of LIBERO."""
    out: Path
    """Body file to write."""


def body_rows(path: Path) -> Iterator[str]:
    """The lines of the body file for the MJCF at `path`. Raises DataError where it is no object of LIBERO."""
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise DataError(f"cannot read '{path}': {error}") from None
    _resolve_classes(root)
    outer, body = root.find("worldbody/body"), root.find("worldbody/body/body[@name='object']")
    if outer is None or body is None:
        raise DataError(f"'{path}' has no worldbody/body/body named object: not an object of LIBERO")
    sites = {site.get("name"): site.get("pos", "").split() for site in outer.findall("site")}
    extent = sites["bottom_site"][2], sites["top_site"][2], sites["horizontal_radius_site"][0]
    articulated = path.parent.name == "articulated_objects"
    yield f"folder {path.parent.name if articulated else path.parent.parent.name}"
    yield "extent " + " ".join(map(_short, extent))
    yield from _rows(body, "", dict(CONTACT))


def _resolve_classes(root: ET.Element) -> None:
    for default in root.iter("default"):
        for element in root.iter():
            if element.get("class") == default.get("class") is not None:
                shared = default.find(element.tag)
                for key, value in {} if shared is None else shared.attrib.items():
                    element.attrib.setdefault(key, value)


def _rows(body: ET.Element, indent: str, contact: dict[str, str]) -> Iterator[str]:
    yield indent + " ".join(["body", body.get("name", ""), *_pose(body)])
    indent += "  "
    for element in body:
        if element.tag == "body":
            yield from _rows(element, indent, contact)
        elif element.tag == "geom" and _is_solid(element):
            if (own := _contact(element)) != contact:
                contact.clear()
                contact.update(own)
                yield indent + " ".join(["contact", *_keys({} if own == CONTACT else own)])
            yield indent + " ".join([*_shape(element), *_keys(element, *_OWN), *_unseen(element)])
        elif element.tag == "site":
            shown = element.get("rgba", "0 0 0 0").split()[3] not in ("0", "0.0")
            keys = _keys(element, "rgba") if shown else []
            yield indent + " ".join(["site", element.get("name", ""), *_shape(element), *keys])
        elif element.tag == "joint":
            keys = _keys(element, "axis", "range", "damping")
            yield indent + " ".join(["joint", element.get("name", ""), element.get("type", ""), *keys])
        elif element.tag == "inertial":
            yield indent + " ".join(["inertial", *_keys(element)])


def _is_solid(geom: ET.Element) -> bool:
    collides = geom.get("contype") != "0" or geom.get("conaffinity") != "0"
    return collides or geom.get("group", "0") == "0"


def _contact(geom: ET.Element) -> dict[str, str]:
    return {key: value for key in _CONTACT if (value := geom.get(key, _MUJOCO.get(key)))}


def _unseen(geom: ET.Element) -> list[str]:
    return ["group=1"] if geom.get("group") == "1" else []


def _shape(element: ET.Element) -> list[str]:
    return [element.get("type", ""), *_pose(element), *_numbers(element, "size")]


def _pose(element: ET.Element) -> list[str]:
    position = _numbers(element, "pos") or ["0", "0", "0"]
    rotation = _numbers(element, "quat")
    if rotation in ([], ["1", "0", "0", "0"]):
        return [] if element.tag == "body" and position == ["0", "0", "0"] else position
    return [*position, *rotation]


def _numbers(element: ET.Element, key: str) -> list[str]:
    return [_short(word) for word in element.get(key, "").split()]


def _keys(element: ET.Element | dict[str, str], *keys: str) -> list[str]:
    """`key=1,2` for those of `keys` (all of them where none is given) that `element` has."""
    found = {key: value for key in keys or element.keys() if (value := element.get(key))}
    return [f"{key}={','.join(map(_short, value.split()))}" for key, value in found.items()]


def _short(word: str) -> str:
    """A number without needless zeros; other words as they are."""
    try:
        number = float(word)
    except ValueError:
        return word
    text = repr(number).removesuffix(".0")
    return "0" if number == 0 else text.replace("0.", ".", 1) if abs(number) < 1 else text


def main(config: Config) -> None:
    rows = list(body_rows(config.mjcf))
    with replacing(config.out) as draft:
        draft.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    run_program(main, Config)
