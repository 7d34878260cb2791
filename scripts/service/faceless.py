"""Draws pictures without a face. It holds no photo."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter


def faceless(seed: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Pictures without a face, of many sizes and five kinds in turn, without end."""
    rng = np.random.default_rng(seed)
    while True:
        height, width = (int(length) for length in rng.integers(100, 500, 2))
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        coarse = Image.fromarray(noise[: int(rng.integers(4, 40)), : int(rng.integers(4, 40))])
        waves = np.sin(np.mgrid[:height, :width].T @ rng.uniform(-1, 1, 2)).T[..., np.newaxis]
        yield "noise", noise
        yield "flat", np.broadcast_to(noise[0, 0], noise.shape).copy()
        yield "texture", np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        yield "waves", np.clip(waves * noise[0, 0] + 128, 0, 255).astype(np.uint8)
        yield "objects", _objects(height, width, rng)


def _objects(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = Image.new("RGB", (width, height), _any_colour(rng))
    draw = ImageDraw.Draw(image)
    for round_one in rng.random(int(rng.integers(3, 40))) < 0.5:
        shape = draw.ellipse if round_one else draw.rectangle
        left, top = int(rng.integers(width)), int(rng.integers(height))
        right, bottom = left + int(rng.integers(4, width)), top + int(rng.integers(4, height))
        shape((left, top, right, bottom), fill=_any_colour(rng))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 3)))))


def _any_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue
