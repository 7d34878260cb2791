"""An RGB picture to all faces in it: boxes, scores and five landmarks each; knows nothing of crops or embeddings.

The search of Zhang et al. (2016): PNet proposes windows on a pyramid of scales, RNet and ONet
judge and move them, and ONet adds the landmarks. The arithmetic is that of the PyPI package `mtcnn` 1.0.0.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from model.faces import cascade
from model.faces.detector import Detections, Floats
from model.faces.face import CascadeSearch
from model.faces.windows import Pixels, Windows, best, shown, shrunk, squared
from model.images import Rgb

_CELL, _STRIDE = 12, 2  # PNet looks at 12 x 12 pixels, every second pixel
_COMPARED = 1024  # the most windows, of all scales together, whose overlaps are looked at
_NONE: Windows = np.empty((0, 5), np.float32)


class Mtcnn:
    """The detector. It keeps nothing between calls: `find` may be called from many threads."""

    def __init__(self, weights: Mapping[str, Tensor], search: CascadeSearch | None = None) -> None:
        self._networks = cascade.build(weights)
        self._search = search or CascadeSearch()

    @torch.inference_mode()
    def find(self, picture: Rgb) -> Detections:
        """All faces in a picture of any size."""
        copy, scale = _shrunk_to(self._search.side, picture)
        faces = self._faces(copy)
        if self._search.margin and not len(faces.scores):
            # Perhaps a face that fills the picture: the networks expect something around it.
            border = round(self._search.margin * max(copy.shape[:2]))
            padded = np.pad(copy, ((border, border), (border, border), (0, 0)), mode="edge")
            smaller, again = _shrunk_to(self._search.side, padded)
            faces = _placed(self._faces(smaller), again, border)
        return _placed(faces, scale)

    def _faces(self, copy: Rgb) -> Detections:
        pixels = torch.from_numpy((copy.transpose(2, 0, 1).astype(np.float32, order="C") - 127.5) / 128)[None]
        windows = self._proposed(pixels)
        windows, _ = self._judged(pixels, windows, self._networks.rnet, 24, stage=1)
        windows, points = self._judged(pixels, windows, self._networks.onet, 48, stage=2)
        return Detections(windows[:, :4], windows[:, 4], points)

    def _proposed(self, pixels: Pixels) -> Windows:
        shorter, longer = sorted(pixels.shape[2:])
        first = _CELL / (self._search.smallest * longer)
        # As many scales as leave one cell in the shorter side.
        count = max(0, math.floor(math.log(_CELL / (first * shorter), self._search.step)) + 1)
        scales = first * self._search.step ** np.arange(count)
        found = np.concatenate([_NONE, *(self._proposed_at(scale, pixels) for scale in scales.tolist())])
        return found[best(found, 0, _COMPARED, 0.7)[: self._search.windows[1]]]

    def _proposed_at(self, scale: float, pixels: Pixels) -> Windows:
        said = self._networks.pnet(shrunk(pixels, scale))[0].permute(1, 2, 0)
        scores = said[..., 0].sigmoid().numpy()
        y, x = np.nonzero(scores > self._search.scores[0])
        if not len(y):
            return _NONE
        cells = np.stack([x, y, x, y], axis=1) * _STRIDE + np.array([1, 1, _CELL, _CELL])
        boxes = (cells + said.numpy()[y, x, 1:] * (_CELL - 1)) / scale
        windows = np.column_stack([boxes, scores[y, x]]).astype(np.float32)
        return windows[best(windows, 0, self._search.windows[0], 0.5)]

    def _judged(
        self, pixels: Pixels, windows: Windows, network: nn.Module, size: int, stage: int
    ) -> tuple[Windows, Floats]:
        """The windows that pass, moved; and their landmarks, (N, 5, 2), if the network gives any."""
        if not len(windows):
            return _NONE, np.empty((0, 5, 2), np.float32)
        windows = squared(windows)
        said = network(shown(pixels, windows, size))
        scores, said = said[:, 0].sigmoid().numpy(), said.numpy()
        corners, lengths = windows[:, :2], windows[:, 2:4] - windows[:, :2] + 1
        moved = np.column_stack([windows[:, :4] + said[:, 1:5] * np.tile(lengths, 2), scores])
        points = said[:, 5:].reshape(len(said), 2, -1).transpose(0, 2, 1) * lengths[:, None] + corners[:, None] - 1
        kept = best(moved, self._search.scores[stage], self._search.windows[2], 0.7, of_smaller=stage == 2)
        return moved[kept], points[kept]


def _placed(faces: Detections, scale: float, border: int = 0) -> Detections:
    """The faces of a copy, in pixels of what was bordered first and then scaled."""
    boxes, landmarks = ((found + 0.5) / scale - 0.5 - border for found in (faces.boxes, faces.landmarks))
    return Detections(boxes, faces.scores, landmarks)


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
