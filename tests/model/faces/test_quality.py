import makers
import numpy as np
import pytest

from model.faces.face import Quality
from model.faces.quality import colour, quality, sharpness, turn, warnings

FRONTAL = np.array([(40, 50), (80, 50), (60, 70), (45, 90), (75, 90)], np.float32)
GOOD = Quality(120, 0.6, 0.5, 0.2)


def test_brightness_is_the_mean_of_the_crop() -> None:
    grey = np.full((20, 20, 3), 51, np.uint8)
    assert quality(grey.transpose(2, 0, 1), 20, grey) == Quality(20, 0.0, 0.2, 0.0)


def test_colour_is_nil_for_grey_and_whole_for_pure_light() -> None:
    assert colour(np.full((4, 4, 3), 80, np.uint8)) == 0
    assert colour(np.broadcast_to(np.array([255, 0, 0], np.uint8), (4, 4, 3))) == 1
    assert colour(np.broadcast_to(np.array([200, 149, 170], np.uint8), (4, 4, 3))) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("reason", "found", "outside", "count"),
    [
        ("several_faces", GOOD, 0.0, 2),
        ("small_face", Quality(40, 0.6, 0.5, 0.2), 0.0, 1),
        ("blurred", Quality(120, 0.1, 0.5, 0.2), 0.0, 1),
        ("dark", Quality(120, 0.6, 0.1, 0.2), 0.0, 1),
        ("bright", Quality(120, 0.6, 0.95, 0.2), 0.0, 1),
        ("face_cut", GOOD, 0.3, 1),
    ],
)
def test_each_fault_is_warned_of_alone(reason: str, found: Quality, outside: float, count: int) -> None:
    assert warnings(found, FRONTAL, outside, count) == (reason,)
    assert warnings(GOOD, FRONTAL, 0.0, 1) == ()


def test_a_turned_head_is_told_from_a_tilted_one() -> None:
    turned = FRONTAL.copy()
    turned[2, 0] += 15
    tilted = (FRONTAL - 60) @ np.array([[0.8, 0.6], [-0.6, 0.8]], np.float32) + 60
    assert turn(FRONTAL) == pytest.approx(0)
    assert turn(tilted) == pytest.approx(0, abs=0.3)
    assert turn(turned) == pytest.approx(0.75)
    assert warnings(GOOD, turned, 0.0, 1) == ("head_turned",)
    assert turn(np.zeros((5, 2), np.float32)) == 1  # nothing to measure: care


def _crete_by_loops(grey: list[list[float]]) -> float:
    width = len(grey[0])
    before_sum = lost_sum = 0.0
    for row in grey:
        blurred = [sum(row[min(max(j, 0), width - 1)] for j in range(x - 4, x + 5)) / 9 for x in range(width)]
        for x in range(1, width):
            before, after = abs(row[x] - row[x - 1]), abs(blurred[x] - blurred[x - 1])
            before_sum += before
            lost_sum += max(0.0, before - after)
    return lost_sum / before_sum


def test_sharpness_agrees_with_its_formula_in_loops() -> None:
    grey = makers.face(3, 0, 20, 24).astype(float)
    slow = min(_crete_by_loops(grey.tolist()), _crete_by_loops(grey.T.tolist()))
    assert sharpness(grey[np.newaxis].astype(np.uint8)) == pytest.approx(slow)


def test_sharpness_falls_with_blur_and_is_zero_for_flat() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    blurred = ((noise[..., 1:].astype(int) + noise[..., :-1]) // 2).astype(np.uint8)
    flat = np.full((1, 64, 64), 9, np.uint8)
    assert sharpness(noise) > sharpness(blurred) > sharpness(flat) == 0
