"""A picture to all faces in it, each with a box, a score and five landmarks; knows nothing of crops or embeddings."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from model.engines import Run
from model.faces.copies import Detections, Floats, find_in_copies
from model.faces.face import Search
from model.faces.networks import STRIDES
from model.images import Rgb

_MULTIPLE = STRIDES[-1]
_COMPARED = 1000  # the most detections whose overlaps are looked at


class YuNetDetector:
    """It keeps nothing between calls: `find` may be called from many threads. `network`: YuNet, from pixels."""

    def __init__(self, network: Run, search: Search) -> None:
        self._network = network
        self._search = search

    def find(self, picture: Rgb) -> Detections:
        """All faces in a picture of any size."""
        return find_in_copies(picture, self._search.side, self._search.margin, self._find_in)

    def _find_in(self, copy: Rgb) -> Detections:
        faces = decoded(self._network(_filled(copy)[np.newaxis]), self._search.score)
        kept = non_max_suppression(faces.boxes, faces.scores, self._search.overlap)
        return Detections(faces.boxes[kept], faces.scores[kept], faces.landmarks[kept])


def decoded(outputs: Iterable[Floats], score: float) -> Detections:
    """All cells of YuNet's outputs that score more than `score`, in no order."""
    boxes, scores, landmarks = [], [], []
    for stride, output in zip(STRIDES, outputs, strict=True):
        # The root of both chances, sigmoid(x) = 1 / (1 + exp(-x)), multiplied.
        chances = np.exp(-np.logaddexp(0, -output[0, :2]).mean(axis=0))
        y, x = np.nonzero(chances > score)
        values, corners = output[0][:, y, x].T, np.stack([x, y], axis=1)
        centres = (corners + values[:, 2:4]) * stride
        # From a pixel to twice the copy: whatever the network says, the work that follows is bounded.
        largest = 2 * stride * max(chances.shape)
        sides = np.exp(np.clip(values[:, 4:6], -math.log(stride), math.log(largest / stride))) * stride
        boxes.append(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1))
        scores.append(chances[y, x])
        landmarks.append((corners[:, np.newaxis] + values[:, 6:].reshape(-1, 5, 2)) * stride - 0.5)
    return Detections(*(np.concatenate(parts).astype(np.float32) for parts in (boxes, scores, landmarks)))


def non_max_suppression(boxes: Floats, scores: Floats, overlap: float) -> NDArray[np.intp]:
    """Indices of the boxes (N, 4) that share no more than `overlap` of the union with a better one that is kept."""
    rest = np.argsort(-scores, kind="stable")[:_COMPARED]
    kept = []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        rest = rest[_intersection_over_union(boxes[best], boxes[rest]) <= overlap]
    return np.array(kept, dtype=np.intp)


def _intersection_over_union(box: Floats, others: Floats) -> Floats:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    share: Floats = shared / union
    return share


def _filled(copy: Rgb) -> Rgb:
    """The copy, black where its sides are filled up to a multiple of 32."""
    height, width = (-(-length // _MULTIPLE) * _MULTIPLE for length in copy.shape[:2])
    filled = np.zeros((height, width, 3), np.uint8)
    filled[: copy.shape[0], : copy.shape[1]] = copy
    return filled
