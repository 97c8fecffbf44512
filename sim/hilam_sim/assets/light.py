"""Edits of a scene's MJCF that make it cheap to draw and leave its physics as they are.

In software rendering a picture costs what its vertices cost, and nine tenths of them are the visual meshes of
the Panda and its mount.
"""

import xml.etree.ElementTree as ET
from pathlib import Path

from hilam_sim.assets.resolve import builtin_folder


def lighten_robot(mjcf_xml: str) -> str:
    """The scene with arm, gripper and mount drawn from simplified meshes (17k triangles instead of 168k).

    Only the files of meshes that nothing collides with change.
    """
    root = ET.fromstring(mjcf_xml)
    simplified = {path.stem: path for path in (builtin_folder() / "robot").glob("*.obj")}
    for mesh in root.iter("mesh"):
        stem = Path(mesh.get("file", "")).stem
        if mesh.get("name", "").startswith(("robot", "gripper", "mount")) and stem in simplified:
            mesh.set("file", str(simplified[stem]))
            mesh.set("inertia", "shell")  # parts may be open; they have no mass anyway
    return ET.tostring(root, encoding="unicode")


def lighten_rendering(mjcf_xml: str) -> str:
    """The scene without multisampling, shadow maps and reflections."""
    root = ET.fromstring(mjcf_xml)
    visual = root.find("visual")
    visual = ET.SubElement(root, "visual") if visual is None else visual
    quality = visual.find("quality")
    quality = ET.SubElement(visual, "quality") if quality is None else quality
    quality.attrib.update(offsamples="0", shadowsize="0")
    for material in root.iter("material"):
        material.set("reflectance", "0")
    return ET.tostring(root, encoding="unicode")
