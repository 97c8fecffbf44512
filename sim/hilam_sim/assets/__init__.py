"""Shapes and looks of LIBERO's scenes: the official files where they are, else a built-in pack.

The *built-in pack* is written by this package's own code into the cache folder at first use (a second or two,
no network, no prompts). It has the folder layout of LIBERO's assets and the same collision primitives, masses
and friction, hence exactly the same physics; only the looks differ. Every object is one small
generated mesh with a generated texture, which software rendering draws several times faster than the scans.

    resolve_assets("auto")     Assets(kind, path): official where found, else the built-in pack
    lighten_robot(mjcf)        arm and mount drawn from simplified meshes (17k triangles instead of 168k)
    lighten_rendering(mjcf)    no multisampling, no reflections

The last two take and return the MJCF text of a whole scene and touch nothing that has to do with physics
(robosuite: `env.set_xml_processor`). Official assets are looked for in `$LIBERO_ASSETS`, then where hf-libero
keeps them: `libero/libero/assets` in its package folder and `~/.cache/libero/assets`. The built-in pack lives
in the cache folder (`hilam_core.files.cache_folder`), in a folder named after a hash of the code and the body
files that made it, so that a new version never uses an old pack.
"""

from hilam_sim.assets.light import lighten_rendering, lighten_robot
from hilam_sim.assets.resolve import Assets, resolve_assets

__all__ = ["Assets", "lighten_rendering", "lighten_robot", "resolve_assets"]
