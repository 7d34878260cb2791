"""An RGB picture to all faces in it: boxes, scores and five landmarks each; knows nothing of crops or embeddings.

The search of Zhang et al. (2016): PNet proposes windows on a pyramid of scales, RNet and ONet
judge and move them, and ONet adds the landmarks. The arithmetic is that of the PyPI package `mtcnn` 1.0.0.
"""

import math

import numpy as np
import torch
from torch import nn

from model.engines import Weights
from model.engines.on_torch import computing_on
from model.faces import cascade
from model.faces.copies import Detections, Floats, find_in_copies
from model.faces.face import CascadeSearch
from model.faces.windows import Pixels, Windows, best, shown, shrunk, squared
from model.images import Rgb

_CELL, _STRIDE = 12, 2  # PNet looks at 12 x 12 pixels, every second pixel
_COMPARED = 1024  # the most windows, of all scales together, whose overlaps are looked at
_NONE: Windows = np.empty((0, 5), np.float32)


class Mtcnn:
    """The detector. It keeps nothing between calls: `find` may be called from many threads."""

    def __init__(self, weights: Weights, search: CascadeSearch | None = None) -> None:
        self._networks = cascade.build(weights)
        self._search = search or CascadeSearch()

    def find(self, picture: Rgb) -> Detections:
        """All faces in a picture of any size."""
        with computing_on(1), torch.inference_mode():
            faces = find_in_copies(picture, self._search.side, self._search.margin, self._faces)
        boxes = faces.boxes - 0.5  # as they were when the thresholds of bundles with this detector were chosen
        return Detections(boxes, faces.scores, faces.landmarks)

    def _faces(self, copy: Rgb) -> Detections:
        pixels = torch.from_numpy((copy.transpose(2, 0, 1).astype(np.float32, order="C") - 127.5) / 128)[None]
        windows = self._proposed(pixels)
        windows, _ = self._judged(pixels, windows, self._networks.rnet, 24, stage=1)
        windows, points = self._judged(pixels, windows, self._networks.onet, 48, stage=2)
        return Detections(windows[:, :4] + 0.5, windows[:, 4], points)

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
