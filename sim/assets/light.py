"""Cheap drawing: edits of a scene's MJCF that change what is drawn and nothing that moves.

In software rendering a picture costs what its vertices cost, and nine tenths of them are the Panda's visual
meshes.
"""

import re
import xml.etree.ElementTree as ET

_ROBOT = re.compile(r"(robot|gripper)\d+_")
_WHITE, _GREY, _DARK = "0.93 0.94 0.95 1", "0.62 0.64 0.66 1", "0.34 0.35 0.37 1"
_HIDDEN = "3"  # a geom group that is not drawn
_COLOURS = {"link5": _WHITE, "link7": _GREY, "hand": _DARK, "finger": _DARK}


def lighten_robot(mjcf_xml: str) -> str:
    """The scene with the arm and gripper drawn from their collision meshes (14k faces instead of 135k).

    Every geom keeps its name and number; bodies, joints, inertias and contact geoms stay as they are.
    """
    root = ET.fromstring(mjcf_xml)
    for body in root.iter("body"):
        if not _ROBOT.match(body.get("name", "")):
            continue
        meshes = [geom for geom in body.findall("geom") if geom.get("type") == "mesh"]
        shapes = [geom for geom in meshes if geom.get("group") == "0"]
        for geom in meshes:
            if geom.get("group") == "1":
                _draw_as(geom, shapes.pop(0) if shapes else None)
    _drop_unused(root, "mesh", "geom")
    _drop_unused(root, "material", "geom", "site")
    return ET.tostring(root, encoding="unicode")


def lighten_rendering(mjcf_xml: str) -> str:
    """The scene without multisampling, shadow maps and reflections."""
    root = ET.fromstring(mjcf_xml)
    visual = _child(root, "visual")
    quality = _child(visual, "quality")
    quality.set("offsamples", "0")
    quality.set("shadowsize", "0")
    for material in root.iter("material"):
        material.set("reflectance", "0")
    return ET.tostring(root, encoding="unicode")


def _draw_as(visual: ET.Element, shape: ET.Element | None) -> None:
    """Makes a visual geom draw the mesh of `shape`, or nothing; robosuite still finds it by its name."""
    name = visual.get("name", "")
    visual.attrib.clear()
    visual.attrib.update(name=name, contype="0", conaffinity="0", group=_HIDDEN, type="sphere", size="0.001")
    if shape is not None:
        mesh = shape.get("mesh", "")
        colour = next((rgba for part, rgba in _COLOURS.items() if part in mesh), _WHITE)
        visual.attrib.update(type="mesh", mesh=mesh, group="1", rgba=colour)
        visual.attrib.update({key: value for key in ("pos", "quat") if (value := shape.get(key))})


def _drop_unused(root: ET.Element, kind: str, *users: str) -> None:
    used = {element.get(kind) for user in users for element in root.iter(user)}
    for asset in root.findall("asset"):
        for element in asset.findall(kind):
            name = element.get("name", "")
            if _ROBOT.match(name) and name not in used:
                asset.remove(element)


def _child(parent: ET.Element, tag: str) -> ET.Element:
    found = parent.find(tag)
    return found if found is not None else ET.SubElement(parent, tag)
