from collections.abc import Iterator
from dataclasses import replace

import makers
import numpy as np
import pytest

from model.faces.face import Box, CropGeometry, Face, face_in
from model.faces.finder import WholePicture
from model.images import Rgb, WorkingCopy, working_copy

FINDER = WholePicture(CropGeometry(height=8, width=8, channels=3))


class Shifted:
    """Sees a face that ends where the picture ends."""

    def find(self, picture: Rgb) -> Face:
        height, width = picture.shape[:2]
        landmarks = ((10.0, 20.0), (width - 1.0, height - 1.0))
        return replace(FINDER.find(picture), box=Box(3, 5, width - 3, height - 5), landmarks=landmarks)

    def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:  # noqa: ARG002
        yield self.find(picture)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_boxes_in_reduced_pictures_end_where_the_picture_ends(factor: int) -> None:
    rng = np.random.default_rng(factor)
    for width, height in rng.integers(200, 300, (40, 2)).tolist():
        copy = np.zeros((-(-height // factor), -(-width // factor), 3), np.uint8)  # sides are rounded up
        face = face_in(WorkingCopy(copy, (width, height)), Shifted())
        assert width - factor <= face.box.x + face.box.width <= width
        assert height - factor - 2 <= face.box.y + face.box.height <= height
        assert face.landmarks is not None
        assert np.abs(np.array(face.landmarks[0]) + 0.5 - np.array([10.5, 20.5]) * factor).max() < factor
        assert face.landmarks[1][0] <= width - 0.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_working_copys_scale_never_leads_beyond_the_picture(kind: str) -> None:

    for width, height in ((2001, 1503), (2002, 2999), (1007, 4001)):
        copy = working_copy(makers.encoded(np.zeros((height, width, 3), np.uint8), kind))
        rows, columns = copy.pixels.shape[:2]
        assert columns * copy.scale <= width + 1e-6
        assert rows * copy.scale <= height + 1e-6
