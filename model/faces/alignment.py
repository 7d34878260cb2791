"""Five landmarks and the picture they lie in to the face's upright crop; knows nothing of detectors or networks."""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.faces.face import CropGeometry, Landmarks
from model.images import Rgb

Motion: TypeAlias = NDArray[np.complex128]
"""Shape (..., 2): the a, b of z -> a * z + b, with z = x + iy. |a| is the change of scale, the angle of a the turn."""

_HALF = complex(0.5, 0.5)  # from a pixel's centre to its corner, where Pillow has its origin
_FINER = 1.25  # how much finer than the crop a shrunk face is kept until it is turned
_REACH = 2  # pixels that bicubic interpolation looks at on either side
_LONGEST = 3000  # pixels along a side of what is taken out of a picture; a face that fills a working copy has fewer


def similarity(points: NDArray[np.floating], template: NDArray[np.floating]) -> Motion:
    """The turn, scale and shift that bring each five points closest to the template's, by least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991): in the plane
    and without mirroring, complex numbers give it in closed form. Raises ValueError where the five points are one.
    """
    source, target = points[..., 0] + 1j * points[..., 1], template[..., 0] + 1j * template[..., 1]
    centre, goal = source.mean(axis=-1), target.mean(axis=-1)
    offsets = source - centre[..., None]
    spread = (np.abs(offsets) ** 2).sum(axis=-1)
    if not np.all(spread > 0):
        raise ValueError("the landmarks coincide")
    a = (offsets.conj() * (target - goal[..., None])).sum(axis=-1) / spread
    return np.stack([a, goal - a * centre], axis=-1)


def aligned(picture: Rgb, points: Landmarks, geometry: CropGeometry) -> Rgb:
    """uint8 (height, width, 3): the face with its landmarks where the geometry has them, black beyond the picture.

    A face that grows is interpolated once. One that shrinks is first resized, with a filter as wide as the change of
    scale, to a little more than the crop's scale: nothing aliases, and turning it takes no sharpness that shows.
    """
    a, b = (complex(value) for value in similarity(points, np.array(geometry.landmarks)))
    b += _HALF - a * _HALF
    width, height = geometry.width, geometry.height
    crop = np.array([0, width, 1j * height, width + 1j * height])
    corners = (crop - b) / a
    if (factor := too_long(corners)) > 1:
        return aligned(reduced(picture, factor), ((points + 0.5) / factor - 0.5).astype(np.float32), geometry)
    left, top, inside = region(picture, corners, margin=_REACH + int(_REACH / abs(a)))
    scale = min(1.0, abs(a) * _FINER)
    smaller = inside.resize([round(n * scale) for n in inside.size], Image.Resampling.BICUBIC, reducing_gap=2.0)
    x, y = smaller.width / inside.width, smaller.height / inside.height
    turn, shift = 1 / a, -b / a - complex(left, top)
    matrix = (turn.real * x, -turn.imag * x, shift.real * x, turn.imag * y, turn.real * y, shift.imag * y)
    return np.asarray(smaller.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def too_long(corners: NDArray[np.complex128]) -> int:
    """By how much a picture has to be reduced before what lies between the corners is taken out of it; mostly 1.

    A picture can be made whose landmarks fit the template at next to no scale, so that the crop shows the picture and
    gigabytes of black around it.
    """
    return math.ceil(max(np.ptp(corners.real), np.ptp(corners.imag)) / _LONGEST)


def reduced(picture: Rgb, factor: int) -> Rgb:
    return np.asarray(Image.fromarray(picture).reduce(factor))


def region(picture: Rgb, corners: NDArray[np.complex128], margin: int = 0) -> tuple[int, int, Image.Image]:
    """Left, top and the upright part of the picture that holds the corners; black beyond the picture."""
    left, top = (int(np.floor(values.min())) - margin for values in (corners.real, corners.imag))
    right, bottom = (int(np.ceil(values.max())) + margin for values in (corners.real, corners.imag))
    height, width = picture.shape[:2]
    x, y = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    inside = Image.fromarray(np.ascontiguousarray(picture[y : max(bottom, y + 1), x : max(right, x + 1)]))
    return left, top, inside.crop((left - x, top - y, right - x, bottom - y))
