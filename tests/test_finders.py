import makers
import numpy as np
import pytest

from model.faces import Box, CropGeometry
from model.finders import WholePicture
from model.quality import sharpness

TUTORIAL = CropGeometry(height=56, width=46, channels=1, subsample=2)


def test_the_tutorial_keeps_every_second_pixel_exactly() -> None:
    grey = makers.face(1)
    found = WholePicture(TUTORIAL).find(np.repeat(grey[..., np.newaxis], 3, axis=-1))
    np.testing.assert_array_equal(found.crop, grey[::2, ::2][np.newaxis])
    assert found.box == Box(0, 0, 92, 112)
    assert (found.score, found.count, found.warnings) == (None, 1, ("no_detector",))


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 300), (33, 1000)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_picture_becomes_the_shape_that_the_network_takes(height: int, width: int, channels: int) -> None:
    picture = np.stack([makers.face(i, 0, width, height) for i in range(3)], axis=-1)
    geometry = CropGeometry(height=20, width=16, channels=channels, subsample=3)  # type: ignore[arg-type]
    found = WholePicture(geometry).find(picture)
    assert found.crop.shape == (channels, 20, 16)
    assert found.crop.dtype == np.uint8
    assert found.quality.size_px == min(height, width)


def test_proportions_are_kept_by_cutting_not_by_stretching() -> None:
    wide = np.zeros((112, 400, 3), np.uint8)
    wide[:, 154:246] = 200  # the middle 92 columns
    assert (WholePicture(TUTORIAL).find(wide).crop[:, :, 2:-2] == 200).all()


def test_brightness_is_the_mean_of_the_crop() -> None:
    found = WholePicture(TUTORIAL).find(np.full((112, 92, 3), 51, np.uint8))
    assert found.quality.brightness == 0.2


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
