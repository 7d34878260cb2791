"""How YuNet's outputs become faces: on outputs made by hand, and on drawn faces where the shipped bundle has YuNet."""

import math
from collections.abc import Callable
from itertools import islice

import makers
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from service.drawn_faces import portrait
from service.faceless import faceless

from model import bundle
from model.engines.on_torch import Torch
from model.faces.copies import Floats
from model.faces.detector import YuNetDetector, decoded, non_max_suppression
from model.faces.face import Search
from model.faces.networks import STRIDES, loaded, yunet
from model.manifest import DetectorSpec

DEFAULT = bundle.load(bundle.SHIPPED / "default")


def outputs(height: int, width: int, low: float = -9.0) -> tuple[Floats, ...]:
    """What YuNet says of a picture of this size in which there is nothing."""
    empty = tuple(np.zeros((1, 16, height // stride, width // stride), np.float32) for stride in STRIDES)
    for output in empty:
        output[:, :2] = low
    return empty


def test_cells_are_decoded_as_a_loop_decodes_them(rng: np.random.Generator) -> None:
    made = [rng.uniform(-1, 1, (1, 16, 16 // s, 24 // s)).astype(np.float32) for s in (1, 2, 4)]
    expected = []
    for stride, output in zip(STRIDES, made, strict=True):
        for y in range(output.shape[2]):
            for x in range(output.shape[3]):
                face, centred, cx, cy, w, h, *points = output[0, :, y, x].tolist()
                score = math.sqrt(1 / (1 + math.exp(-face)) / (1 + math.exp(-centred)))
                if score > 0.5:
                    middle, sides = ((x + cx) * stride, (y + cy) * stride), (math.exp(w) * stride, math.exp(h) * stride)
                    low, high = ([m + sign * s / 2 for m, s in zip(middle, sides, strict=True)] for sign in (-1, 1))
                    places = [(value + (x, y)[i % 2]) * stride - 0.5 for i, value in enumerate(points)]
                    expected.append([*low, *high, score, *places])
    found = decoded(made, 0.5)
    rows = np.column_stack([found.boxes, found.scores, found.landmarks.reshape(-1, 10)])
    assert len(expected) > 20
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-3)


def test_whatever_the_network_says_boxes_are_bounded() -> None:
    made = outputs(64, 96, low=9.0)
    for output in made:
        output[:, 4], output[:, 5] = 1e4, -1e4
    boxes = decoded(made, 0.5).boxes
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.max() <= 2 * 96 * 1.001
    assert sides.min() > 0.99


def test_of_boxes_that_overlap_the_surest_is_kept_and_what_it_alone_hides_is_dropped(rng: np.random.Generator) -> None:
    places = rng.uniform(0, 60, (40, 2))
    boxes = np.hstack([places, places + rng.uniform(10, 40, (40, 2))]).astype(np.float32)
    scores = rng.random(40).astype(np.float32)
    kept: list[int] = []
    for i in sorted(range(40), key=lambda i: -scores[i]):
        if all(overlap(boxes[i], boxes[k]) <= 0.3 for k in kept):
            kept.append(i)
    assert 2 < len(kept) < 40
    assert non_max_suppression(boxes, scores, 0.3).tolist() == kept


def overlap(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    across, down = (min(one[i + 2], two[i + 2]) - max(one[i], two[i]) for i in (0, 1))
    shared = max(across, 0) * max(down, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, two)]
    return float(shared / (sum(areas) - shared))


def test_no_box_is_no_trouble() -> None:
    assert not len(non_max_suppression(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.3))


class Dot:
    """Finds one face of 64 x 64 around the cell of stride 16 that is whitest, if any is wholly white."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[Floats, ...]:
        height, width = pixels.shape[1:3]
        self.shapes.append((height, width))
        made = outputs(height, width)
        means = pixels[0].reshape(height // 16, 16, width // 16, 16, 3).mean(axis=(1, 3, 4))
        if means.max() > 250:
            y, x = divmod(int(means.argmax()), means.shape[1])
            made[1][0, :2, y, x], made[1][0, 2:4, y, x], made[1][0, 4:6, y, x] = 9.0, 0.5, math.log(4)
        return made


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_large_picture_is_searched_small_and_answered_in_its_own_pixels(scale: int) -> None:
    picture = np.zeros((160 * scale, 100 * scale, 3), np.uint8)
    picture[64 * scale : 96 * scale, 32 * scale : 64 * scale] = 255
    network = Dot()
    found = YuNetDetector(network, Search(side=160)).find(picture)
    assert network.shapes == [(160, 128)]  # a multiple of 32
    middle = (found.boxes[0, :2] + found.boxes[0, 2:]) / 2 / scale
    assert np.abs(middle - [48, 80]).max() <= 8  # one of the white cells
    assert (found.boxes[0, 2:] - found.boxes[0, :2]).tolist() == pytest.approx([64 * scale] * 2)


def test_where_nothing_is_found_a_border_is_added_once() -> None:
    picture = np.full((96, 96, 3), 20, np.uint8)
    for margin, shapes in ((0.5, [(96, 96), (192, 192)]), (0.0, [(96, 96)])):
        network = Dot()
        assert not len(YuNetDetector(network, Search(side=256, margin=margin)).find(picture).scores)
        assert network.shapes == shapes


def test_what_the_border_brings_to_light_is_placed_in_the_picture() -> None:
    class Second(Dot):
        """Sees nothing at the first look."""

        def __call__(self, pixels: NDArray[np.uint8]) -> tuple[Floats, ...]:
            made = super().__call__(pixels)
            return outputs(*pixels.shape[1:3]) if len(self.shapes) == 1 else made

    picture = np.zeros((128, 128, 3), np.uint8)
    picture[32:64, 64:96] = 255
    found = YuNetDetector(Second(), Search(side=256)).find(picture)
    assert np.abs((found.boxes[0, :2] + found.boxes[0, 2:]) / 2 - [80, 48]).max() <= 8


def test_weights_of_other_networks_are_refused() -> None:
    weights = {f"yunet.{name}": array for name, array in makers.drawn(yunet, 64, 64, 3).items()}
    for engine in makers.engines():
        with pytest.raises(RuntimeError, match=r"there is no 'conv1\.weight'"):
            loaded(weights, engine)
        with pytest.raises(RuntimeError, match=r"the network has no 'other\.weight'"):
            loaded({**weights, "other.weight": np.zeros(1)}, engine)


@pytest.fixture
def detector() -> Callable[..., YuNetDetector]:
    if not isinstance(DEFAULT.manifest.detector, DetectorSpec):
        pytest.skip("the shipped bundle has another detector")
    network, _ = loaded(DEFAULT.detector_weights, Torch())
    return lambda **search: YuNetDetector(network, Search(**search))


def test_every_drawn_face_is_found_once_where_it_is(detector: Callable[..., YuNetDetector]) -> None:
    for person in range(8):
        found = detector().find(portrait(person))
        assert len(found.scores) == 1
        assert found.scores[0] > 0.85
        x1, y1, x2, y2 = found.boxes[0]
        assert np.hypot((x1 + x2) / 2 - 160, (y1 + y2) / 2 - 166) < 25
        left, right, nose, mouth_left, mouth_right = found.landmarks[0]
        assert x1 < left[0] < nose[0] < right[0] < x2
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


@pytest.mark.parametrize("scale", [0.5, 2, 6.5])
def test_boxes_grow_with_the_picture(detector: Callable[..., YuNetDetector], scale: float) -> None:
    picture = portrait(4)
    once, again = detector().find(picture), detector().find(resized(picture, scale))
    assert np.abs(again.boxes[0] / scale - once.boxes[0]).max() < 12  # pixels, of a face of 140


def resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (round(length * scale) for length in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def test_several_faces_are_told_apart(detector: Callable[..., YuNetDetector]) -> None:
    picture = np.concatenate([portrait(0), portrait(5), portrait(7)], axis=1)
    found = detector().find(picture)
    assert len(found.scores) == 3
    middles = sorted((found.boxes[:, 0] + found.boxes[:, 2]) / 2)
    assert np.abs(np.array(middles) - [160, 480, 800]).max() < 30


@pytest.mark.slow
def test_a_thousand_pictures_without_a_face_hardly_look_like_one(detector: Callable[..., YuNetDetector]) -> None:
    find = detector().find
    found = [find(picture) for _, picture in islice(faceless(seed=1), 1000)]
    assert sum(len(faces.scores) > 0 for faces in found) <= 1


@pytest.mark.parametrize("shape", [(32, 32), (32, 2000), (2000, 40), (13, 12)])
def test_odd_shapes_are_no_trouble(detector: Callable[..., YuNetDetector], shape: tuple[int, int]) -> None:
    assert not len(detector().find(np.full((*shape, 3), 90, np.uint8)).scores)
