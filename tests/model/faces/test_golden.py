from collections.abc import Iterator
from dataclasses import replace

import makers
import msgspec
import numpy as np
import pytest

from model.bundle import Bundle
from model.embedding.embedder import Embedder, SelfTestError
from model.faces.face import Face, NoFaceFound
from model.faces.finder import WholePicture
from model.faces.golden import GoldenFace, golden_face, golden_picture
from model.images import Rgb
from model.training.tutorial import TUTORIAL_CROP


def test_the_golden_picture_is_the_same_each_time_and_has_features() -> None:
    picture = golden_picture()
    np.testing.assert_array_equal(picture, golden_picture())
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    grey = picture.mean(axis=2)
    assert grey[121, 103] < 60 < 150 < grey[160, 90]  # a pupil, and skin


def test_what_a_finder_sees_is_recorded_with_its_crop_in_sixteen_parts() -> None:
    seen = golden_face(WholePicture(TUTORIAL_CROP))
    assert seen.box == (0, 0, 256, 256)
    assert seen.landmarks is None
    crop = WholePicture(TUTORIAL_CROP).find(golden_picture()).crop[0]
    assert seen.crop[0] == pytest.approx(crop[:14, :12].mean(), abs=0.01)
    assert len(seen.crop) == 16


@pytest.mark.parametrize("part", ["box", "landmarks", "crop"])
def test_small_differences_agree_and_larger_ones_do_not(part: str) -> None:
    one = GoldenFace((70, 60, 110, 140), tuple((float(i), 100.0) for i in range(5)), (90.0,) * 16)
    values = getattr(one, part)
    for shift, agrees in ((1.0, True), (8.0, False)):
        moved = tuple(map(tuple, np.array(values) + shift)) if part == "landmarks" else tuple(np.array(values) + shift)
        assert one.agrees(msgspec.structs.replace(one, **{part: moved})) is agrees
    assert not one.agrees(msgspec.structs.replace(one, landmarks=None))


class Blind:
    def find(self, _: Rgb) -> Face:
        raise NoFaceFound

    def find_all(self, picture: Rgb, most: int) -> Iterator[Face]:  # noqa: ARG002
        yield self.find(picture)


def test_the_self_test_looks_at_the_golden_face() -> None:
    made = makers.make_bundle()
    seen = golden_face(WholePicture(TUTORIAL_CROP))
    embedder = recorded(made, seen)
    embedder.self_test()
    with pytest.raises(SelfTestError, match="the golden face is seen as"):
        recorded(made, msgspec.structs.replace(seen, box=(9.0, 9.0, 200.0, 200.0))).self_test()
    embedder.faces = Blind()
    with pytest.raises(SelfTestError, match="no face in the golden picture"):
        embedder.self_test()
    recorded(made, None).self_test()


def recorded(made: Bundle, seen: GoldenFace | None) -> Embedder:
    return Embedder(replace(made, manifest=msgspec.structs.replace(made.manifest, golden_face=seen)))
