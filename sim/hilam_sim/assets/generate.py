"""Writes the built-in pack: objects and scenes in the layout of LIBERO's assets, and a light robot."""

import copy
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from hilam_sim.assets.articulated import ARTICULATED, ArticulatedLook
from hilam_sim.assets.collision import Body, body_names, read_body
from hilam_sim.assets.furniture import FURNITURE
from hilam_sim.assets.mjcf import DRAWN, add
from hilam_sim.assets.objects import LOOKS
from hilam_sim.assets.robot import simplified_meshes
from hilam_sim.assets.scenes import SCENES, TEXTURES

_SHINE = {"emission": "0.15", "specular": "0.2", "shininess": "0.2", "reflectance": "0"}


def generate(folder: Path) -> None:
    """Fills the empty `folder`; the same bytes every time."""
    for name in body_names():
        _write_object(folder, name, read_body(name))
    (folder / "scenes").mkdir()
    for name, scene in SCENES.items():
        _write_xml(folder / "scenes" / f"{name}.xml", scene())
    for name, look in FURNITURE.items():
        (folder / "scenes" / f"{name}.obj").write_text(look.mesh.obj())
        look.paint().save(folder / "scenes" / f"{name}.png")
    (folder / "textures").mkdir()
    for name, paint in TEXTURES.items():
        paint().save(folder / "textures" / name)
    (folder / "robot").mkdir()
    for name, mesh in simplified_meshes().items():
        (folder / "robot" / f"{name}.obj").write_text(mesh.obj())


def _write_object(folder: Path, name: str, body: Body) -> None:
    """The object's MJCF where LIBERO looks for it; meshes and texture in a folder of its name."""
    place = folder / body.folder / name
    place.mkdir(parents=True)
    xml = folder / body.xml(name)
    root = ET.Element("mujoco", model=name)
    asset = add(root, "asset")
    outer = add(add(root, "worldbody"), "body")
    inner = copy.deepcopy(body.root)
    outer.append(inner)
    for site, pos in (
        ("bottom_site", f"0 0 {body.bottom_m}"),
        ("top_site", f"0 0 {body.top_m}"),
        ("horizontal_radius_site", f"{body.radius_m} {body.radius_m} 0"),
    ):
        add(outer, "site", name=site, pos=pos, size="0.005", rgba="0 0 0 0")

    look = ARTICULATED.get(name) or ArticulatedLook({_solid_part(inner): LOOKS[name].mesh}, LOOKS[name].paint)
    here = place.relative_to(xml.parent)
    look.paint().save(place / "texture.png")
    add(asset, "texture", name=f"tex-{name}", file=str(here / "texture.png"), type="2d")
    add(asset, "material", _SHINE, name=name, texture=f"tex-{name}", texuniform="false")
    for part, mesh in look.meshes.items():
        (place / f"{part}.obj").write_text(mesh.obj())
        add(asset, "mesh", name=f"{name}_{part}", file=str(here / f"{part}.obj"))
        drawn = ET.Element("geom", DRAWN, type="mesh", mesh=f"{name}_{part}", material=name)
        _part(inner, part).insert(0, drawn)
    for part, (centre, half) in look.panes.items():
        pane = {"pos": _numbers(centre), "size": _numbers(half), "rgba": "0.4 0.4 0.4 0.35"}
        add(_part(inner, part), "geom", DRAWN, pane, type="box")
    _write_xml(xml, root)


def _part(body: ET.Element, name: str) -> ET.Element:
    return next(part for part in body.iter("body") if part.get("name") == name)


def _solid_part(body: ET.Element) -> str:
    """What a rigid object is drawn in: the first body that something collides with."""
    return next(part.get("name", "") for part in body.iter("body") if part.find("geom") is not None)


def _numbers(numbers: Iterable[float]) -> str:
    return " ".join(map(str, numbers))


def _write_xml(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    path.write_text(ET.tostring(root, encoding="unicode") + "\n")
