"""Building MJCF."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping

DRAWN = {"contype": "0", "conaffinity": "0", "group": "1"}  # a geom that nothing touches


def add(parent: ET.Element, tag: str, *shared: Mapping[str, str], **own: str) -> ET.Element:
    """Appends a `tag` to `parent`; attributes are `own` in the order given, then those of `shared`."""
    element = ET.SubElement(parent, tag, own)
    for attributes in shared:
        element.attrib.update(attributes)
    return element
