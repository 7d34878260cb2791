"""The detector with its real weights, on drawn faces."""

from itertools import islice

import numpy as np
import pytest
from makers import faceless
from numpy.typing import NDArray
from PIL import Image
from service.drawn_faces import portrait

from model import bundle
from model.faces.face import CascadeSearch
from model.faces.mtcnn import Mtcnn

DEFAULT = bundle.load(bundle.SHIPPED / "default")


def detector(**search: float) -> Mtcnn:
    return Mtcnn(DEFAULT.detector_weights, CascadeSearch(**search))  # type: ignore[arg-type]


def test_every_drawn_face_is_found_once_where_it_is() -> None:
    for person in range(8):
        found = detector().find(portrait(person))
        assert len(found.scores) == 1
        assert found.scores[0] > 0.9
        x1, y1, x2, y2 = found.boxes[0]
        assert np.hypot((x1 + x2) / 2 - 160, (y1 + y2) / 2 - 166) < 25
        left, right, nose, mouth_left, mouth_right = found.landmarks[0]
        assert x1 < left[0] < nose[0] < right[0] < x2
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (round(length * scale) for length in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("scale", [0.5, 2, 6.5])
def test_landmarks_grow_with_the_picture(scale: float) -> None:
    picture = portrait(4)
    once, again = detector().find(picture), detector().find(resized(picture, scale))
    moved = (again.landmarks[0] + 0.5) / scale - 0.5
    assert np.abs(moved - once.landmarks[0]).max() < 4  # pixels, of a face of 140


def test_several_faces_are_told_apart() -> None:
    picture = np.concatenate([portrait(0), portrait(5), portrait(7)], axis=1)
    found = detector().find(picture)
    assert len(found.scores) == 3
    middles = sorted((found.boxes[:, 0] + found.boxes[:, 2]) / 2)
    assert np.abs(np.array(middles) - [160, 480, 800]).max() < 30


def test_a_face_that_fills_the_picture_is_found_by_padding() -> None:
    picture = portrait(1)
    x1, y1, x2, y2 = detector().find(picture).boxes[0].round().astype(int)
    tight = picture[y1 + 7 : y2 - 7, x1 + 5 : x2 - 5]
    assert not len(detector(margin=0).find(tight).scores)
    found = detector().find(tight)
    assert len(found.scores) == 1
    left, right = found.landmarks[0, :2]
    assert 0 < left[0] < right[0] < tight.shape[1]


@pytest.mark.slow
def test_of_a_thousand_pictures_without_a_face_one_looks_like_one_and_barely() -> None:
    find = detector().find
    found = [find(picture) for _, picture in islice(faceless(seed=1), 1000)]
    scores = [score for faces in found for score in faces.scores]
    assert len(scores) <= 1
    assert all(score < 0.9 for score in scores)  # 99 of 100 real faces score more


@pytest.mark.parametrize("shape", [(32, 32), (32, 2000), (2000, 40), (13, 12)])
def test_odd_shapes_are_no_trouble(shape: tuple[int, int]) -> None:
    assert not len(detector().find(np.full((*shape, 3), 90, np.uint8)).scores)
