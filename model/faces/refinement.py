"""A face's box to landmarks that are finer than the detector's; knows no detector."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.engines import Run
from model.faces.alignment import reduced, region, too_long
from model.faces.face import Landmarks, Search
from model.faces.networks import WINDOW
from model.faces.quality import turn
from model.images import Rgb

_LOOKS = 2  # the second at the window where the first puts the face
_FARTHEST = 0.25  # that an edge moves from one look to the next, as a share of the window: its size stays bounded


class OnetRefiner:
    """It keeps nothing between calls: `refine` may be called from many threads. `network`: ONet, from pixels."""

    def __init__(self, network: Run, search: Search) -> None:
        self._network = network
        self._search = search

    def refine(self, picture: Rgb, box: NDArray[np.float32], landmarks: Landmarks) -> Landmarks:
        """ONet's landmarks of the face in the box (x1, y1, x2, y2); those given where the head is turned, since ONet
        learned from few such faces, and where ONet does not believe that there is a face.
        """
        if turn(landmarks) > self._search.turned:
            return landmarks
        for _ in range(_LOOKS):
            square = to_square(box)
            side = square[2] - square[0]
            logit, *output = self._network(sample(picture, square)[np.newaxis])[0][0].tolist()
            box = square + np.clip(output[:4], -_FARTHEST, _FARTHEST) * side
        if logit < math.log(self._search.believed / (1 - self._search.believed)):
            return landmarks
        places = square[:2] + np.reshape(output[4:], (2, 5)).T * side - 0.5
        return np.asarray(places, dtype=np.float32)


def to_square(box: NDArray[np.floating]) -> NDArray[np.float64]:
    """Around the same centre, as long as the longer side."""
    corners = box.astype(np.float64).reshape(2, 2)
    centre, half = corners.mean(axis=0), (corners[1] - corners[0]).max() / 2
    return np.concatenate([centre - half, centre + half])


def sample(picture: Rgb, square: NDArray[np.float64]) -> Rgb:
    """uint8 (48, 48, 3): what the square shows, black beyond the picture."""
    corners = square[::2] + 1j * square[1::2]
    if (factor := too_long(corners)) > 1:
        return sample(reduced(picture, factor), square / factor)
    left, top, inside = region(picture, corners)
    window = inside.resize(
        (WINDOW, WINDOW), Image.Resampling.BILINEAR, tuple(square - [left, top, left, top]), reducing_gap=2.0
    )
    return np.array(window)
