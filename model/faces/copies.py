"""Looks for faces in a small copy of a picture, and where there is none, with a border around it; knows no network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.images import Rgb

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Detections:
    """N faces, the surest first, in pixels of the picture.

    boxes: (N, 4), x1, y1, x2, y2 of the edges, where (0, 0) is the corner of the first pixel; they may reach beyond
    the picture; scores: (N,), 0..1; landmarks: (N, 5, 2), each as `Landmarks`.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats


def find_in_copies(picture: Rgb, side: int, margin: float, find: Callable[[Rgb], Detections]) -> Detections:
    """All faces in a picture of any size. `find` sees copies of it whose longest side has at most `side` pixels.

    Where it finds none, it sees one with a border of `margin`, a share of the longest side; 0: it does not.
    """
    copy, scale = _shrunk_to(side, picture)
    faces = find(copy)
    if margin and not len(faces.scores):
        # Perhaps a face that fills the picture: networks expect something around it.
        border = round(margin * max(copy.shape[:2]))
        padded = np.pad(copy, ((border, border), (border, border), (0, 0)), mode="edge")
        smaller, again = _shrunk_to(side, padded)
        faces = _placed(find(smaller), again, border)
    return _placed(faces, scale)


def _placed(faces: Detections, scale: float, border: int = 0) -> Detections:
    """The faces of a copy, in pixels of what was bordered first and then scaled."""
    landmarks = (faces.landmarks + 0.5) / scale - 0.5 - border
    return Detections(faces.boxes / scale - border, faces.scores, landmarks)


def _shrunk_to(side: int, picture: Rgb) -> tuple[Rgb, float]:
    """The picture, no side longer than `side`, and the scale it then has."""
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture, 1.0
    height, width = (max(1, round(length * scale)) for length in picture.shape[:2])
    # Four by four pixels are enough to average over; to look at more would take longer than the search.
    every = max(1, int(0.25 / scale))
    image = Image.fromarray(np.ascontiguousarray(picture[every // 2 :: every, every // 2 :: every]))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)), scale
