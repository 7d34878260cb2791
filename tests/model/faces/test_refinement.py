import numpy as np
import pytest
from numpy.typing import NDArray

from model.faces.face import Landmarks, Search
from model.faces.refinement import OnetRefiner, sample, to_square
from model.images import Rgb

FRONTAL = np.array([(40, 50), (80, 50), (60, 70), (45, 90), (75, 90)], np.float32)
TURNED = np.array([(40, 50), (80, 50), (78, 70), (45, 90), (75, 90)], np.float32)
PICTURE = np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype=np.uint8)
BOX = np.array([30, 20, 90, 116], np.float32)


class Says:
    """An ONet that says the same of every window, and keeps what it was shown."""

    def __init__(self, logit: float, move: tuple[float, float, float, float] = (0, 0, 0, 0)) -> None:
        self.shown: list[Rgb] = []
        values = [logit, *move, *(0.3, 0.7, 0.5, 0.4, 0.6), *(0.4, 0.4, 0.6, 0.8, 0.8)]
        self._values = np.array([values], np.float32)

    def __call__(self, windows: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        self.shown.append(windows[0])
        return (self._values,)


def refined(network: Says, landmarks: Landmarks = FRONTAL) -> Landmarks:
    return OnetRefiner(network, Search(turned=0.6, believed=0.5)).refine(PICTURE, BOX, landmarks)


def test_the_second_look_is_at_the_window_that_the_first_asks_for() -> None:
    network = Says(4.0, (0.1, -0.1, 0.2, 0.05))
    found = refined(network)
    first = np.array([60 - 48, 68 - 48, 60 + 48, 68 + 48])  # the box of 60 x 96 as a square
    moved = first + np.array([0.1, -0.1, 0.2, 0.05]) * 96
    second = to_square(moved)
    for shown, square in zip(network.shown, (first, second), strict=True):
        expected = sample(PICTURE, square.astype(np.float64))
        np.testing.assert_allclose(shown.astype(int), expected, rtol=0, atol=1)
    side = second[2] - second[0]
    places = [(second[0] + x * side - 0.5, second[1] + y * side - 0.5) for x, y in (
        (0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.4, 0.8), (0.6, 0.8))]  # fmt: skip
    np.testing.assert_allclose(found, places, atol=1e-3)
    assert found.dtype == np.float32


def test_where_onet_does_not_believe_the_landmarks_stay() -> None:
    assert refined(Says(0.1)) is not FRONTAL
    np.testing.assert_array_equal(refined(Says(-0.1)), FRONTAL)


def test_where_the_head_is_turned_the_landmarks_stay_and_nothing_is_computed() -> None:
    network = Says(4.0)
    np.testing.assert_array_equal(refined(network, TURNED), TURNED)
    assert network.shown == []


@pytest.mark.parametrize("move", [(1e9, -1e9, 1e9, -1e9), (-1e9, -1e9, 1e9, 1e9), (1e9, 1e9, -1e9, -1e9)])
def test_whatever_onet_says_the_second_window_is_bounded(move: tuple[float, float, float, float]) -> None:
    network = Says(4.0, move)
    points = refined(network)
    assert len(network.shown) == 2
    assert np.abs(points).max() < 400


def test_a_window_of_its_own_size_shows_the_pixels_as_they_are() -> None:
    window = sample(PICTURE, np.array([10.0, 20.0, 58.0, 68.0]))
    np.testing.assert_array_equal(window, PICTURE[20:68, 10:58])


def test_beyond_the_picture_it_is_black() -> None:
    window = sample(np.full((40, 40, 3), 200, np.uint8), np.array([-24.0, -24.0, 24.0, 24.0]))
    assert (window[:24] == 0).all()
    assert (window[:, :24] == 0).all()
    assert (window[24:, 24:] == 200).all()
    assert (sample(PICTURE, np.array([500.0, 500.0, 600.0, 600.0])) == 0).all()


def test_of_a_window_far_larger_than_the_picture_little_is_made() -> None:
    """It would have 400 megapixels, more than Pillow makes."""
    window = sample(np.full((1999, 1999, 3), 200, np.uint8), np.array([-9000.0, -9000.0, 11000.0, 11000.0]))
    assert (window[:21] == 0).all()
    assert (window[:, :21] == 0).all()
    assert window[22:26, 22:26].min() > 150
    assert window.mean() == pytest.approx(200 / 100, rel=0.05)
