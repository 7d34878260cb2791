"""A picture to all faces in it, each with a box, a score and five landmarks; knows nothing of crops or embeddings."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.engines import Run
from model.faces.face import Search
from model.faces.networks import STRIDES
from model.images import Rgb

Floats: TypeAlias = NDArray[np.float32]

_MULTIPLE = STRIDES[-1]
_COMPARED = 1000  # the most detections whose overlaps are looked at


@dataclass(frozen=True)
class Detections:
    """N faces, the surest first, in pixels of the picture.

    boxes: (N, 4), x1, y1, x2, y2 of the edges, where (0, 0) is the corner of the first pixel; they may reach beyond
    the picture; scores: (N,), 0..1; landmarks: (N, 5, 2), each as `Landmarks`.
    """

    boxes: Floats
    scores: Floats
    landmarks: Floats


class YuNetDetector:
    """It keeps nothing between calls: `find` may be called from many threads. `network`: YuNet, from pixels."""

    def __init__(self, network: Run, search: Search) -> None:
        self._network = network
        self._search = search

    def find(self, picture: Rgb) -> Detections:
        """All faces in a picture of any size."""
        copy, scale = _shrunk_to(self._search.side, picture)
        faces = self._find_in(copy)
        if self._search.margin and not len(faces.scores):
            # Perhaps a face that fills the picture: the network expects something around it.
            border = round(self._search.margin * max(copy.shape[:2]))
            padded = np.pad(copy, ((border, border), (border, border), (0, 0)), mode="edge")
            smaller, again = _shrunk_to(self._search.side, padded)
            faces = _placed(self._find_in(smaller), again, border)
        return _placed(faces, scale)

    def _find_in(self, copy: Rgb) -> Detections:
        faces = decoded(self._network(_filled(copy)[np.newaxis]), self._search.score)
        kept = non_max_suppression(faces.boxes, faces.scores, self._search.overlap)
        return Detections(faces.boxes[kept], faces.scores[kept], faces.landmarks[kept])


def decoded(outputs: Iterable[Floats], score: float) -> Detections:
    """All cells of YuNet's outputs that score more than `score`, in no order."""
    boxes, scores, landmarks = [], [], []
    for stride, output in zip(STRIDES, outputs, strict=True):
        chances = torch.from_numpy(output[0, :2]).sigmoid().prod(dim=0).sqrt().numpy()
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


def _placed(faces: Detections, scale: float, border: int = 0) -> Detections:
    """The faces of a copy, in pixels of what was bordered first and then scaled."""
    landmarks = (faces.landmarks + 0.5) / scale - 0.5 - border
    return Detections(faces.boxes / scale - border, faces.scores, landmarks)


def _filled(copy: Rgb) -> Rgb:
    """The copy, black where its sides are filled up to a multiple of 32."""
    height, width = (-(-length // _MULTIPLE) * _MULTIPLE for length in copy.shape[:2])
    filled = np.zeros((height, width, 3), np.uint8)
    filled[: copy.shape[0], : copy.shape[1]] = copy
    return filled


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
