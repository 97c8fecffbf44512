"""Textures drawn by code: labels, weave, floor planks and plaster. Seeded: the same bytes every time."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, ...]
_SIZE = 256


class Painter:
    """A square picture addressed by u (left to right) and v (bottom to top), both 0 to 1."""

    def __init__(self, background: Colour, size: int = _SIZE) -> None:
        self.image = Image.new("RGB", (size, size), background)
        self._draw = ImageDraw.Draw(self.image)
        self._size = size

    def rectangle(self, u0: float, v0: float, u1: float, v1: float, colour: Colour) -> None:
        s = self._size
        self._draw.rectangle((u0 * s, (1 - v1) * s, u1 * s - 1, (1 - v0) * s - 1), fill=colour)

    def band(self, v0: float, v1: float, colour: Colour) -> None:
        self.rectangle(0, v0, 1, v1, colour)

    def gradient(self, v0: float, v1: float, low: Colour, high: Colour) -> None:
        """A band that goes from `low` at v0 to `high` at v1."""
        first, last = round((1 - v1) * self._size), round((1 - v0) * self._size)
        for row in range(first, last):
            share = (last - row - 0.5) / (last - first)
            colour = tuple(round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
            self._draw.rectangle((0, row, self._size, row), fill=colour)

    def ellipse(self, u: float, v: float, radius_u: float, radius_v: float, colour: Colour) -> None:
        s = self._size
        corners = ((u - radius_u) * s, (1 - v - radius_v) * s, (u + radius_u) * s, (1 - v + radius_v) * s)
        self._draw.ellipse(corners, fill=colour)

    def disc(self, u: float, v: float, radius: float, colour: Colour) -> None:
        self.ellipse(u, v, radius, radius, colour)

    def spokes(self, u: float, v: float, radius: float, colour: Colour, count: int = 8) -> None:
        s, centre = self._size, (u * self._size, (1 - v) * self._size)
        for angle in np.arange(count) * 2 * np.pi / count:
            tip = (centre[0] + radius * s * np.cos(angle), centre[1] + radius * s * np.sin(angle))
            self._draw.line((*centre, *tip), fill=colour, width=2)

    def text(self, u: float, v: float, width: float, height: float, text: str, colour: Colour) -> None:
        """`text` centred at (u, v), stretched to at most width x height."""
        font = ImageFont.load_default(size=64)
        left, top, right, bottom = (int(c) for c in font.getbbox(text, stroke_width=3))
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, stroke_width=3, stroke_fill=255)
        size = (max(1, round(width * self._size)), max(1, round(height * self._size)))
        corner = (round((u - width / 2) * self._size), round((1 - v - height / 2) * self._size))
        mask = mask.resize(size, Image.Resampling.BILINEAR)
        self.image.paste(colour, (*corner, corner[0] + size[0], corner[1] + size[1]), mask)


def weave() -> Image.Image:
    """Wicker: strands over and under each other, a plaited rim at v = 0.43 to 0.51."""
    rows, columns = np.mgrid[0:_SIZE, 0:_SIZE]
    cell_u, cell_v = columns // 8, rows // 8
    over = (cell_u + cell_v) % 2 == 0
    along = np.where(over, columns % 8, rows % 8) - 3.5
    across = np.where(over, rows % 8, columns % 8) - 3.5
    shade = 1 - 0.045 * np.abs(across) ** 1.5 - 0.012 * along**2 - 0.12 * ~over
    v = 1 - rows / _SIZE
    rim = (v > 0.43) & (v < 0.51)
    shade = np.where(rim, 0.72 - 0.16 * ((columns + rows) % 12 < 6), shade)
    shade = np.where((v > 0.51), shade * 0.8, shade)
    return _image(np.array([214, 164, 100]) * shade[..., None])


def wood(colour: Colour, seed: int, contrast: float = 10.0, edge: Colour | None = None) -> Image.Image:
    """Wood with its grain along u; tileable. `edge` is the colour around v = 0: the cut edges of boards."""
    rng = np.random.default_rng(seed)
    waves = np.fft.fftfreq(_SIZE) * _SIZE
    distance = np.hypot(*np.meshgrid(12 * waves, waves))
    spectrum = np.fft.fft2(rng.normal(size=(_SIZE, _SIZE))) / (4 + distance)
    spectrum[0, 0] = 0
    grain = np.fft.ifft2(spectrum).real
    base = np.broadcast_to(np.array(colour, float), (_SIZE, _SIZE, 3)).copy()
    if edge is not None:
        base[:6] = base[-6:] = edge
    return _image(base * (1 + contrast / 100 * grain / grain.std())[..., None])


def planks(colour: Colour, grout: Colour | None, seed: int, rows: int = 4) -> Image.Image:
    """Floor planks with grain, laid in `rows` staggered courses."""
    rng = np.random.default_rng(seed)
    height = _SIZE // rows
    picture = np.zeros((_SIZE, _SIZE, 3))
    for row in range(rows):
        cut = int(rng.integers(_SIZE))
        for start in (cut, cut + _SIZE // 2 + int(rng.integers(-20, 20))):
            grain = np.repeat(rng.normal(0, 5, (height, 1)), _SIZE, 1) + rng.normal(0, 2.5, (height, _SIZE))
            plank = np.array(colour) + rng.normal(0, 5) + grain[..., None]
            columns = np.arange(start, start + _SIZE) % _SIZE
            picture[row * height : (row + 1) * height, columns] = plank
            if grout:
                picture[row * height : (row + 1) * height, columns[:2]] = grout
        if grout:
            picture[row * height : row * height + 2] = grout
    return _image(picture)


def tiles(colour: Colour, grout: Colour, seed: int, count: int = 2) -> Image.Image:
    """Square tiles, `count` along each side."""
    rng = np.random.default_rng(seed)
    side = _SIZE // count
    picture = np.array(colour) + _noise(rng, 6.0)[..., None]
    for row in range(count):
        for column in range(count):
            picture[row * side : (row + 1) * side, column * side : (column + 1) * side] += rng.normal(0, 4)
    edge = np.arange(_SIZE) % side < 2
    picture[edge, :] = picture[:, edge] = grout
    return _image(picture)


def plaster(colour: Colour, seed: int, roughness: float = 4.0) -> Image.Image:
    """A wall with soft blotches."""
    return _image(np.array(colour) + _noise(np.random.default_rng(seed), roughness)[..., None])


def _noise(rng: np.random.Generator, strength: float) -> NDArray[np.float64]:
    """Tileable blotches [_SIZE, _SIZE]: random phases under a falling spectrum."""
    frequency = np.fft.fftfreq(_SIZE) * _SIZE
    distance = np.hypot(*np.meshgrid(frequency, frequency))
    spectrum = np.fft.fft2(rng.normal(size=(_SIZE, _SIZE))) / (1 + distance) ** 1.2
    spectrum[0, 0] = 0
    field = np.fft.ifft2(spectrum).real
    return strength * field / field.std()


def _image(picture: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
