"""Kitchenware: the frying pan, the moka pot and the wine bottle."""

from PIL import Image

from hilam_sim.assets.objects.look import Look
from hilam_sim.assets.objects.tableware import vessel
from hilam_sim.assets.paint import Colour, Painter
from hilam_sim.assets.shapes import Mesh, circle, loft, merge, polygon, slab, tube

_BLACK: Colour = (30, 30, 32)


def frying_pan() -> Mesh:
    """A pan around the origin with its handle towards +x; texture as that of tableware."""
    pan = vessel(
        [(0, 0), (0.073, 0), (0.0785, 0.004), (0.0925, 0.0185), (0.1015, 0.037), (0.1022, 0.039)],
        [(0.101, 0.0397), (0.0965, 0.0385), (0.0885, 0.0225), (0.076, 0.0075), (0.069, 0.004), (0, 0.0035)],
        circle(28),
    )
    collar = tube([(0.096, 0.028, 0.013, 0.007), (0.135, 0.034, 0.012, 0.008)]).patched(0, 0.97, 1, 1)
    grip = tube(
        [(0.13, 0.033, 0.011, 0.008), (0.155, 0.041, 0.0145, 0.008), (0.19, 0.0455, 0.0155, 0.0085),
         (0.215, 0.0465, 0.0155, 0.0078), (0.24, 0.0485, 0.013, 0.006), (0.2615, 0.05, 0.006, 0.0045)]
    ).patched(0, 0.91, 1, 0.96)  # fmt: skip
    return merge(pan.moved(x=0.008), collar, grip)


def moka_pot() -> Mesh:
    """Boiler, waist and jug of eight sides, a lid with a knob, a spout towards -y and a handle towards +y."""
    body = [
        (-0.067, 0, 0), (-0.067, 0.0385, 0.02), (-0.067, 0.0385, 0.02), (-0.0625, 0.0385, 0.05),
        (-0.0625, 0.0378, 0.05), (-0.013, 0.0338, 0.34), (-0.01, 0.0315, 0.36), (-0.01, 0.0315, 0.36),
        (0.004, 0.0315, 0.42), (0.004, 0.0315, 0.42), (0.006, 0.034, 0.44), (0.006, 0.034, 0.44),
        (0.058, 0.0396, 0.74), (0.061, 0.0396, 0.76), (0.061, 0.0396, 0.76), (0.0635, 0.037, 0.78),
        (0.071, 0.006, 0.89), (0.0715, 0, 0.89),
    ]  # fmt: skip
    pot = loft([(z, r, r, v) for z, r, v in body], polygon(8))
    knob = loft(
        [(0.0705, 0, 0, 0.92), (0.0705, 0.005, 0.005, 0.93), (0.077, 0.005, 0.005, 0.94),
         (0.082, 0.0079, 0.0079, 0.95), (0.086, 0.007, 0.007, 0.96), (0.0871, 0, 0, 0.96)],
        circle(12),
    )  # fmt: skip
    handle = tube(
        [(0.037, 0.058, 0.0055, 0.005), (0.058, 0.0635, 0.0065, 0.0055), (0.074, 0.057, 0.0068, 0.006),
         (0.0785, 0.043, 0.0068, 0.0055), (0.072, 0.018, 0.006, 0.005), (0.0635, -0.009, 0.005, 0.004)]
    ).patched(0, 0.92, 1, 0.98).turned("z", 90)  # fmt: skip
    spout = slab([(0.03, 0.025), (0.0607, 0.0595), (0.03, 0.0605)], 0.009).patched(0.02, 0.6, 0.08, 0.62)
    return merge(pot, knob, handle, spout.turned("z", -90))


def _paint_frying_pan() -> Image.Image:
    painter = Painter((44, 44, 47))
    painter.gradient(0.45, 0.62, (92, 92, 95), (58, 58, 61))
    painter.band(0.62, 0.9, (66, 66, 69))
    painter.band(0.43, 0.465, (150, 150, 152))
    painter.band(0.9, 0.965, (24, 24, 26))
    painter.band(0.965, 1, (165, 165, 168))
    return painter.image


def _paint_moka_pot() -> Image.Image:
    painter = Painter((196, 198, 202))
    for side in range(8):
        shade = (228, 176, 205, 165)[side % 4]
        painter.rectangle(side / 8, 0, (side + 1) / 8, 0.76, (shade, shade, shade + 4))
    painter.band(0.36, 0.42, (128, 130, 134))
    painter.band(0.74, 0.77, (140, 142, 146))
    painter.band(0.77, 0.9, (226, 228, 232))
    painter.band(0.9, 1, _BLACK)
    return painter.image


def _paint_wine_bottle() -> Image.Image:
    painter = Painter((18, 44, 26))
    painter.rectangle(0.52, 0.06, 0.98, 0.37, (238, 230, 205))
    painter.rectangle(0.52, 0.3, 0.98, 0.33, (150, 30, 45))
    painter.text(0.75, 0.2, 0.38, 0.14, "WINE", (110, 15, 35))
    painter.band(0.72, 0.91, (120, 20, 40))
    painter.band(0.91, 1, (214, 176, 124))
    return painter.image


KITCHENWARE: dict[str, Look] = {
    "chefmate_8_frypan": Look(frying_pan(), _paint_frying_pan),
    "moka_pot": Look(moka_pot(), _paint_moka_pot),
    "wine_bottle": Look(
        loft(
            [(z, r, r, v) for z, r, v in (
                (0, 0, 0), (0, 0.019, 0.02), (0, 0.019, 0.02), (0.003, 0.0216, 0.04), (0.06, 0.0216, 0.39),
                (0.075, 0.0175, 0.48), (0.09, 0.0117, 0.58), (0.104, 0.0085, 0.66), (0.115, 0.0075, 0.72),
                (0.148, 0.0075, 0.9), (0.148, 0.0075, 0.9), (0.15, 0.0078, 0.92), (0.1575, 0.0078, 0.98),
                (0.1588, 0.0065, 0.99), (0.1588, 0, 1))],
            circle(20),
        ),
        _paint_wine_bottle,
    ),
}  # fmt: skip
