"""Writes the built-in pack: objects and scenes in the layout of LIBERO's assets, and a light robot."""

import copy
import xml.etree.ElementTree as ET
from pathlib import Path

from hilam_sim.assets.collision import Body, body_names, read_body
from hilam_sim.assets.fixtures import FIXTURES
from hilam_sim.assets.mjcf import add
from hilam_sim.assets.objects import LOOKS
from hilam_sim.assets.robot import simplified_meshes
from hilam_sim.assets.scenes import SCENES, TEXTURES, draw_solids
from hilam_sim.assets.shapes import Mesh

_SHINE = {"emission": "0.15", "specular": "0.2", "shininess": "0.2", "reflectance": "0"}
_DRAWN = {"contype": "0", "conaffinity": "0", "group": "1"}


def generate(folder: Path) -> None:
    """Fills the empty `folder`; the same bytes every time."""
    for name in body_names():
        _write_object(folder, name, read_body(name))
    (folder / "scenes").mkdir()
    for name, scene in SCENES.items():
        _write_xml(folder / "scenes" / f"{name}.xml", scene())
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

    if name in LOOKS or name in FIXTURES:
        paint = FIXTURES[name].paint if name in FIXTURES else LOOKS[name].paint
        paint().save(place / "texture.png")
        here = place.relative_to(xml.parent)
        add(asset, "texture", name=f"tex-{name}", file=str(here / "texture.png"), type="2d")
        add(asset, "material", _SHINE, name=name, texture=f"tex-{name}", texuniform="false")
        for part, mesh in _meshes(name, inner).items():
            stem = "visual" if name in LOOKS else part
            (place / f"{stem}.obj").write_text(mesh.obj())
            add(asset, "mesh", name=f"{name}_{stem}", file=str(here / f"{stem}.obj"))
            drawn = ET.Element("geom", _DRAWN, type="mesh", mesh=f"{name}_{stem}", material=name)
            next(b for b in inner.iter("body") if b.get("name") == part).insert(0, drawn)
    else:
        draw_solids(inner, "0.6 0.6 0.65 1")
    _write_xml(xml, root)


def _meshes(name: str, body: ET.Element) -> dict[str, Mesh]:
    """What is drawn, by the name of the body that it moves with."""
    if name in FIXTURES:
        return FIXTURES[name].meshes
    first = next(part for part in body.iter("body") if part.find("geom") is not None)
    return {first.get("name", ""): LOOKS[name].mesh}


def _write_xml(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    path.write_text(ET.tostring(root, encoding="unicode") + "\n")
