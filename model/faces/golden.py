"""A drawn face and what a finder sees in it: recorded when a bundle is made, compared when it is served."""

from dataclasses import astuple
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.faces.face import FaceFinder
from model.images import Rgb

Oval: TypeAlias = tuple[float, float, float, float]
Colour: TypeAlias = tuple[int, int, int]

_SIDE = 256
_BACKGROUND = (96, 104, 112)
_PARTS = 4  # along each side of the crop
_LENGTH_TOLERANCE = 3.0  # pixels, of a face of about 140
_GREY_TOLERANCE = 6.0  # of 255

_OVALS: tuple[tuple[Oval, Colour], ...] = (
    ((128, 112, 70, 88), (58, 42, 34)),  # hair
    ((128, 214, 32, 46), (186, 146, 122)),  # neck
    ((128, 264, 104, 46), (70, 90, 130)),  # shoulders
    ((128, 134, 58, 78), (222, 178, 150)),  # face
    ((128, 72, 54, 25), (58, 42, 34)),  # fringe
    *(
        oval
        for side in (-1, 1)
        for oval in (
            ((128 + side * 25, 121, 16, 10), (188, 146, 122)),  # socket
            ((128 + side * 25, 121, 11.5, 4.8), (240, 238, 235)),  # eye
            ((128 + side * 25, 121, 5.2, 4.8), (86, 62, 44)),  # iris
            ((128 + side * 25, 121, 2.6, 2.6), (15, 12, 12)),  # pupil
            ((128 + side * 25, 108, 15, 3.2), (66, 48, 38)),  # brow
            ((128 + side * 6.5, 153, 3.4, 2.0), (120, 84, 70)),  # nostril
        )
    ),
    ((128, 141, 6.5, 13), (212, 168, 140)),  # nose
    ((128, 174, 22, 6.5), (176, 88, 86)),  # mouth
    ((128, 174, 21, 1.4), (98, 62, 56)),
)
"""Centre's x and y, half width and half height in pixels; each is painted over those before it."""


class GoldenFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the finder sees the face, in pixels of `golden_picture`: x, y, width, height of its box, the landmarks if
    it has any; and `crop`, the mean brightness (0..255) of 4 x 4 equal parts of the crop, row by row.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...] | None
    crop: tuple[float, ...]

    def agrees(self, other: "GoldenFace") -> bool:
        """Whether the same networks may have seen both, on processors that round differently."""
        return (
            _close(self.box, other.box, _LENGTH_TOLERANCE)
            and _close(self.landmarks or (), other.landmarks or (), _LENGTH_TOLERANCE)
            and _close(self.crop, other.crop, _GREY_TOLERANCE)
        )


def golden_picture() -> Rgb:
    """uint8 (256, 256, 3): one frontal face, the same on every machine but for rounding."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    picture = np.broadcast_to(np.array(_BACKGROUND, np.float64), (_SIDE, _SIDE, 3)).copy()
    for (middle, centre, across, down), colour in _OVALS:
        within = 1 - np.hypot((x - middle) / across, (y - centre) / down)
        covered = np.clip(within * min(across, down) / 2 + 0.5, 0, 1)  # edges two pixels soft
        picture += covered[..., np.newaxis] * (np.array(colour) - picture)
    return np.round(picture).astype(np.uint8)


def golden_face(finder: FaceFinder) -> GoldenFace:
    """What the finder sees in the golden picture. Raises NoFaceFound."""
    face = finder.find(golden_picture())
    x, y, width, height = astuple(face.box)
    rows = np.array_split(face.crop.mean(axis=0), _PARTS)
    means = [part.mean() for row in rows for part in np.array_split(row, _PARTS, axis=1)]
    landmarks = face.landmarks and tuple((round(x, 2), round(y, 2)) for x, y in face.landmarks)
    return GoldenFace((x, y, width, height), landmarks, tuple(round(float(mean), 2) for mean in means))


def _close(one: object, other: object, tolerance: float) -> bool:
    first: NDArray[np.float64]
    first, second = np.array(one, np.float64), np.array(other, np.float64)
    return first.shape == second.shape and bool(np.all(np.abs(first - second) <= tolerance))
