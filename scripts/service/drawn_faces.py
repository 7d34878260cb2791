"""Draws faces that the detector accepts; each person has features of their own. It holds no photo of anybody."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour: TypeAlias = tuple[int, int, int]

SKIN = np.array([225, 178, 150])


def portrait(person: int, picture: int = 0, size: int = 320) -> NDArray[np.uint8]:
    """RGB (size, size, 3): one face in the middle; pictures of one person differ in place, light and noise."""
    own, now = np.random.default_rng([person, 5]), np.random.default_rng([person, picture, 6])
    skin = SKIN * own.uniform(0.8, 1.05) + own.normal(0, 6, 3)
    width = size * own.uniform(0.2, 0.235) * (1 + now.normal(0, 0.02))
    height = width * own.uniform(1.25, 1.45)
    x, y = size * (0.5 + now.normal(0, 0.01)), size * (0.52 + now.normal(0, 0.01))
    image = Image.new("RGB", (size, size), _colour(own.uniform(60, 120) + own.normal(0, 10, 3)))
    draw = _Pen(ImageDraw.Draw(image), x, y, width, height)
    hair = _colour(own.uniform(20, 100, 3))
    draw.oval(0, -0.25, 1.15, 1.0, hair)
    draw.oval(0, 1.6, 0.5, 0.8, _colour(skin * 0.85))
    draw.oval(0, 2.2, 1.9, 0.9, _colour(own.uniform(30, 200, 3)))
    draw.oval(0, 0, 1, 1, _colour(skin))
    draw.oval(0, -0.78, 0.95, 0.32, hair)
    _draw_eyes(draw, own, skin, hair)
    _draw_nose_and_mouth(draw, own, skin)
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(size / 200)), dtype=np.float64)
    light = 1 + 0.2 * own.choice([-1, 1]) * (np.arange(size)[:, np.newaxis] - x) / size
    lit = pixels * light * (1 + now.normal(0, 0.03)) + now.normal(0, 3, pixels.shape)
    shown: NDArray[np.uint8] = np.clip(lit, 0, 255).astype(np.uint8)
    return shown


class _Pen:
    """Draws ovals whose places and sizes are shares of the face's half width (x) and half height (y)."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, width: float, height: float) -> None:
        self._draw, self._x, self._y, self._width, self._height = draw, x, y, width, height

    def oval(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        left, right = self._x + (x - across) * self._width, self._x + (x + across) * self._width
        top, bottom = self._y + (y - down) * self._height, self._y + (y + down) * self._height
        self._draw.ellipse((left, top, right, bottom), fill=colour)


def _draw_eyes(draw: _Pen, own: np.random.Generator, skin: NDArray[np.float64], hair: Colour) -> None:
    y, apart, across = -own.uniform(0.12, 0.2), own.uniform(0.4, 0.47), own.uniform(0.17, 0.22)
    down, iris, brow = across * own.uniform(0.34, 0.45), _colour(own.uniform(40, 110, 3)), own.uniform(0.03, 0.05)
    for side in (-apart, apart):
        draw.oval(side, y, across * 1.5, down * 2.2, _colour(skin * 0.82))
        draw.oval(side, y - down * 0.3, across * 1.1, down, _colour(skin * 0.45))
        draw.oval(side, y, across, down, (240, 238, 235))
        draw.oval(side, y, down * 1.3, down, iris)
        draw.oval(side, y, down * 0.7, down * 0.5, (15, 12, 12))
        draw.oval(side, y - down * 2.6, across * 1.4, brow, hair)


def _draw_nose_and_mouth(draw: _Pen, own: np.random.Generator, skin: NDArray[np.float64]) -> None:
    tip, wing = own.uniform(0.16, 0.24), own.uniform(0.16, 0.24)
    draw.oval(0, tip - 0.15, wing * 0.6, 0.2, _colour(skin * 0.93))
    draw.oval(0, tip - wing * 0.15, wing * 0.7, wing * 0.5, _colour(skin * 1.05))
    for side in (-wing * 0.55, wing * 0.55):
        draw.oval(side, tip + wing * 0.15, wing * 0.28, wing * 0.13, _colour(skin * 0.5))
    y, across = own.uniform(0.45, 0.54), own.uniform(0.36, 0.46)
    down = across * own.uniform(0.16, 0.26)
    draw.oval(0, y, across, down, _colour(np.array([175, 85, 85]) * own.uniform(0.8, 1.1)))
    draw.oval(0, y, across, 0.02, _colour(skin * 0.4))
    draw.oval(0, y + down * 2.1, across * 0.6, down * 0.4, _colour(skin * 0.9))


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = (int(value) for value in np.clip(values, 0, 255))
    return red, green, blue
