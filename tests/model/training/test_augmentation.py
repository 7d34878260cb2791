from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from service.drawn_faces import portrait

from model import bundle
from model.bundle import finder_of
from model.faces.face import CropGeometry
from model.training import augmentation
from model.training.augmentation import WIDER, augmented, view, widened

GEOMETRY = CropGeometry(40, 30, 3, landmarks=((10, 12), (20, 12), (15, 20), (11, 28), (19, 28)))
WIDE = np.stack([portrait(person, size=40 + 2 * WIDER).transpose(2, 0, 1) for person in range(6)])[..., 5:-5].copy()


def test_a_wide_crop_has_the_same_face_with_more_around_it() -> None:
    wide = widened(GEOMETRY)
    assert (wide.height, wide.width) == (40 + 2 * WIDER, 30 + 2 * WIDER)
    assert wide.landmarks is not None
    assert wide.landmarks[0] == (10 + WIDER, 12 + WIDER)


def test_the_plain_view_is_the_middle_of_the_wide_crop() -> None:
    middle = WIDE[:, :, WIDER:-WIDER, WIDER:-WIDER]
    np.testing.assert_array_equal(view(WIDE, 1.0, mirrored=False), middle)
    np.testing.assert_array_equal(view(WIDE, 1.0, mirrored=True), middle[..., ::-1])


def test_zooming_in_enlarges_what_is_in_the_middle() -> None:
    wide = np.zeros((1, 3, 72, 62), np.uint8)
    wide[:, :, 26:46, 21:41] = 255
    bright = [(view(wide, zoom, mirrored=False) > 127).sum().item() for zoom in (0.8, 1.0, 1.25)]
    assert bright[0] < bright[1] == 3 * 20 * 20 < bright[2]
    assert bright[2] == pytest.approx(bright[1] * 1.25**2, rel=0.1)


def test_the_same_seed_gives_the_same_pictures_and_another_others() -> None:
    one, again, other = (augmented(WIDE, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one.shape == (6, 3, 40, 30)
    assert one.dtype == torch.uint8
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("worse", list(augmentation._DEGRADATIONS), ids=lambda worse: str(worse.__name__))
def test_each_way_of_getting_worse_changes_the_picture_but_not_the_face(worse: augmentation.Degradation) -> None:
    pixels = view(WIDE, 1.0, mirrored=False).float() / 255
    spoilt = worse(pixels.clone(), np.random.default_rng(0))
    assert spoilt.shape == pixels.shape
    assert not torch.equal(spoilt, pixels)
    for before, after in zip(pixels, spoilt, strict=True):
        both = torch.stack([before.mean(dim=0).flatten(), after.mean(dim=0).flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.8


def test_the_middle_of_a_wide_crop_is_the_crop_that_is_served() -> None:
    default = bundle.load(bundle.SHIPPED / "default")
    wide = replace(default, manifest=msgspec.structs.replace(default.manifest, crop=widened(default.manifest.crop)))
    for person in range(4):
        picture = portrait(person, size=700)
        served, trained = (finder_of(each).find(picture).crop for each in (default, wide))
        difference = np.abs(served.astype(int) - trained[:, WIDER:-WIDER, WIDER:-WIDER])
        assert difference.mean() < 1  # of 255: the region that is resized starts at another pixel
