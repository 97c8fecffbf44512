"""Writes the built-in pack: objects and scenes in the layout of LIBERO's assets, and a light robot."""

import xml.etree.ElementTree as ET
from pathlib import Path

from hilam_sim.assets.collision import BODIES, GEOM, Body
from hilam_sim.assets.mjcf import add
from hilam_sim.assets.objects import LOOKS, Look
from hilam_sim.assets.robot import simplified_meshes
from hilam_sim.assets.scenes import SCENES, TEXTURES

_SHINE = {"emission": "0.15", "specular": "0.2", "shininess": "0.2", "reflectance": "0"}
_UNTOUCHABLE = {"contype": "0", "conaffinity": "0"}


def generate(folder: Path) -> None:
    """Fills the empty `folder`; the same bytes every time."""
    for name, body in BODIES.items():
        place = folder / body.family / name
        place.mkdir(parents=True)
        _write_xml(place / f"{name}.xml", _object_xml(name, body))
        _write_look(place, LOOKS[name])
    (folder / "scenes").mkdir()
    for name, scene in SCENES.items():
        _write_xml(folder / "scenes" / f"{name}.xml", scene())
    (folder / "textures").mkdir()
    for name, paint in TEXTURES.items():
        paint().save(folder / "textures" / name)
    (folder / "robot").mkdir()
    for name, mesh in simplified_meshes().items():
        (folder / "robot" / f"{name}.obj").write_text(mesh.obj())


def _object_xml(name: str, body: Body) -> ET.Element:
    root = ET.Element("mujoco", model=name)
    asset = add(root, "asset")
    add(asset, "texture", name=f"tex-{name}", file="texture.png", type="2d")
    add(asset, "material", _SHINE, name=name, texture=f"tex-{name}", texuniform="false")
    add(asset, "mesh", name=f"{name}_vis", file="visual.obj")

    outer = add(add(root, "worldbody"), "body")
    inner = add(outer, "body", name="object")
    for region, row in body.regions:
        add(inner, "site", _box(row), name=region, group="0", rgba="0.8 0 0 0")
    add(inner, "geom", GEOM, _UNTOUCHABLE, type="mesh", mesh=f"{name}_vis", material=name, group="1")
    for row in body.boxes.strip().splitlines():
        add(inner, "geom", _box(row), GEOM, group="0")
    for site, pos in (
        ("bottom_site", f"0 0 {body.bottom_m}"),
        ("top_site", f"0 0 {body.top_m}"),
        ("horizontal_radius_site", f"{body.radius_m} {body.radius_m} 0"),
    ):
        add(outer, "site", name=site, pos=pos, size="0.005", rgba="0 0 0 0")
    return root


def _box(row: str) -> dict[str, str]:
    numbers = row.split()
    parts = (numbers[:3], numbers[3:7], numbers[7:])
    return {"type": "box", **dict(zip(("pos", "quat", "size"), map(" ".join, parts), strict=True))}


def _write_look(place: Path, look: Look) -> None:
    (place / "visual.obj").write_text(look.mesh.obj())
    look.paint().save(place / "texture.png")


def _write_xml(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    path.write_text(ET.tostring(root, encoding="unicode") + "\n")
